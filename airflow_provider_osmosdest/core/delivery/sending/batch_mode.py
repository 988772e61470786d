"""Write mode ``batch``: many records a request, and what to do when one is refused."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.batching.accumulator import BatchAccumulator
from airflow_provider_osmosdest.core.delivery.batching.batch import Run
from airflow_provider_osmosdest.core.delivery.batching.group_testing import GroupTesting
from airflow_provider_osmosdest.core.delivery.batching.size_limit import SizeLimit
from airflow_provider_osmosdest.core.delivery.envelope import Envelope
from airflow_provider_osmosdest.core.delivery.responses.sends import Sends
from airflow_provider_osmosdest.core.delivery.sending.chunk import Chunk, resumed
from airflow_provider_osmosdest.core.delivery.sending.chunk_sender import ChunkSender
from airflow_provider_osmosdest.core.errors import DeliveryError, StoppedError, SystemicError, WaitError
from airflow_provider_osmosdest.core.http.verdict import REFUSALS, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_osmosdest.core.delivery.batching.batch import Batch
    from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification
    from airflow_provider_osmosdest.core.delivery.sending.context import SendContext
    from airflow_provider_osmosdest.core.schema.validation.bulk import Validated

__all__ = ["BatchMode"]

# An API that names one bad item at a time would have the rest sent again for each.
_ITEM_ROUNDS = 3
# A part of a chunk whose retries are spent has seen the API fail through all of the backoff already.
_RETRIES_OF_A_PART = 1
# Verdicts on the records themselves, which settle them even where they stop the delivery.
_SETTLING = frozenset({Verdict.REFUSED, Verdict.TOO_LARGE, Verdict.IN_DOUBT, Verdict.FAILED, Verdict.UNREADABLE})


class BatchMode:
    """
    Deliver in batches.

    :param context: what all requests of the attempt share
    """

    def __init__(self, context: SendContext) -> None:
        options = context.options
        self._context = context
        self._options = options
        self._sender = ChunkSender(context)
        self._outcomes = context.outcomes
        self._journal = context.outcomes.journal
        self._stop_policy = context.stop_policy
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
        self._accumulator = BatchAccumulator(options.batch_size, options.max_batch_bytes, overhead, whole)
        self._batches: deque[Batch] = deque()
        self._chunks: deque[Chunk] = deque()
        self._rounds = _ITEM_ROUNDS

    def take(self, validated: Validated, indexes: Sequence[int]) -> None:
        """
        Take the valid records of a block.

        :param validated: the block
        :param indexes: the index of each of its valid records
        """
        if not indexes:
            return
        if self._options.batch_format == "json":
            run = Run(validated.lines.replace(b"\n", b",\n"), indexes, b",\n")
        else:
            run = Run(validated.lines, indexes)
        # All batches are cut before the first is sent: where that stops the delivery, the rest must be settled, too.
        self._batches.extend(self._accumulator.add(run))

    def send(self, *, last: bool = False) -> None:
        """
        Send the batches that are full.

        :param last: the source has ended: send what is left as well
        :raises DeliveryError: when the delivery must stop; :meth:`abandon` then settles what is left
        """
        if last:
            self._batches.extend(self._accumulator.flush())
        while self._batches:
            self._chunks.extend(resumed(self._batches.popleft(), self._journal.resumed))
            self._rounds = _ITEM_ROUNDS
            while self._chunks:
                chunk = self._chunks[0]
                limit = self._sizes.limit
                if limit is not None and chunk.length > limit and chunk.size > 1 and not chunk.in_doubt:
                    self._chunks.popleft()
                    self._chunks.extendleft(reversed(chunk.cut_by_bytes(limit)))
                    continue
                classification = self._send_chunk(chunk, self._options.max_retries)
                if not self._settle(chunk, classification):
                    self._split(chunk, spent=self._context.passing(classification))
            self._journal.tick(end_of_batch=True)

    def abandon(self, reason: str, *, at_once: bool = False) -> None:  # noqa: ARG002 - nothing here waits
        """Settle everything that was taken and is not settled yet."""
        self._batches.extend(self._accumulator.flush())
        self._chunks.extend(map(Chunk.whole, self._batches))
        self._batches.clear()
        while self._chunks:
            self._outcomes.unsent(self._chunks.popleft().items, reason)

    def _send_chunk(self, chunk: Chunk, retries: int) -> Classification:
        """Send a chunk, noted in the ledger before it goes, and keep with it what became of its sends."""
        batch = chunk.batch
        options = self._options
        sends = Sends(retries, timeout=options.timeout, once=options.once, inherited=chunk.in_doubt)
        key = batch.key(self._journal.delivery_id, chunk.start, chunk.stop)
        body = batch.body(chunk.start, chunk.stop, self._envelope)
        try:
            classification = self._sender.send(body, chunk.size, key, sends, lambda: self._journal.note(chunk.noted))
        except (StoppedError, WaitError):
            self._conclude(chunk, sends, in_doubt=sends.in_doubt)
            raise
        match classification.verdict:
            case Verdict.IN_DOUBT:
                self._conclude(chunk, sends, in_doubt=chunk.size == 1 or not self._splits_unanswered)
            case Verdict.MISCONFIGURED:
                self._conclude(chunk, sends, in_doubt=sends.in_doubt)
            case _:
                self._conclude(chunk, sends, in_doubt=False)
        chunk.earlier_error = sends.earlier_error or chunk.earlier_error
        chunk.attempts = sends.attempts
        return classification

    def _conclude(self, chunk: Chunk, sends: Sends, *, in_doubt: bool) -> None:
        """Note whether a chunk is in doubt, for later sends of its records in this attempt and the next."""
        if sends.earlier_error:
            self._journal.doubt(chunk.noted.ranges())
        if in_doubt:
            self._journal.left_in_doubt()
        else:
            self._journal.answered()

    @property
    def _splits_unanswered(self) -> bool:
        return self._options.on_no_answer == "split"

    def _settle(self, chunk: Chunk, classification: Classification) -> bool:
        """Settle the chunk on top, or put in its place what is sent instead; return whether it need not be split."""
        verdict = classification.verdict
        error = self._observe(classification, chunk, in_full=not self._context.once)
        if error is not None:
            if verdict in _SETTLING or classification.items:
                self._chunks.popleft()
                self._failed(chunk, classification, classification.items.get(0, ""))
            raise error
        if verdict is Verdict.TOO_LARGE and chunk.size > 1:
            self._outcomes.tally.splits += 1
            self._sizes.failed(chunk.length)
            chunk.in_doubt = False
            return True
        self._chunks.popleft()
        if _is_taken(classification, chunk):
            self._sizes.passed(chunk.length)
            self._accepted(chunk, classification)
        elif (classification.items or classification.existing) and self._rounds:
            self._rounds -= 1
            rest = self._settle_named(chunk, classification)
            if rest is not None:
                self._chunks.appendleft(Chunk.whole(rest, earlier_error=chunk.earlier_error))
        elif chunk.size == 1 or self._options.on_batch_failure == "fail" or self._is_final(classification):
            self._failed(chunk, classification)
        else:
            return False
        return True

    def _observe(self, classification: Classification, chunk: Chunk, *, in_full: bool) -> DeliveryError | None:
        """Return the error to stop with after this answer, ``None`` to go on."""
        if classification.verdict is Verdict.IN_DOUBT and chunk.size > 1 and self._keeps_whole:
            return self._stop_policy.unanswered(classification, chunk.size)
        if classification.verdict in REFUSALS and chunk.size == 1 and chunk.earlier_error:
            # It may be refused because it was taken before, which says nothing about the others.
            return None
        return self._stop_policy.observe(classification, chunk.size, in_full=in_full)

    @property
    def _keeps_whole(self) -> bool:
        """Whether a chunk in doubt must stay whole until an answer settles it; ``at_most_once`` gives it up instead."""
        return not self._context.once and not self._splits_unanswered

    def _is_final(self, classification: Classification) -> bool:
        """Whether a chunk may have been taken, and nothing may be sent again that may have been."""
        return classification.verdict in (Verdict.IN_DOUBT, Verdict.FAILED) and self._context.once

    def _split(self, chunk: Chunk, *, spent: bool) -> None:
        """
        Send ever smaller parts of a chunk until each is settled.

        :param spent: the API seems to be unavailable, and all retries of the chunk are spent
        """
        retries = min(self._options.max_retries, _RETRIES_OF_A_PART) if spent else self._options.max_retries
        testing = GroupTesting(chunk.size)
        self._outcomes.tally.splits += 1
        sent = 0
        try:
            while (borders := testing.next_range()) is not None:
                self._check_bound(sent)
                sent += 1
                part = chunk.part(*borders)
                classification = self._send_chunk(part, retries)
                error = self._observe(classification, part, in_full=not spent)
                if error is not None and classification.verdict not in _SETTLING and not classification.items:
                    raise error
                if _is_taken(classification, part):
                    testing.accepted()
                    self._accepted(part, classification)
                elif part.size == 1 or error is not None or self._is_final(classification):
                    testing.refused() if part.size == 1 else testing.accepted()
                    self._failed(part, classification)
                else:
                    testing.refused()
                    self._outcomes.tally.splits += 1
                if error is not None:
                    raise error
        except DeliveryError:
            left = [chunk.part(first, last) for first, last in testing.unsettled()]
            self._chunks.extendleft(reversed(left))
            raise

    def _accepted(self, chunk: Chunk, classification: Classification) -> None:
        if classification.verdict is Verdict.EXISTS:
            self._outcomes.duplicates([chunk.batch.index(chunk.start)])
            return
        self._settle_items(chunk, classification)
        others = chunk.size - len(classification.items) - len(classification.existing)
        if others:
            self._outcomes.delivered(others, chunk.noted.ranges())

    def _settle_named(self, chunk: Chunk, classification: Classification) -> Batch | None:
        """Settle the items a refusal names; return the others, which were only refused along with them."""
        self._settle_items(chunk, classification)
        return chunk.batch.part(chunk.start, chunk.stop).without({*classification.items, *classification.existing})

    def _settle_items(self, chunk: Chunk, classification: Classification) -> None:
        for position, error in sorted(classification.items.items()):
            self._failed(chunk.part(position, position + 1), classification, error)
        if classification.existing:
            self._outcomes.duplicates(chunk.batch.index(chunk.start + at) for at in sorted(classification.existing))

    def _failed(self, chunk: Chunk, classification: Classification, error: str = "") -> None:
        self._outcomes.failed(
            chunk.items, classification, chunk.attempts, error=error, earlier_error=chunk.earlier_error
        )

    def _check_bound(self, sent: int) -> None:
        if sent >= self._options.max_split_requests:
            msg = (
                f"splitting one batch took {sent:,} requests, the bound of max_split_requests, and is not done: too "
                "many of its records are refused. Look at the failures file for the reason, or raise the bound."
            )
            raise SystemicError(msg)


def _is_taken(classification: Classification, chunk: Chunk) -> bool:
    """Whether the API has the chunk: it accepted it, or has the one record of it already."""
    verdict = classification.verdict
    return verdict is Verdict.ACCEPTED or (verdict is Verdict.EXISTS and chunk.size == 1)
