"""
The ledger: which records are settled and which are in doubt, so that a retried task goes on instead of starting again.

One small JSON document, true of storage at all times: a record that failed stands in it only once
its failure record is durable, and what is sent stands in it before.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
from airflow_provider_osmosdest.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["COUNTS", "Chunk", "DocumentStore", "Ledger", "LedgerStore", "read_ledger"]

_VERSION = 2
# As version 0.1.0 wrote it: without a checksum.
_UNCHECKED = 1

COUNTS = ("delivered", "duplicate", "invalid", "rejected", "unknown", "requests", "retries", "splits", "bytes_sent")
"""The counts of a report that go on from attempt to attempt."""


class DocumentStore(Protocol):
    """Where a small document is kept that is replaced whole."""

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


class LedgerStore(DocumentStore, Protocol):
    """Where a ledger is kept, and beside it the attempt that may go on with the delivery."""

    def claim(self, attempt: str) -> None:
        """
        Let an attempt take over the delivery; an attempt before it must stop.

        :param attempt: the attempt's id
        :raises StorageError: when that cannot be written
        """

    def holder(self) -> str | None:
        """
        Return the id of the attempt that claimed the delivery last, ``None`` where none has.

        :raises StorageError: when it cannot be read
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

    def ranges(self) -> list[tuple[int, int]]:
        """Return the index ranges its records lie in."""
        borders = [self.start - 1, *self.without, self.stop]
        return [(first + 1, last) for first, last in pairwise(borders) if first + 1 < last]


@dataclass(slots=True)
class Ledger:
    """
    The state of a delivery, as its ledger holds it.

    :param delivery_id: the same in every retry
    :param fingerprint: of the source, ``None`` where it has none
    :param complete: the delivery is over and nothing of it is left to mend
    :param settled: indexes whose outcome is final and durable
    :param sending: chunks in doubt: about to be sent when this was written, or sent without an answer that settles it;
        the next attempt sends them again as they were
    :param window: in record mode the indexes that may be sent before this is written again, from the first up to,
        but without, the second
    :param in_doubt: other indexes that may have been sent without an answer that settles it
    :param counts: of the settled records, and of all requests
    :param reasons: why settled records failed
    :param parts: names of the durable parts of the failures file
    :param seconds: how long all attempts took
    :param attempts: how many attempts were begun
    :param run_key: of the last attempt, the same in every retry; ``None`` where the caller gave none
    :param host: machine that has the folder of the last attempt, ``None`` where all machines see it
    :param started_at: when the first attempt began, in ISO 8601
    :param ended_at: when the last attempt ended, in ISO 8601
    """

    delivery_id: str
    fingerprint: str | None = None
    complete: bool = False
    settled: RangeSet = field(default_factory=RangeSet)
    sending: tuple[Chunk, ...] = ()
    window: tuple[int, int] = (0, 0)
    in_doubt: RangeSet = field(default_factory=RangeSet)
    counts: dict[str, int] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    parts: list[str] = field(default_factory=list)
    seconds: float = 0.0
    attempts: int = 0
    run_key: str | None = None
    host: str | None = None
    started_at: str | None = None
    ended_at: str | None = None

    @classmethod
    def new(cls, fingerprint: str | None, run_key: str | None = None) -> Ledger:
        """Begin a delivery."""
        return cls(delivery_id=uuid.uuid4().hex, fingerprint=fingerprint, run_key=run_key)

    def doubts(self) -> RangeSet:
        """Return all indexes that are not settled and may have been sent without an answer that settles it."""
        doubts = self.in_doubt.copy()
        doubts.add(*self.window)
        for chunk in self.sending:
            doubts.add_ranges(chunk.ranges())
        return doubts.without(self.settled)

    def to_json(self) -> bytes:
        """Return the document."""
        document = {
            "version": _VERSION,
            "delivery_id": self.delivery_id,
            "fingerprint": self.fingerprint,
            "complete": self.complete,
            "settled": self.settled.flat(),
            "sending": [asdict(chunk) for chunk in self.sending],
            "window": self.window,
            "in_doubt": self.in_doubt.flat(),
            "counts": self.counts,
            "reasons": dict(self.reasons.most_common(20)),
            "parts": self.parts,
            "seconds": round(self.seconds, 3),
            "attempts": self.attempts,
            "occasion": self.run_key,
            "host": self.host,
        }
        document |= {name: at for name in ("started_at", "ended_at") if (at := getattr(self, name)) is not None}
        # As it will be read: half a character is written as a question mark.
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
        return b'{"checksum":"%s",%s' % (_checksum(json.loads(text)).encode(), text[1:])


def _checksum(values: Mapping[str, Any]) -> str:
    """Return a digest of a ledger's values; stores may change the order of its keys, and its spaces."""
    canonical = json.dumps({name: values[name] for name in values if name != "checksum"}, sort_keys=True)
    return sha256(canonical.encode()).hexdigest()[:32]


def _window(borders: Sequence[Any]) -> tuple[int, int]:
    start, stop = borders
    return int(start), int(stop)


def _damage(error: Exception) -> str:
    """Say what is wrong with a document, in words that need no look into this module."""
    match error:
        case json.JSONDecodeError() | UnicodeDecodeError() | RecursionError():
            return f"expected JSON, and it was cut off or changed ({error})"
        case KeyError():
            return f"it has no {error}"
        case TypeError() | AttributeError():
            return f"a value in it is of another kind than was written ({error})"
        case _:
            return str(error)


def read_ledger(document: bytes, folder: object = None) -> Ledger:
    """
    Read a ledger.

    :param document: what was kept
    :param folder: the delivery's, which errors name
    :raises StorageError: when it is damaged; nothing may be concluded from it then
    """
    try:
        values: Mapping[str, Any] = json.loads(document)
        if values["version"] not in (_VERSION, _UNCHECKED):
            msg = f"found version {values['version']!r}, expected {_VERSION} at most"
            raise ValueError(msg)  # noqa: TRY301 - one message for all that is wrong with it
        if values["version"] != _UNCHECKED and values["checksum"] != _checksum(values):
            msg = "its checksum does not fit what it says: it was changed by hand, or by the disk"
            raise ValueError(msg)  # noqa: TRY301 - likewise
        return Ledger(
            delivery_id=str(values["delivery_id"]),
            fingerprint=values["fingerprint"],
            complete=bool(values["complete"]),
            settled=RangeSet.from_flat(values["settled"]),
            sending=tuple(
                Chunk(int(chunk["start"]), int(chunk["stop"]), tuple(map(int, chunk["without"])))
                for chunk in values["sending"]
            ),
            # Version 0.1.0 noted how far it had come instead of a window, and called what is in doubt doubtful.
            window=_window(values.get("window") or (0, values.get("reach", 0))),
            in_doubt=RangeSet.from_flat(values.get("in_doubt", values.get("doubtful", ()))),
            counts={name: int(values["counts"].get(name, 0)) for name in COUNTS},
            reasons=Counter({str(reason): int(count) for reason, count in values["reasons"].items()}),
            parts=[str(name) for name in values["parts"]],
            seconds=float(values["seconds"]),
            attempts=int(values["attempts"]),
            run_key=values["occasion"],
            host=values.get("host"),
            started_at=values.get("started_at"),
            ended_at=values.get("ended_at"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        of = "this delivery" if folder is None else f"the delivery in {folder}"
        raise StorageError(
            f"the ledger of {of} is damaged: {_damage(error)}. So it is not known what was sent. Restore it; or look "
            "at what is left with 'airflow osmosdest delivery show', and begin anew with 'airflow osmosdest delivery "
            "forget', after which all is sent again under the same keys."
        ) from error
