"""Find the duplicates among the records of one delivery, and keep the keys of those that were delivered."""

from __future__ import annotations

import time
from array import array
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow_provider_osmosdest.core.seen.key_table import KeyFilter
from airflow_provider_osmosdest.core.seen.keys import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_osmosdest.core.seen.keys import RecordKeys
    from airflow_provider_osmosdest.core.seen.share import KeyShare
    from airflow_provider_osmosdest.core.seen.store import SeenStore

__all__ = ["Deduplicator", "Settled"]

# A segment each second would be a thousand small objects in a delivery that sends one by one.
_SECONDS = 30.0
_KEYS = 500_000


class Settled(Protocol):
    """The indexes whose outcome is final: a set of ranges."""

    def __contains__(self, index: int) -> bool:
        """Whether an index is in the set."""

    def covers(self, start: int, stop: int) -> bool:
        """Whether every index from ``start`` up to, but without, ``stop`` is in the set."""

    def touches(self, start: int, stop: int) -> bool:
        """Whether any index from ``start`` up to, but without, ``stop`` is in the set."""


@dataclass(slots=True)
class _Block:
    """Records whose outcome is open: their indexes, ascending, and their keys, one behind the other."""

    indexes: Sequence[int]
    keys: bytes


class Deduplicator:
    """
    Find duplicates as records are read, and keep the keys of records as they are delivered.

    The keys of what is delivered are written before the ledger that calls it settled for good, and from time
    to time before. A crash in between loses no key for good: the next attempt reads the same records again, finds
    them settled, and keeps their keys then. The keys of failed records are never kept.

    :param keys: computes the keys of records
    :param store: what earlier runs delivered; ``None`` to look for duplicates within this run only
    :param delivery: id of this delivery, the same in every attempt
    :param keeping: whether to add to the store; ``False`` in a dry run
    :param failed: indexes of the records that failed for good in an earlier attempt
    :param share: which records are this delivery's, ``None`` for all
    :param clock: seconds that only ever grow
    :raises StorageError: when the store cannot be read
    """

    def __init__(
        self,
        keys: RecordKeys,
        store: SeenStore | None,
        delivery: str,
        *,
        keeping: bool = True,
        failed: Iterable[int] = (),
        share: KeyShare | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._store = store
        self._delivery = delivery
        self._keeping = keeping and store is not None
        self._failed = set(failed)
        self._share = share
        self._clock = clock
        self._kept = clock()
        # Without its own keys an attempt calls the same records duplicates as the one before.
        self._filter = KeyFilter(None if store is None else store.load(without=delivery))
        self._open: deque[_Block] = deque()
        self._waiting = 0

    def left_out(self, lines: bytes, indexes: Sequence[int]) -> tuple[list[int], list[int]]:
        r"""
        Return the positions of the records that are not to be sent: duplicates, and those of other shares.

        A duplicate was delivered by an earlier run, or came before in this one.

        To be called with every valid record of the source, in order, also those an earlier attempt has settled.

        :param lines: valid records as the validator writes them, each followed by ``b"\n"``
        :param indexes: of the records
        """
        keys = self._keys.of(lines)
        others: list[int] = []
        if self._share is None:
            found = self._filter.duplicates(keys)
        else:
            looked_at = [at for at, key in enumerate(keys) if self._share.has_key(key)]
            found = [looked_at[at] for at in self._filter.duplicates([keys[at] for at in looked_at])]
            own = {at for at in looked_at if indexes[at] >= self._share.first}
            found = [at for at in found if at in own]
            others = [at for at in range(len(keys)) if at not in own]
        if self._keeping:
            if found or others:
                gone = {*found, *others}
                first = [at for at in range(len(keys)) if at not in gone]
                indexes = array("Q", [indexes[at] for at in first])
                keys = [keys[at] for at in first]
            elif not isinstance(indexes, range):
                indexes = array("Q", indexes)
            if keys:
                self._open.append(_Block(indexes, b"".join(keys)))
                self._waiting += len(keys)
        return found, others

    def fail(self, indexes: Iterable[int]) -> None:
        """Note records that failed for good, whose keys are not kept."""
        if self._keeping:
            self._failed.update(indexes)

    def keep(self, settled: Settled, *, last: bool = False) -> None:
        """
        Write the keys of delivered records to the store, at intervals.

        To be called before the ledger is written.

        :param settled: the records whose outcome is final
        :param last: nothing more comes
        :raises StorageError: when the store cannot be written
        """
        if not self._keeping or self._store is None:
            return
        if not last and self._waiting < _KEYS and self._clock() - self._kept < _SECONDS:
            return
        self._store.append(self._delivery, self._take_delivered(settled))
        self._kept = self._clock()
        if last:
            self._keeping = False
            self._store.fold()

    def _take_delivered(self, settled: Settled) -> list[bytes]:
        """Take out the waiting records whose outcome is final, and return the keys of the delivered ones."""
        delivered: list[bytes] = []
        still: deque[_Block] = deque()
        for block in self._open:
            first, stop = block.indexes[0], block.indexes[-1] + 1
            if not settled.touches(first, stop):
                still.append(block)
                continue
            whole = settled.covers(first, stop)
            if whole and self._failed.isdisjoint(block.indexes):
                delivered += [block.keys[at : at + KEY_BYTES] for at in range(0, len(block.keys), KEY_BYTES)]
                continue
            rest: list[int] = []
            for at, index in enumerate(block.indexes):
                if not whole and index not in settled:
                    rest.append(at)
                elif index not in self._failed:
                    delivered.append(block.keys[at * KEY_BYTES : (at + 1) * KEY_BYTES])
            if rest:
                keys = b"".join([block.keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] for at in rest])
                still.append(_Block(array("Q", [block.indexes[at] for at in rest]), keys))
        self._open = still
        self._waiting = sum(len(block.indexes) for block in still)
        return delivered
