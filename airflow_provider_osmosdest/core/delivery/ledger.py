"""
The ledger: which records are settled, so that a retried task goes on instead of starting again.

One small JSON document. What it says is true of storage at every moment: a record that failed stands in it only once
its failure record is durable, and a chunk stands in it before it is sent wherever its borders could not be found again.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_osmosdest.core.delivery.ranges import RangeSet
from airflow_provider_osmosdest.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COUNTS", "Chunk", "Entry", "LedgerStore", "read_entry"]

_VERSION = 1

COUNTS = ("delivered", "duplicate", "invalid", "rejected", "unknown", "requests", "retries", "splits", "bytes_sent")
"""The counts of a report that go on from attempt to attempt."""


class LedgerStore(Protocol):
    """Where a ledger is kept: one document, replaced whole."""

    def load(self) -> bytes | None:
        """
        Return the document, ``None`` if there is none.

        :raises StorageError: when it cannot be read
        """

    def save(self, document: bytes, *, last: bool = False) -> None:
        """
        Replace the document: after a crash the old one or the new one is there.

        :param last: nothing more is written in this attempt
        :raises StorageError: when it cannot be written
        """


@dataclass(frozen=True, slots=True)
class Chunk:
    """
    A chunk about to be sent, by the indexes of its records.

    :param start: index of its first record
    :param stop: index behind its last record
    :param without: valid records in between that are not part of it
    """

    start: int
    stop: int
    without: tuple[int, ...] = ()


@dataclass(slots=True)
class Entry:
    """
    What a ledger says.

    :param delivery_id: the same in every retry
    :param fingerprint: of the source, ``None`` where it has none
    :param complete: the delivery is over and nothing of it is left to mend
    :param settled: indexes whose outcome is final and durable
    :param sending: what was about to be sent when this was written
    :param reach: index behind the last record that may be sent under ``at_least_once`` before this is written again;
        0 once the attempt has ended, or where nothing is sent that was not noted
    :param doubtful: indexes that such an attempt may have sent without an answer that tells, settled since or not
    :param counts: of the settled records, and of all requests
    :param reasons: why settled records failed
    :param parts: names of the durable parts of the failures file
    :param seconds: how long all attempts took
    :param attempts: how many attempts were begun
    :param occasion: what the last attempt was made for, the same in every retry; ``None`` where nobody says
    """

    delivery_id: str
    fingerprint: str | None = None
    complete: bool = False
    settled: RangeSet = field(default_factory=RangeSet)
    sending: tuple[Chunk, ...] = ()
    reach: int = 0
    doubtful: RangeSet = field(default_factory=RangeSet)
    counts: dict[str, int] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    parts: list[str] = field(default_factory=list)
    seconds: float = 0.0
    attempts: int = 0
    occasion: str | None = None

    @classmethod
    def new(cls, fingerprint: str | None, occasion: str | None = None) -> Entry:
        """Begin a delivery that nobody has heard of."""
        return cls(delivery_id=uuid.uuid4().hex, fingerprint=fingerprint, occasion=occasion)

    def to_json(self) -> bytes:
        """Return the document."""
        document = {
            "version": _VERSION,
            "delivery_id": self.delivery_id,
            "fingerprint": self.fingerprint,
            "complete": self.complete,
            "settled": self.settled.flat(),
            "sending": [asdict(chunk) for chunk in self.sending],
            "reach": self.reach,
            "doubtful": self.doubtful.flat(),
            "counts": self.counts,
            "reasons": dict(self.reasons.most_common(20)),
            "parts": self.parts,
            "seconds": round(self.seconds, 3),
            "attempts": self.attempts,
            "occasion": self.occasion,
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def read_entry(document: bytes) -> Entry:
    """
    Read a ledger.

    :raises StorageError: when it is damaged; nothing may be concluded from it then
    """
    try:
        values: Mapping[str, Any] = json.loads(document)
        if values["version"] != _VERSION:
            msg = f"version {values['version']!r}, expected {_VERSION}"
            raise ValueError(msg)  # noqa: TRY301 - one message for all that is wrong with it
        return Entry(
            delivery_id=str(values["delivery_id"]),
            fingerprint=values["fingerprint"],
            complete=bool(values["complete"]),
            settled=RangeSet.from_flat(values["settled"]),
            sending=tuple(
                Chunk(int(chunk["start"]), int(chunk["stop"]), tuple(map(int, chunk["without"])))
                for chunk in values["sending"]
            ),
            reach=int(values.get("reach", 0)),
            doubtful=RangeSet.from_flat(values.get("doubtful", ())),
            counts={name: int(values["counts"].get(name, 0)) for name in COUNTS},
            reasons=Counter({str(reason): int(count) for reason, count in values["reasons"].items()}),
            parts=[str(name) for name in values["parts"]],
            seconds=float(values["seconds"]),
            attempts=int(values["attempts"]),
            occasion=values["occasion"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise StorageError(
            f"the ledger of this delivery is damaged ({error}), so nobody knows what was sent. Remove it from the "
            "delivery's folder or the task's state to send everything again, or restore it."
        ) from error
