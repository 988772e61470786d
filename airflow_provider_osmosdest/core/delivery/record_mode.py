"""Write mode ``record``: one record a request, many requests in flight."""

from __future__ import annotations

import heapq
import time
from collections import deque
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.courier import PASSING
from airflow_provider_osmosdest.core.delivery.envelope import Envelope
from airflow_provider_osmosdest.core.delivery.transport import Body, Request
from airflow_provider_osmosdest.core.delivery.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_osmosdest.core.delivery.endpoint import EndpointTemplate
    from airflow_provider_osmosdest.core.delivery.judging import Judge, Judgement
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.delivery.outcomes import Outcomes
    from airflow_provider_osmosdest.core.delivery.patience import Patience
    from airflow_provider_osmosdest.core.delivery.progress import Progress
    from airflow_provider_osmosdest.core.delivery.retry import Backoff
    from airflow_provider_osmosdest.core.delivery.transport import Answer, Transport
    from airflow_provider_osmosdest.core.errors import DeliveryError
    from airflow_provider_osmosdest.core.schema.bulk import Validated

__all__ = ["RecordMode"]

_GLANCE = 1.0
"""Seconds between two looks at the progress while answers are awaited."""

_MOST_WAITING = 1_000
"""Records waiting for a retry at which no new one is started: an API that is down must not be asked for each."""

_UNTOUCHED = frozenset({Verdict.MISCONFIGURED, Verdict.UNREACHABLE, Verdict.TRANSIENT})
"""Verdicts that say nothing of the record: where the delivery stops, it goes again once the cause is mended."""


class _Errand:
    """
    One record under way.

    :param index: its index
    :param record: its JSON
    """

    __slots__ = ("attempts", "doubt", "index", "record")

    def __init__(self, index: int, record: bytes) -> None:
        self.index = index
        self.record = record
        self.attempts = 0
        # What was said when it may have been taken all the same, if ever.
        self.doubt: Judgement | None = None


