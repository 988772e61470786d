"""Write mode ``batch``: many records a request, and what to do when one is refused."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.batch import Batch, Run
from airflow_provider_osmosdest.core.delivery.batching import BatchCutter
from airflow_provider_osmosdest.core.delivery.envelope import Envelope
from airflow_provider_osmosdest.core.delivery.sizing import SizeLimit
from airflow_provider_osmosdest.core.delivery.splitting import Splitter
from airflow_provider_osmosdest.core.delivery.verdict import Verdict
from airflow_provider_osmosdest.core.errors import DeliveryError, StoppedError, SystemicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_osmosdest.core.delivery.attempt import Attempt
    from airflow_provider_osmosdest.core.delivery.courier import Courier
    from airflow_provider_osmosdest.core.delivery.judging import Judgement
    from airflow_provider_osmosdest.core.delivery.ledger import Chunk
    from airflow_provider_osmosdest.core.schema.bulk import Validated

__all__ = ["BatchMode"]

# An API that names one bad item at a time would have the rest sent again for each.
_ITEM_ROUNDS = 3
# A part of a chunk whose retries are spent has seen the API fail through all of the backoff already.
_RETRIES_OF_A_PART = 1
# What says something of the records themselves, and so settles them even where it stops the delivery.
_SETTLING = frozenset({Verdict.REFUSED, Verdict.TOO_LARGE, Verdict.AMBIGUOUS, Verdict.UNREADABLE})

_UNANSWERED = "the delivery was stopped before an answer to this record came"
_UNHEARD = "an earlier attempt sent this record and heard no answer; at_most_once forbids a second send"


class BatchMode:
    """
    Deliver in batches.

    :param attempt: what all requests share
    :param courier: sends a chunk
    """

    def __init__(self, attempt: Attempt, courier: Courier) -> None:
        options = attempt.options
        self._attempt = attempt
        self._options = options
        self._courier = courier
        self._outcomes = attempt.outcomes
        self._journal = attempt.outcomes.journal
        self._patience = attempt.patience
        self._sizes = SizeLimit()
        around = Envelope.of(options.envelope)
        if options.batch_format == "json":
            around = Envelope(around.prefix + b"[", b"]" + around.suffix)
            # The last record of an array has no separator, which a batch's bytes count.
            overhead = len(around.prefix) + len(around.suffix) - len(b",\n")
        else:
            overhead = 0
        self._envelope = around
        whole = [(chunk.start, chunk.stop) for chunk in self._journal.resumed]
        self._cutter = BatchCutter(options.batch_size, options.max_batch_bytes, overhead, whole)
        self._parts: deque[tuple[Batch, int, int]] = deque()
        # A batch that is cut from the source needs no note before it is sent: the next attempt cuts the same.
        self._cut: Batch | None = None
        self._unanswered: tuple[Batch, int, int] | None = None

    def take(self, validated: Validated, indexes: Sequence[int]) -> None:
        """
        Take the valid records of a block; send the batches they fill.

        :param validated: the block
        :param indexes: the index of each of its valid records
        :raises DeliveryError: when the delivery must stop; :meth:`abandon` then settles what is left
        """
        if not indexes:
            return
        if self._options.batch_format == "json":
            run = Run(validated.lines.replace(b"\n", b",\n"), indexes, b",\n")
        else:
            run = Run(validated.lines, indexes)
        self._deliver_all(self._cutter.add(run))

    def finish(self) -> None:
        """Send what is left at the end of the source."""
        self._deliver_all(self._cutter.flush())

    def abandon(self, reason: str, *, at_once: bool = False) -> None:  # noqa: ARG002 - nothing here waits
        """Settle everything that was taken and is not settled yet: ``unsent``, but for what awaits its answer."""
        for batch in self._cutter.flush():
            self._parts.append((batch, 0, batch.size))
        while self._parts:
            part = self._parts.popleft()
            batch, start, stop = part
            if part == self._unanswered:
                self._outcomes.unknown(batch.items(start, stop), _UNANSWERED)
            else:
                self._outcomes.unsent(batch.items(start, stop), reason)

    def _deliver_all(self, batches: Iterable[Batch]) -> None:
        # All of them are cut before the first is sent: where that stops the delivery, the rest must be settled too.
        waiting = deque(batches)
        try:
            while waiting:
                self._deliver(waiting.popleft())
        except DeliveryError:
            self._parts.extend((batch, 0, batch.size) for batch in waiting)
            raise

    def _deliver(self, batch: Batch) -> None:
        self._cut = batch
        self._parts.extend(self._resumed(batch))
        rounds = _ITEM_ROUNDS
        while self._parts:
            batch, start, stop = self._parts[0]
            limit = self._sizes.limit
            if limit is not None and batch.bytes_between(start, stop) > limit and stop - start > 1:
                self._parts.popleft()
                self._parts.extendleft(reversed(_cut_by_bytes(batch, start, stop, limit)))
                continue
            rounds = self._send_part(batch, start, stop, rounds)
        # Let go of it: the next one is collected now, and two in memory would be one too many.
        self._cut = None
        self._journal.write()

    def _resumed(self, batch: Batch) -> list[tuple[Batch, int, int]]:
        """Return what of a batch to send: first the chunk an earlier attempt was about to send, exactly as it was."""
        for chunk in self._journal.resumed:
            first, last = batch.ordinals(chunk.start, chunk.stop)
            if first < last:
                self._journal.take_over(chunk)
                parts = [(batch, 0, first), (batch, last, batch.size)]
                parts = [part for part in parts if part[1] < part[2]]
                return [*self._exactly(batch, first, last, chunk), *parts]
        return [(batch, 0, batch.size)]

    def _exactly(self, batch: Batch, first: int, last: int, chunk: Chunk) -> list[tuple[Batch, int, int]]:
        inside = batch.part(first, last)
        left_out = [at for hole in chunk.without for at in range(*inside.ordinals(hole, hole + 1))]
        same = inside.without(left_out) if left_out else inside
        if same is not None and self._attempt.once:
            self._outcomes.unknown(same.items(0, same.size), _UNHEARD)
            same = None
        parts = [] if same is None else [(same, 0, same.size)]
        return [*parts, *((inside, at, at + 1) for at in left_out)]

    def _send(self, batch: Batch, start: int, stop: int, retries: int) -> tuple[Judgement, int]:
        """Send a chunk, noted before it goes wherever its borders could not be found again."""
        if self._attempt.once or not self._is_cut_again(batch, start, stop):
            self._journal.write((batch.chunk(start, stop),))
        else:
            size = self._options.batch_size
            last = batch.index(stop - 1)
            # Written along with what settles the batch before, so that it costs no write of its own.
            self._journal.reaches(last + 1, (last // size + 2) * size)
        key = batch.key(self._journal.delivery_id, start, stop)
        try:
            return self._courier.send(batch.body(start, stop, self._envelope), stop - start, retries, key)
        except StoppedError:
            if self._courier.under_way:
                self._unanswered = (batch, start, stop)
            raise

    def _is_cut_again(self, batch: Batch, start: int, stop: int) -> bool:
        """Whether the next attempt cuts the same chunk from the source."""
        if batch is not self._cut or stop - start != batch.size:
            return False
        # With a bound in bytes, borders depend on which records before are settled, and that may change. So they do
        # around a chunk that an earlier attempt was about to send: once that is settled, nothing keeps it apart.
        size = self._options.batch_size
        number = batch.index(0) // size
        apart = any(chunk.start // size <= number <= (chunk.stop - 1) // size for chunk in self._journal.resumed)
        return self._options.max_batch_bytes is None and not apart

    def _send_part(self, batch: Batch, start: int, stop: int, rounds: int) -> int:
        """Send the part on top; settle it, or put in its place what it is cut into."""
        judgement, attempts = self._send(batch, start, stop, self._options.max_retries)
        spent = self._attempt.passing(judgement)
        if (error := self._patience.hear(judgement, stop - start, in_full=not self._attempt.once)) is not None:
            if judgement.verdict in _SETTLING:
                self._parts.popleft()
                self._outcomes.failed(batch.items(start, stop), judgement, attempts)
            raise error
        if judgement.verdict is Verdict.ACCEPTED:
            self._sizes.passed(batch.bytes_between(start, stop))
            self._parts.popleft()
            self._accepted(batch, start, stop, judgement, attempts)
        elif judgement.verdict is Verdict.TOO_LARGE and stop - start > 1:
            self._outcomes.tally.splits += 1
            self._sizes.failed(batch.bytes_between(start, stop))
        elif judgement.items and rounds:
            self._parts.popleft()
            rest = self._take_its_word(batch, start, stop, judgement, attempts)
            if rest is not None:
                self._parts.appendleft((rest, 0, rest.size))
            return rounds - 1
        elif stop - start == 1 or self._options.on_batch_failure == "fail" or self._is_lost(judgement):
            self._parts.popleft()
            self._outcomes.failed(batch.items(start, stop), judgement, attempts)
        else:
            self._parts.popleft()
            retries = min(self._options.max_retries, _RETRIES_OF_A_PART) if spent else self._options.max_retries
            self._split(batch, start, stop, retries)
        return rounds

    def _is_lost(self, judgement: Judgement) -> bool:
        """Whether nobody knows what became of a chunk, and it may not be sent again, not even in parts."""
        return judgement.verdict is Verdict.AMBIGUOUS and self._attempt.once

    def _split(self, batch: Batch, start: int, stop: int, retries: int) -> None:
        """Send ever smaller parts of a refused chunk until each is settled."""
        splitter = Splitter(stop - start)
        self._outcomes.tally.splits += 1
        sent = 0
        try:
            while (part := splitter.next_range()) is not None:
                self._check_bound(sent)
                sent += 1
                first, last = start + part[0], start + part[1]
                judgement, attempts = self._send(batch, first, last, retries)
                error = self._patience.hear(judgement, last - first, in_full=retries == self._options.max_retries)
                if error is not None and judgement.verdict not in _SETTLING:
                    raise error
                if judgement.verdict is Verdict.ACCEPTED:
                    splitter.accepted()
                    self._accepted(batch, first, last, judgement, attempts)
                elif last - first == 1 or error is not None or self._is_lost(judgement):
                    splitter.refused() if last - first == 1 else splitter.accepted()
                    self._outcomes.failed(batch.items(first, last), judgement, attempts)
                else:
                    splitter.refused()
                    self._outcomes.tally.splits += 1
                if error is not None:
                    raise error
        except DeliveryError:
            left = [(batch, start + first, start + last) for first, last in splitter.unsettled()]
            self._parts.extendleft(reversed(left))
            raise

    def _accepted(self, batch: Batch, start: int, stop: int, judgement: Judgement, attempts: int) -> None:
        self._refuse_items(batch, start, judgement, attempts)
        self._outcomes.delivered(stop - start - len(judgement.items), batch.index_ranges(start, stop))

    def _take_its_word(self, batch: Batch, start: int, stop: int, judgement: Judgement, attempts: int) -> Batch | None:
        """Reject the items a refusal names and return the others, which were refused only along with them."""
        self._refuse_items(batch, start, judgement, attempts)
        return batch.part(start, stop).without(judgement.items)

    def _refuse_items(self, batch: Batch, start: int, judgement: Judgement, attempts: int) -> None:
        for position, error in sorted(judgement.items.items()):
            record = (batch.index(start + position), batch.record(start + position))
            self._outcomes.failed([record], judgement, attempts, error)

    def _check_bound(self, sent: int) -> None:
        if sent >= self._options.max_split_requests:
            msg = (
                f"splitting one batch took {sent:,} requests, the bound of max_split_requests, and is not done: too "
                "many of its records are refused. Look at the failures file for the reason, or raise the bound."
            )
            raise SystemicError(msg)


def _cut_by_bytes(batch: Batch, start: int, stop: int, limit: int) -> list[tuple[Batch, int, int]]:
    """Cut a part into the fewest parts of at most ``limit`` bytes each, or single records that are larger."""
    parts: list[tuple[Batch, int, int]] = []
    while start < stop:
        end = batch.fitting(start, stop, limit)
        parts.append((batch, start, end))
        start = end
    return parts
