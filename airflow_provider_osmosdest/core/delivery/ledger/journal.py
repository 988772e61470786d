"""Write the ledger of a running delivery: before each send what is sent, after it what is settled."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.ledger.attempt import check_holder
from airflow_provider_osmosdest.core.delivery.ledger.failures import (
    FAILURES_PATTERN,
    FailuresFile,
    check_parts,
    fold_parts,
    lines_of,
    remove_parts,
)
from airflow_provider_osmosdest.core.delivery.ledger.ledger import COUNTS
from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_osmosdest.core.delivery.ledger.failures import Failure, RecordForm
    from airflow_provider_osmosdest.core.delivery.ledger.ledger import Chunk, Ledger, LedgerStore
    from airflow_provider_osmosdest.core.delivery.report import Tally
    from airflow_provider_osmosdest.core.seen.deduplicator import Deduplicator
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["PERIOD", "Journal"]

PERIOD = 1.0
"""Seconds between two writes at most, while answers come all the time."""

_BATCH_SECONDS = 0.1
# Failure records wait this long, in records and in seconds, before a part of the failures file is closed over them:
# a part each would be a thousand small objects. Until then the ledger does not call them settled.
_WAITING = 512
_WAITING_SECONDS = 10.0
_MOVABLE = 5_000
"""Records that failed which the ledger leaves out, one by one, where the next attempt may not see their file."""


class Journal:
    """
    The ledger of a delivery that is under way.

    :param ledger: its document, which is changed
    :param store: where it is kept
    :param folder: where the failures file is
    :param tally: the running counts, which go on from its own
    :param clock: seconds that only ever grow
    :param origin: returns further fields of the failure record of the record with an index
    :param deduplicator: keeps the keys of delivered records
    :param once: nothing may be sent again that may have been taken
    :param attempt: names this attempt, which has claimed the delivery; ``None`` where no other can begin
    :param movable: the next attempt may run where the folder is not seen: until the delivery is complete, what failed
        is not settled, so that it is found anew there
    """

    def __init__(
        self,
        ledger: Ledger,
        store: LedgerStore,
        folder: Folder,
        tally: Tally,
        *,
        clock: Callable[[], float] = time.monotonic,
        origin: Callable[[int], bytes] | None = None,
        deduplicator: Deduplicator | None = None,
        once: bool = False,
        attempt: str | None = None,
        movable: bool = False,
    ) -> None:
        self._ledger = ledger
        self._deduplicator = deduplicator
        self._store = store
        self._folder = folder
        self._tally = tally
        self._clock = clock
        self._attempt = attempt
        self._once = once
        self._movable = movable
        # What the ledger does not name may be what a later attempt is writing.
        self._check_holder()
        remove_parts(folder, ledger.parts)
        check_parts(folder, ledger.parts)
        self._failures = FailuresFile(folder, parts=ledger.parts, origin=origin)
        self._open = FailuresFile(folder, prefix="failures-open-", origin=origin)
        self._open_counts: Counter[str] = Counter()
        self._open_reasons: Counter[str] = Counter()
        self._waiting: dict[int, tuple[str, str]] = {}
        self._must_last = False
        self._waiting_since = self._written = self._started = clock()
        self._seconds = ledger.seconds
        self._indexes: list[int] = []
        self._sending: tuple[Chunk, ...] = ()
        self._owed = [chunk for chunk in ledger.sending if not ledger.settled.covers(chunk.start, chunk.stop)]
        self._window = (0, 0)
        self.earlier = ledger.settled.copy()
        ledger.in_doubt = ledger.doubts()
        self.resumed = () if once else tuple(self._owed)
        self.forbidden = self.in_doubt.copy() if once else RangeSet()
        """Indexes that must not be sent, as an earlier attempt may have sent them."""
        # What is complete is only told again.
        ledger.attempts += not ledger.complete
        ledger.started_at = ledger.started_at or _now()
        for name in COUNTS:
            setattr(tally, name, ledger.counts.get(name, 0))
        tally.reasons.update(ledger.reasons)

    @property
    def delivery_id(self) -> str:
        """The same in every attempt."""
        return self._ledger.delivery_id

    @property
    def in_doubt(self) -> RangeSet:
        """Indexes of which a send may have been taken; what is settled since may be among them."""
        return self._ledger.in_doubt

    @property
    def times(self) -> dict[str, Any]:
        """When the first attempt began and the last one ended, in ISO 8601, and how many there were."""
        ledger = self._ledger
        return {"started_at": ledger.started_at, "ended_at": ledger.ended_at, "attempts": ledger.attempts}

    @property
    def has_open(self) -> bool:
        """Whether records failed that another attempt sends again."""
        return self._open_counts.total() > 0

    @property
    def seconds(self) -> float:
        """How long all attempts took."""
        return self._seconds + self._clock() - self._started

    def deliver(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Settle ranges of indexes that the API took, or had already."""
        self._ledger.settled.add_ranges(ranges)

    def deliver_each(self, indexes: Iterable[int]) -> None:
        """Settle single indexes that the API took; they are put together when the ledger is written."""
        self._indexes += indexes

    def fail(self, failure: Failure, records: Iterable[tuple[int, bytes]], *, final: bool = True) -> None:
        """
        Keep failure records that have all but the record in common.

        :param failure: what they have in common
        :param records: index and JSON of each
        :param final: whether a retry leaves them as they are; else they are not settled
        """
        # A part would be written over the one of the same name that a later attempt has made.
        self.guard()
        indexes = (self._failures if final else self._open).write(failure, records)
        if not indexes:
            return
        reason = self._tally.count(failure.outcome, len(indexes), failure.error)
        unknown = failure.outcome == "unknown"
        # Where nothing in doubt is sent again, the next attempt can find out as much about it from the ledger.
        noted = not final or (self._movable and self._once)
        if unknown and noted:
            self.in_doubt.add_all(indexes)
        if final:
            # A refused record may be sent again after a crash; one that may have arrived must not.
            self._must_last = self._must_last or (unknown and not noted)
            self._wait(dict.fromkeys(indexes, (failure.outcome, reason)))
            return
        self._open_counts[failure.outcome] += len(indexes)
        self._open_reasons[reason] += len(indexes)

    def fail_each(
        self,
        outcome: str,
        records: Sequence[tuple[int, str, bytes]],
        reasons: Sequence[str],
        form: RecordForm = "source",
    ) -> None:
        """
        Keep failure records that were never sent, and settle them.

        :param records: index, error and JSON of each
        :param reasons: what to count each under
        :param form: of their JSON
        """
        self.guard()
        self._failures.write_each(outcome, records, form)
        counted = {reason: self._tally.count(outcome, count, reason) for reason, count in Counter(reasons).items()}
        self._wait({index: (outcome, counted[reason]) for (index, _, _), reason in zip(records, reasons, strict=True)})

    def _wait(self, settled: dict[int, tuple[str, str]]) -> None:
        if not self._waiting:
            self._waiting_since = self._clock()
        self._waiting |= settled
        if self._deduplicator is not None:
            self._deduplicator.fail(settled)

    def note(self, chunk: Chunk) -> None:
        """
        Write that a chunk is about to be sent; it is in doubt until :meth:`answered`.

        :raises StorageError: when ledger or failures cannot be written; it must not be sent then
        """
        self._sending = (chunk,)
        if chunk in self._owed:
            self._owed.remove(chunk)
        self.write()
        self._check_holder()

    def note_window(self, window: tuple[int, int]) -> None:
        """Write that the indexes of a window may be sent from now on, until the next one; errors as :meth:`note`."""
        self._window = window
        self.write()
        # After the write: an attempt that has not begun by now finds the window in the ledger.
        self._check_holder()

    def guard(self) -> None:
        """
        Make sure that no later attempt has begun; to be called before each send or write, and looked at once a second.

        A process that was stopped, or cut off, for longer than that finds out before it sends anything more.

        :raises SupersededError: when one has
        """
        if self._clock() - self._guarded >= PERIOD:
            self._check_holder()

    def _check_holder(self) -> None:
        check_holder(self._store, self._attempt, self.delivery_id)
        self._guarded = self._clock()

    def answered(self) -> None:
        """Note that what was sent last is not in doubt: the next write says so."""
        self._sending = ()

    def left_in_doubt(self) -> None:
        """Keep what was sent last as a chunk that the next attempt sends again as it was."""
        self._owed += self._sending
        self._sending = ()

    def doubt(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Note index ranges of which a send may have been taken, until they are settled."""
        self.in_doubt.add_ranges(ranges)

    def tick(self, *, end_of_batch: bool = False) -> None:
        """Write the ledger if it was not written for :data:`PERIOD`, or for a tenth of that at the end of a batch."""
        # The note of the next batch writes it, too; a crash before that finds the last chunk in doubt, and no other.
        if self._clock() - self._written >= (_BATCH_SECONDS if end_of_batch else PERIOD):
            self.write()

    def write(self, *, last: bool = False) -> None:
        """
        Write the ledger.

        :param last: nothing more is written in this attempt
        :raises StorageError: when ledger or failures cannot be written
        :raises SupersededError: when a later attempt has begun
        """
        # Not once a second: it would be written over the ledger of the later one.
        self._check_holder()
        if self._waiting and self._is_due():
            self._make_durable()
        ledger = self._ledger
        if self._indexes:
            ledger.settled.add_all(self._indexes)
            self._indexes = []
        # What an earlier attempt may have sent stays noted until its turn comes: records before it may come first.
        ledger.sending = (*self._sending, *self._owed)
        ledger.window = self._window
        ledger.seconds = self.seconds
        ledger.counts = {name: getattr(self._tally, name) - self._open_counts[name] for name in COUNTS}
        ledger.reasons = self._tally.reasons - self._open_reasons
        settled = ledger.settled
        if self._deduplicator is not None:
            # What the last ledger calls settled is never read again: its keys must be durable first.
            self._deduplicator.keep(settled, last=last)
        if self._waiting:
            # A crash now loses the failure records that wait; so their records are not settled yet.
            ledger.settled = settled.minus(self._waiting)
            ledger.counts = dict(Counter(ledger.counts) - Counter(outcome for outcome, _ in self._waiting.values()))
            ledger.reasons -= Counter(reason for _, reason in self._waiting.values())
        if self.in_doubt:
            ledger.in_doubt = ledger.in_doubt.without(ledger.settled)
        self._store.save(ledger.to_json(), last=last)
        ledger.settled = settled
        self._written = self._clock()

    def failure_lines(self) -> Iterator[bytes]:
        """
        Yield the failure records whose outcome is final, as they stand in the failures file.

        :raises StorageError: when it cannot be written or read
        """
        self._failures.close()
        return lines_of(self._folder, self._failures.parts)

    def close(self, *, complete: bool) -> str | None:
        """
        Make all of it durable, and fold the failures file into one part.

        :param complete: nothing is left that another attempt could mend
        :return: the path of the failures file, with ``*`` where it has several parts; ``None`` for no failures
        """
        self._check_holder()
        self._open.close()
        self._failures.close()
        durable = complete or not self._movable
        if durable:
            self._make_durable()
        if not self._ledger.complete:
            self._ledger.ended_at = _now()
        self._ledger.complete = complete
        # What was sent is settled, or noted as in doubt, by now.
        self._window = (0, 0)
        self.left_in_doubt()
        self._owed = [chunk for chunk in self._owed if not self._ledger.settled.covers(chunk.start, chunk.stop)]
        parts = names = self._failures.parts
        name = f"failures-all-{self._ledger.attempts}.ndjson"
        if durable and len(parts) > 1 and fold_parts(self._folder, parts, name):
            names = self._ledger.parts = [name]
        self.write(last=True)
        if len(parts) > len(names):
            remove_parts(self._folder, [*names, *self._open.parts])
        names = [*names, *self._open.parts]
        return str(self._folder / (names[0] if len(names) == 1 else FAILURES_PATTERN)) if names else None

    def _is_due(self) -> bool:
        if self._must_last or len(self._waiting) >= (_MOVABLE if self._movable else _WAITING):
            return True
        return not self._movable and self._clock() - self._waiting_since >= _WAITING_SECONDS

    def _make_durable(self) -> None:
        self._failures.close()
        self._ledger.settled.add_all(self._waiting)
        self._ledger.parts = list(self._failures.parts)
        self._waiting.clear()
        self._must_last = False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