class RecordMode:
    """
    Deliver one by one.

    :param options: the write options
    :param transport: carries the requests, ``options.concurrency`` at a time
    :param judge: says what an answer means
    :param backoff: says how long to wait before a retry
    :param outcomes: settles records
    :param patience: says when to stop
    :param progress: is told that time goes by
    :param endpoint: makes a URL of each record, where it has places for fields
    :param compress: compresses a body
    """

    def __init__(
        self,
        *,
        options: DeliveryOptions,
        transport: Transport,
        judge: Judge,
        backoff: Backoff,
        outcomes: Outcomes,
        patience: Patience,
        progress: Progress,
        endpoint: EndpointTemplate,
        compress: Callable[[Body], Body] | None = None,
    ) -> None:
        self._transport = transport
        self._judge = judge
        self._backoff = backoff
        self._outcomes = outcomes
        self._patience = patience
        self._progress = progress
        self._endpoint = endpoint
        self._compress = compress
        self._retries = options.max_retries
        envelope = Envelope.of(options.envelope)
        self._prefix, self._suffix = envelope.prefix, envelope.suffix
        self._concurrency = options.concurrency
        self._in_flight: dict[_Errand, Request] = {}
        self._ready: deque[Request] = deque()
        self._later: list[tuple[float, int, Request]] = []
        self._stop: DeliveryError | None = None

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

    def abandon(self, reason: str) -> None:
        """Settle what was taken: what is in flight by its answer, the rest as ``unsent``."""
        while self._in_flight:
            for answer in self._transport.exchange((), _GLANCE):
                self._settle_last(answer, reason)
        for request in [*self._ready, *(request for _, _, request in sorted(self._later))]:
            self._leave(request.key, reason)
        self._ready.clear()
        self._later.clear()

    def _requests(self, validated: Validated, indexes: Sequence[int]) -> Iterator[Request]:
        lines = validated.lines.split(b"\n")
        prefix, suffix = self._prefix, self._suffix
        plain = not prefix and not suffix and self._compress is None
        if not self._endpoint:
            for index, line in zip(indexes, lines, strict=False):
                yield Request(line if plain else self._body(line), _Errand(index, line))
            return
        for index, line, record in zip(indexes, lines, validated.records or (), strict=False):
            try:
                url = self._endpoint.fill(record)
            except ValueError as error:
                self._outcomes.invalid(index, str(error), line)
                continue
            yield Request(self._body(line), _Errand(index, line), url)

    def _body(self, line: bytes) -> bytes | Body:
        whole = self._prefix + line + self._suffix
        if self._compress is None:
            return whole
        return b"".join(self._compress(Body([whole], len(whole))).pieces)

    def _turn(self) -> None:
        """Start what may start, wait for an answer, and act on all that came."""
        starting = self._starting()
        answers = self._transport.exchange(starting, self._patience_for_answers())
        tally = self._outcomes.tally
        tally.requests += len(starting)
        accepted = 0
        others: list[tuple[Request, Judgement]] = []
        for answer in answers:
            judgement = self._judge(answer, 1)
            del self._in_flight[answer.request.key]
            if judgement.verdict is Verdict.ACCEPTED and not judgement.items:
                accepted += 1
            else:
                others.append((answer.request, judgement))
        if accepted:
            self._outcomes.delivered(accepted)
            self._patience.accepted()
        for request, judgement in others:
            self._act(request, judgement)
        self._progress.tick()
        if self._stop is not None:
            raise self._stop

    def _starting(self) -> list[Request]:
        free = self._concurrency - len(self._in_flight)
        starting: list[Request] = []
        if self._later:
            now = time.monotonic()
            while self._later and len(starting) < free and self._later[0][0] <= now:
                starting.append(heapq.heappop(self._later)[2])
        if len(self._later) < _MOST_WAITING:
            while self._ready and len(starting) < free:
                starting.append(self._ready.popleft())
        sent = 0
        for request in starting:
            errand = request.key
            errand.attempts += 1
            self._in_flight[errand] = request
            sent += request.length
        self._outcomes.tally.bytes_sent += sent
        return starting

    def _patience_for_answers(self) -> float:
        """Return how long to wait for an answer before there is something else to do, in seconds."""
        if self._later and len(self._in_flight) < self._concurrency:
            return min(_GLANCE, max(0.0, self._later[0][0] - time.monotonic()))
        return _GLANCE

    def _act(self, request: Request, judgement: Judgement) -> None:
        """Act on an answer that is not a plain success."""
        errand: _Errand = request.key
        if judgement.verdict is Verdict.AMBIGUOUS:
            errand.doubt = judgement
        if judgement.verdict in PASSING and errand.attempts <= self._retries and self._stop is None:
            self._outcomes.tally.retries += 1
            due = time.monotonic() + self._backoff.wait(errand.attempts - 1, judgement.retry_after)
            heapq.heappush(self._later, (due, errand.index, request))
            return
        error = self._patience.hear(judgement, 1)
        if self._stop is None:
            self._stop = error
        if self._stop is not None and judgement.verdict in _UNTOUCHED:
            self._ready.appendleft(request)
            return
        self._settle(errand, judgement)

    def _settle(self, errand: _Errand, judgement: Judgement) -> None:
        outcome = "unknown" if judgement.verdict is Verdict.AMBIGUOUS else "rejected"
        record = [(errand.index, errand.record)]
        self._outcomes.failed(outcome, record, judgement, errand.attempts, judgement.items.get(0, ""))

    def _settle_last(self, answer: Answer, reason: str) -> None:
        """Settle an answer that came after the delivery was stopped."""
        errand: _Errand = answer.request.key
        del self._in_flight[errand]
        judgement = self._judge(answer, 1)
        if judgement.verdict is Verdict.ACCEPTED and not judgement.items:
            self._outcomes.delivered(1)
        elif judgement.verdict in _UNTOUCHED:
            self._leave(errand, reason)
        else:
            self._settle(errand, judgement)

    def _leave(self, errand: _Errand, reason: str) -> None:
        """Settle a record that the delivery stopped before, or before it was known whether it was taken."""
        if errand.doubt is not None:
            self._settle(errand, errand.doubt)
        else:
            self._outcomes.unsent([(errand.index, errand.record)], reason)
