"""Write mode ``batch``: many records a request, and what to do when one is refused."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.batching import Batch, BatchCutter, Run
from airflow_provider_osmosdest.core.delivery.courier import PASSING
from airflow_provider_osmosdest.core.delivery.envelope import Envelope
from airflow_provider_osmosdest.core.delivery.sizing import SizeLimit
from airflow_provider_osmosdest.core.delivery.splitting import Splitter
from airflow_provider_osmosdest.core.delivery.verdict import Verdict
from airflow_provider_osmosdest.core.errors import DeliveryError, SystemicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_osmosdest.core.delivery.courier import Courier
    from airflow_provider_osmosdest.core.delivery.judging import Judgement
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.delivery.outcomes import Outcomes
    from airflow_provider_osmosdest.core.delivery.patience import Patience
    from airflow_provider_osmosdest.core.schema.bulk import Validated

__all__ = ["BatchMode"]

# An API that names one bad item at a time would have the rest sent again for each.
_ITEM_ROUNDS = 3
# A part of a chunk whose retries are spent has seen the API fail through all of the backoff already.
_RETRIES_OF_A_PART = 1
# What says something of the records themselves, and so settles them even where it stops the delivery.
_SETTLING = frozenset({Verdict.REFUSED, Verdict.TOO_LARGE, Verdict.AMBIGUOUS})


class BatchMode:
    """
    Deliver in batches.

    :param options: the write options
    :param courier: sends a chunk
    :param outcomes: settles records
    :param patience: says when to stop
    """

    def __init__(self, options: DeliveryOptions, courier: Courier, outcomes: Outcomes, patience: Patience) -> None:
        self._options = options
        self._courier = courier
        self._outcomes = outcomes
        self._patience = patience
        # In bytes of records: with the envelope's added, cutting to the limit might leave a part as it is.
        self._sizes = SizeLimit()
        around = Envelope.of(options.envelope)
        if options.batch_format == "json":
            around = Envelope(around.prefix + b"[", b"]" + around.suffix)
            # The last record of an array has no separator, which a batch's bytes count.
            overhead = len(around.prefix) + len(around.suffix) - len(b",\n")
        else:
            overhead = 0
        self._envelope = around
        self._cutter = BatchCutter(options.batch_size, options.max_batch_bytes, overhead)
        self._parts: deque[tuple[Batch, int, int]] = deque()

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

    def abandon(self, reason: str) -> None:
        """Settle everything that was taken and is not settled yet as ``unsent``."""
        for batch in self._cutter.flush():
            self._parts.append((batch, 0, batch.size))
        while self._parts:
            batch, start, stop = self._parts.popleft()
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
        self._parts.append((batch, 0, batch.size))
        rounds = _ITEM_ROUNDS
        while self._parts:
            batch, start, stop = self._parts[0]
            limit = self._sizes.limit
            if limit is not None and batch.bytes_between(start, stop) > limit and stop - start > 1:
                self._parts.popleft()
                self._parts.extendleft(reversed(_cut_by_bytes(batch, start, stop, limit)))
                continue
            rounds = self._send_part(batch, start, stop, rounds)

    def _send_part(self, batch: Batch, start: int, stop: int, rounds: int) -> int:
        """Send the part on top; settle it, or put in its place what it is cut into."""
        body = batch.body(start, stop, self._envelope)
        judgement, attempts = self._courier.send(body, stop - start, self._options.max_retries)
        spent = judgement.verdict in PASSING
        if (error := self._patience.hear(judgement, stop - start, in_full=True)) is not None:
            if judgement.verdict in _SETTLING:
                self._parts.popleft()
                self._outcomes.failed(_outcome(judgement), batch.items(start, stop), judgement, attempts)
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
        elif stop - start == 1 or self._options.on_batch_failure == "fail":
            self._parts.popleft()
            self._outcomes.failed(_outcome(judgement), batch.items(start, stop), judgement, attempts)
        else:
            self._parts.popleft()
            retries = min(self._options.max_retries, _RETRIES_OF_A_PART) if spent else self._options.max_retries
            self._split(batch, start, stop, retries)
        return rounds

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
                judgement, attempts = self._courier.send(batch.body(first, last, self._envelope), last - first, retries)
                error = self._patience.hear(judgement, last - first, in_full=retries == self._options.max_retries)
                if error is not None and judgement.verdict not in _SETTLING:
                    raise error
                if judgement.verdict is Verdict.ACCEPTED:
                    splitter.accepted()
                    self._accepted(batch, first, last, judgement, attempts)
                elif last - first == 1 or error is not None:
                    splitter.refused() if last - first == 1 else splitter.accepted()
                    self._outcomes.failed(_outcome(judgement), batch.items(first, last), judgement, attempts)
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
        self._outcomes.delivered(stop - start - len(judgement.items))

    def _take_its_word(self, batch: Batch, start: int, stop: int, judgement: Judgement, attempts: int) -> Batch | None:
        """Reject the items a refusal names and return the others, which were refused only along with them."""
        self._refuse_items(batch, start, judgement, attempts)
        inside = Batch(batch.runs(start, stop))
        return inside.without(judgement.items)

    def _refuse_items(self, batch: Batch, start: int, judgement: Judgement, attempts: int) -> None:
        for position, error in sorted(judgement.items.items()):
            record = (batch.index(start + position), batch.record(start + position))
            self._outcomes.failed("rejected", [record], judgement, attempts, error)

    def _check_bound(self, sent: int) -> None:
        if sent >= self._options.max_split_requests:
            msg = (
                f"splitting one batch took {sent:,} requests, the bound of max_split_requests, and is not done: too "
                "many of its records are refused. Look at the failures file for the reason, or raise the bound."
            )
            raise SystemicError(msg)


def _outcome(judgement: Judgement) -> str:
    """Return the outcome of records that this answer settles: without any answer nobody knows."""
    return "unknown" if judgement.verdict is Verdict.AMBIGUOUS else "rejected"


def _cut_by_bytes(batch: Batch, start: int, stop: int, limit: int) -> list[tuple[Batch, int, int]]:
    """Cut a part into the fewest parts of at most ``limit`` bytes each, or single records that are larger."""
    parts: list[tuple[Batch, int, int]] = []
    while start < stop:
        end = batch.fitting(start, stop, limit)
        parts.append((batch, start, end))
        start = end
    return parts
