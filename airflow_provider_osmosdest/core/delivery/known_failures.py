"""Tell the failures that an earlier delivery has reported from new ones: ``remember_failures``."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_osmosdest.core.seen.keys import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_osmosdest.core.seen.store import SeenStore

__all__ = ["KnownFailures", "failure_key"]


class _Line(msgspec.Struct):
    outcome: str
    record: msgspec.Raw


_decode = msgspec.json.Decoder(_Line).decode


def failure_key(outcome: str, record: bytes) -> bytes:
    """
    Return what a failure is recognised by: its outcome, and the record as the failures file holds it.

    The reason is no part of it: an API may write the time, or the number of the request, into its own.
    """
    return blake2b(b"%s %s" % (outcome.encode(), record), digest_size=KEY_BYTES).digest()


class KnownFailures:
    """
    Count the failures that an earlier delivery has reported, and remember those of this one.

    A record is ``invalid`` or ``rejected`` each time that it comes, and counted so; all that is remembered is that it
    has been said before. What a delivery has reported itself is not known to its own further attempts.

    :param store: the keys of the failures reported so far
    :param delivery: id of this delivery, the same in every attempt
    :param keeping: whether to remember the failures of this delivery; ``False`` in a dry run
    """

    def __init__(self, store: SeenStore, delivery: str, *, keeping: bool) -> None:
        self._store = store
        self._delivery = delivery
        self._keeping = keeping

    def count(self, lines: Iterable[bytes]) -> int:
        """
        Return how many failures are known, and remember the others.

        :param lines: of a failures file, of records whose outcome is final
        :raises StorageError: when the keys cannot be read or written
        """
        # Whether the API has an ``unknown`` record is another question each time.
        failures = (each for each in map(_decode, lines) if each.outcome in ("invalid", "rejected"))
        keys = [failure_key(each.outcome, bytes(each.record)) for each in failures]
        if not keys:
            return 0
        there = self._store.load(without=self._delivery).contains(keys)
        new = {key for key, known in zip(keys, there, strict=True) if not known}
        if self._keeping and new:
            self._store.append(self._delivery, new)
            self._store.fold()
        return sum(there)
