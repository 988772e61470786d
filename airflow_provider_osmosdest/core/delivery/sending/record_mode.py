"""Write mode ``record``: one record a request, many requests in flight."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING
from zlib import crc32

from airflow_provider_osmosdest.core.delivery.sending.context import GLANCE
from airflow_provider_osmosdest.core.delivery.envelope import Envelope
from airflow_provider_osmosdest.core.delivery.ledger.send_window import SendWindow
from airflow_provider_osmosdest.core.delivery.responses.sends import Sends
from airflow_provider_osmosdest.core.http.transport import Body, Request
from airflow_provider_osmosdest.core.delivery.responses.verdict import REFUSALS, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_osmosdest.core.delivery.sending.context import Attempt
    from airflow_provider_osmosdest.core.delivery.endpoint import EndpointTemplate
    from airflow_provider_osmosdest.core.delivery.responses.classifier import Judgement
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.http.transport import Answer
    from airflow_provider_osmosdest.core.errors import DeliveryError
    from airflow_provider_osmosdest.core.schema.validation.bulk import Validated

__all__ = ["RecordMode"]

_MOST_WAITING = 1_000
"""Records waiting for a retry at which no new one is started: an API that is down must not be asked for each."""

_GRACE = 1.0
"""Seconds that answers under way are waited for when somebody wishes to stop."""

_UNTOUCHED = frozenset({Verdict.MISCONFIGURED, Verdict.UNREACHABLE, Verdict.TRANSIENT})
"""Verdicts that say nothing of the record: where the delivery stops, it goes again once the cause is mended."""


class _Errand(Sends):
    """
    One record under way.

    :param index: its index
    :param record: its JSON
    :param options: the write options
    """

    __slots__ = ("index", "record", "started")

    def __init__(self, index: int, record: bytes, options: DeliveryOptions, *, inherited: bool) -> None:
        super().__init__(options.max_retries, timeout=options.timeout, once=options.once, inherited=inherited)
        self.index = index
        self.record = record
        self.started = 0.0


class RecordMode:
    """
    Deliver one by one.

    :param attempt: what all requests share
    :param endpoint: makes a URL of each record, where it has places for fields
    """

    def __init__(self, attempt: Attempt, endpoint: EndpointTemplate) -> None:
        self._attempt = attempt
        self._transport = attempt.transport
        self._judge = attempt.judge
        self._pacer = attempt.pacer
        self._outcomes = attempt.outcomes
        self._journal = attempt.outcomes.journal
        self._patience = attempt.patience
        self._endpoint = endpoint
        self._compress = attempt.compress
        self._retries = attempt.options.max_retries
        envelope = Envelope.of(attempt.options.envelope)
        self._prefix, self._suffix = envelope.prefix, envelope.suffix
        self._in_flight: dict[_Errand, Request] = {}
        self._ready: deque[Request] = deque()
        self._later: list[tuple[float, int, Request]] = []
        self._stop: DeliveryError | None = None
        self._heard = False
        self._window = SendWindow()

    def take(self, validated: Validated, indexes: Sequence[int]) -> None:
        """
        Take the valid records of a block; return when all but those in flight are sent.

        :param validated: the block
        :param indexes: the index of each of its valid records
        :raises DeliveryError: when the delivery must stop; :meth:`abandon` then settles what is left
        """
        self._ready.extend(self._requests(validated, indexes))
        if self._stop is not None:
            raise self._stop
        while self._ready:
            self._turn()

    def finish(self) -> None:
        """Wait for what is in flight or waits for its retry."""
        while self._in_flight or self._later or self._ready:
            self._turn()

    def abandon(self, reason: str, *, at_once: bool = False) -> None:
        """
        Settle what was taken: what is in flight by its answer, the rest as ``unsent``.

        :param at_once: wait for answers no longer than a second
        """
        until = self._attempt.now() + _GRACE
        while self._in_flight and not (at_once and self._attempt.now() >= until):
            for answer in self._transport.exchange((), GLANCE / 4 if at_once else GLANCE):
                self._settle_last(answer, reason)
        for errand in self._in_flight:
            self._journal.doubt([(errand.index, errand.index + 1)])
            self._leave(errand, reason)
        for request in [*self._ready, *(request for _, _, request in sorted(self._later))]:
            self._leave(request.key, reason)
        self._in_flight.clear()
        self._ready.clear()
        self._later.clear()

    def _requests(self, validated: Validated, indexes: Sequence[int]) -> Iterator[Request]:
        lines = validated.lines.split(b"\n")
        records = validated.records if self._endpoint else None
        delivery_id, key_header = self._journal.delivery_id, self._attempt.key_header
        options, in_doubt = self._attempt.options, self._journal.in_doubt
        for position, (index, line) in enumerate(zip(indexes, lines, strict=False)):
            url = None
            if records is not None:
                try:
                    url = self._endpoint.fill(records[position])
                except ValueError as error:
                    self._outcomes.invalid(index, str(error), line)
                    continue
            key = f"{delivery_id}-{index}-{crc32(line):08x}"
            errand = _Errand(index, line, options, inherited=index in in_doubt)
            yield Request(self._body(line), errand, url, key_header(key), key)

    def _body(self, line: bytes) -> bytes | Body:
        if self._prefix or self._suffix:
            line = self._prefix + line + self._suffix
        if self._compress is None:
            return line
        return b"".join(self._compress(Body([line], len(line))).pieces)

    def _turn(self) -> None:
        """Start what may start, wait for an answer, and act on all that came."""
        now = self._attempt.now()
        starting = self._starting(now)
        answers = self._transport.exchange(starting, self._wait(now))
        now = self._attempt.now()
        accepted: list[int] = []
        others: list[tuple[Request, Judgement]] = []
        if answers:
            self._heard = True
            if self._attempt.timed is not None:
                # One a turn tells how the API is doing; one a record would cost as much as sending it.
                self._attempt.timed(now - answers[0].request.key.started)
        for answer in answers:
            judgement = self._judge(answer, 1)
            errand: _Errand = answer.request.key
            del self._in_flight[errand]
            if judgement.verdict is Verdict.ACCEPTED and not (judgement.items or judgement.existing):
                accepted.append(errand.index)
                if self._pacer.measures:
                    self._pacer.succeeded(now - errand.started, len(self._in_flight) + 1, now)
            else:
                others.append((answer.request, judgement))
        if accepted:
            self._outcomes.delivered_each(accepted)
            self._patience.accepted()
            if not self._pacer.measures:
                self._pacer.succeeded(0.0, len(accepted), now)
        for request, judgement in others:
            self._act(request, judgement, now)
        self._journal.tick()
        self._attempt.glance()
        if self._stop is not None:
            raise self._stop

    def _starting(self, now: float) -> list[Request]:
        free = self._pacer.may_start(len(self._in_flight), now)
        if not self._heard:
            # The first goes alone: a wrong token or URL must not be tried as often as there may be requests in flight.
            free = min(free, 1 - len(self._in_flight))
        starting: list[Request] = []
        while self._later and len(starting) < free and self._later[0][0] <= now:
            starting.append(heapq.heappop(self._later)[2])
        if len(self._later) < _MOST_WAITING:
            while self._ready and len(starting) < free:
                starting.append(self._ready.popleft())
        if not starting:
            return starting
        self._journal.guard()
        tally = self._outcomes.tally
        for request in starting:
            errand = request.key
            errand.attempts += 1
            errand.started = now
            self._in_flight[errand] = request
            tally.bytes_sent += request.length
        tally.requests += len(starting)
        self._pacer.started(len(starting), len(starting), now)
        # New ones come last and in order; those before them were started before.
        if self._window.needs(starting[-1].key.index):
            self._journal.note_window(self._window.move(self._under_way(), now))
        return starting

    def _under_way(self) -> tuple[int, int]:
        """Return the lowest and the highest index that is not settled yet."""
        waiting = (request.key.index for _, _, request in self._later)
        indexes = [errand.index for errand in self._in_flight]
        indexes += waiting
        return min(indexes), max(indexes)

    def _wait(self, now: float) -> float:
        """Return how long to wait for an answer before there is something else to do, in seconds."""
        if not self._ready and not self._later:
            return GLANCE
        # When a request may start: as soon as the pace allows, and one is ready or due.
        due = 0.0 if self._ready and len(self._later) < _MOST_WAITING else self._later[0][0] - now
        wait = max(due, self._pacer.wait(now))
        if not self._in_flight:
            self._attempt.check_wait(wait)
            return min(GLANCE, wait)
        if wait > 0 and self._pacer.may_start(len(self._in_flight), now + wait):
            return min(GLANCE, wait)
        return GLANCE

    def _act(self, request: Request, judgement: Judgement, now: float) -> None:
        """Act on an answer that is not a plain success."""
        errand: _Errand = request.key
        again = errand.again(judgement, now)
        if errand.perhaps:
            self._journal.doubt([(errand.index, errand.index + 1)])
        wait = self._attempt.backoff.wait(errand.attempts - 1, judgement.retry_after)
        wait = max(wait, errand.least_wait(judgement))
        if self._attempt.passing(judgement):
            self._pacer.failed(judgement.status, wait, judgement.retry_after, now)
        else:
            self._pacer.succeeded(now - errand.started, len(self._in_flight) + 1, now)
        hopeless = self._pacer.is_hopeless(self._retries)
        if again and self._stop is None and not hopeless:
            self._outcomes.tally.retries += 1
            request.fresh = judgement.status is None
            heapq.heappush(self._later, (now + wait, errand.index, request))
            return
        judgement = errand.conclude(judgement)
        if judgement.verdict not in REFUSALS or not errand.perhaps:
            # What may be refused for having been taken says nothing of the others.
            error = self._patience.hear(judgement, 1, in_full=not self._attempt.once, hopeless=hopeless)
            self._stop = self._stop or error
        if self._stop is not None and judgement.verdict in _UNTOUCHED:
            self._ready.appendleft(request)
            return
        self._settle(errand, judgement)

    def _settle_last(self, answer: Answer, reason: str) -> None:
        """Settle an answer that came after the delivery was stopped."""
        errand: _Errand = answer.request.key
        del self._in_flight[errand]
        judgement = self._judge(answer, 1)
        if judgement.verdict is Verdict.ACCEPTED and not (judgement.items or judgement.existing):
            self._outcomes.delivered_each([errand.index])
            return
        errand.again(judgement, self._attempt.now())
        if errand.perhaps:
            self._journal.doubt([(errand.index, errand.index + 1)])
        judgement = errand.conclude(judgement)
        if judgement.verdict in _UNTOUCHED:
            self._leave(errand, reason)
        else:
            self._settle(errand, judgement)

    def _leave(self, errand: _Errand, reason: str) -> None:
        """Count a record that the delivery stopped before, or before it was known whether it was taken."""
        self._outcomes.unsent([(errand.index, errand.record)], reason)

    def _settle(self, errand: _Errand, judgement: Judgement) -> None:
        if judgement.verdict is Verdict.EXISTS or judgement.existing:
            self._outcomes.duplicates([errand.index])
            return
        record = [(errand.index, errand.record)]
        error = judgement.items.get(0, "")
        self._outcomes.failed(record, judgement, errand.attempts, error=error, perhaps=errand.perhaps)
