"""Write mode ``record``: one record a request, many requests in flight."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING
from zlib import crc32

from airflow_provider_osmosdest.core.delivery.envelope import Envelope
from airflow_provider_osmosdest.core.delivery.ledger.send_window import SendWindow
from airflow_provider_osmosdest.core.delivery.responses.sends import Sends
from airflow_provider_osmosdest.core.delivery.sending.context import CHECK_IN_SECONDS
from airflow_provider_osmosdest.core.http.transport import Body, Request
from airflow_provider_osmosdest.core.http.verdict import REFUSALS, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_osmosdest.core.delivery.endpoint import EndpointTemplate
    from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification
    from airflow_provider_osmosdest.core.delivery.sending.context import SendContext
    from airflow_provider_osmosdest.core.errors import DeliveryError
    from airflow_provider_osmosdest.core.http.transport import Response
    from airflow_provider_osmosdest.core.schema.validation.bulk import Validated

__all__ = ["RecordMode"]

_MOST_WAITING = 1_000
"""Records waiting for a retry at which no new one is started: an API that is down must not get each of them."""

_GRACE = 1.0
"""Seconds to wait for answers under way when the task is to stop."""

_UNTOUCHED = frozenset({Verdict.MISCONFIGURED, Verdict.UNREACHABLE, Verdict.TRANSIENT})
"""Verdicts that are not about the record: where the delivery stops, it is sent again once the cause is mended."""


class _InFlight:
    """
    One record under way.

    :param index: its index
    :param record: its JSON
    """

    __slots__ = ("attempts", "index", "record", "sends", "started")

    def __init__(self, index: int, record: bytes) -> None:
        self.index = index
        self.record = record
        self.attempts = 0
        self.started = 0.0
        # Only for records with an answer that is no plain success; most have none.
        self.sends: Sends | None = None


class RecordMode:
    """
    Deliver one by one.

    :param context: what all requests of the attempt share
    :param endpoint: makes a URL from each record, where it has placeholders for fields
    """

    def __init__(self, context: SendContext, endpoint: EndpointTemplate) -> None:
        self._context = context
        self._transport = context.transport
        self._classify = context.classify
        self._pacer = context.pacer
        self._outcomes = context.outcomes
        self._journal = context.outcomes.journal
        self._stop_policy = context.stop_policy
        self._endpoint = endpoint
        self._compress = context.compress
        self._timed = context.run_context.timed
        self._retries = context.options.max_retries
        envelope = Envelope.of(context.options.envelope)
        self._prefix, self._suffix = envelope.prefix, envelope.suffix
        self._in_flight: dict[_InFlight, Request] = {}
        self._ready: deque[Request] = deque()
        self._later: list[tuple[float, int, Request]] = []
        self._stop: DeliveryError | None = None
        self._answered = False
        self._window = SendWindow()

    def take(self, validated: Validated, indexes: Sequence[int]) -> None:
        """
        Take the valid records of a block.

        :param validated: the block
        :param indexes: the index of each of its valid records
        """
        self._ready.extend(self._requests(validated, indexes))

    def send(self, *, last: bool = False) -> None:
        """
        Send what was taken; return when all but what is in flight or waits for its retry is sent.

        :param last: the source has ended: return when that is settled, too
        :raises DeliveryError: when the delivery must stop; :meth:`abandon` then settles what is left
        """
        while self._ready or (last and (self._in_flight or self._later)):
            self._turn()

    def abandon(self, reason: str, *, at_once: bool = False) -> None:
        """
        Settle what was taken: what is in flight by its answer, the rest as ``unsent``.

        :param at_once: wait for answers no longer than a second
        """
        until = self._context.now() + _GRACE
        while self._in_flight and not (at_once and self._context.now() >= until):
            for answer in self._transport.exchange((), CHECK_IN_SECONDS / 4 if at_once else CHECK_IN_SECONDS):
                self._settle_last(answer, reason)
        for item in self._in_flight:
            self._journal.doubt([(item.index, item.index + 1)])
            self._leave(item, reason)
        for request in [*self._ready, *(request for _, _, request in sorted(self._later))]:
            self._leave(request.key, reason)
        self._in_flight.clear()
        self._ready.clear()
        self._later.clear()

    def _requests(self, validated: Validated, indexes: Sequence[int]) -> Iterator[Request]:
        lines = validated.lines.split(b"\n")
        records = validated.records if self._endpoint else None
        delivery_id, key_header = self._journal.delivery_id, self._context.key_header
        for position, (index, line) in enumerate(zip(indexes, lines, strict=False)):
            url = None
            if records is not None:
                try:
                    url = self._endpoint.fill(records[position])
                except ValueError as error:
                    self._outcomes.invalid(index, str(error), line)
                    continue
            key = f"{delivery_id}-{index}-{crc32(line):08x}"
            yield Request(self._body(line), _InFlight(index, line), url, key_header(key), key)

    def _body(self, line: bytes) -> bytes | Body:
        if self._prefix or self._suffix:
            line = self._prefix + line + self._suffix
        if self._compress is None:
            return line
        return b"".join(self._compress(Body([line], len(line))).pieces)

    def _turn(self) -> None:
        """Start what may start, wait for an answer, and act on all that came."""
        now = self._context.now()
        starting = self._starting(now)
        answers = self._transport.exchange(starting, self._wait(now))
        now = self._context.now()
        accepted: list[int] = []
        others: list[tuple[Request, Classification]] = []
        if answers:
            self._answered = True
            if self._timed is not None:
                # One sample a turn is enough; one a record would cost as much as sending it.
                self._timed(now - answers[0].request.key.started)
        for answer in answers:
            classification = self._classify(answer, 1)
            item: _InFlight = answer.request.key
            del self._in_flight[item]
            if classification.verdict is Verdict.ACCEPTED and not (classification.items or classification.existing):
                accepted.append(item.index)
                if self._pacer.measures:
                    self._pacer.succeeded(now - item.started, len(self._in_flight) + 1, now)
            else:
                others.append((answer.request, classification))
        if accepted:
            self._outcomes.delivered_each(accepted)
            self._stop_policy.accepted()
            if not self._pacer.measures:
                self._pacer.succeeded(0.0, len(accepted), now)
        for request, classification in others:
            self._act(request, classification, now)
        self._journal.tick()
        self._context.check_in()
        if self._stop is not None:
            raise self._stop

    def _starting(self, now: float) -> list[Request]:
        if not self._ready and not (self._later and self._later[0][0] <= now):
            return []
        free = self._pacer.may_start(len(self._in_flight), now)
        if not self._answered:
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
            item = request.key
            item.attempts += 1
            item.started = now
            self._in_flight[item] = request
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
        indexes = [item.index for item in self._in_flight]
        indexes += waiting
        return min(indexes), max(indexes)

    def _wait(self, now: float) -> float:
        """Return how long to wait for an answer before there is something else to do, in seconds."""
        if not self._ready and not self._later:
            return CHECK_IN_SECONDS
        # When a request may start: as soon as the pace allows, and one is ready or due.
        due = 0.0 if self._ready and len(self._later) < _MOST_WAITING else self._later[0][0] - now
        wait = max(due, self._pacer.wait(now))
        if not self._in_flight:
            self._context.check_wait(wait)
            return min(CHECK_IN_SECONDS, wait)
        if wait > 0 and self._pacer.room(len(self._in_flight), now + wait):
            return min(CHECK_IN_SECONDS, wait)
        return CHECK_IN_SECONDS

    def _act(self, request: Request, classification: Classification, now: float) -> None:
        """Act on an answer that is not a plain success."""
        item: _InFlight = request.key
        sends, again = self._take_in(item, classification, now)
        wait = self._context.backoff.wait(item.attempts - 1, classification.retry_after)
        wait = max(wait, sends.least_wait(classification))
        if self._context.passing(classification):
            self._pacer.failed(classification.status, wait, classification.retry_after, now)
        else:
            self._pacer.succeeded(now - item.started, len(self._in_flight) + 1, now)
        hopeless = self._pacer.is_hopeless(self._retries)
        if again and self._stop is None and not hopeless:
            self._outcomes.tally.retries += 1
            request.fresh = classification.status is None
            heapq.heappush(self._later, (now + wait, item.index, request))
            return
        classification = sends.conclude(classification)
        if classification.verdict not in REFUSALS or not sends.earlier_error:
            # What may be refused because it was taken before says nothing about the others.
            error = self._stop_policy.observe(classification, 1, in_full=not self._context.once, hopeless=hopeless)
            self._stop = self._stop or error
        if self._stop is not None and classification.verdict in _UNTOUCHED:
            self._ready.appendleft(request)
            return
        self._settle(item, classification, sends)

    def _settle_last(self, answer: Response, reason: str) -> None:
        """Settle an answer that came after the delivery was stopped."""
        item: _InFlight = answer.request.key
        del self._in_flight[item]
        classification = self._classify(answer, 1)
        if classification.verdict is Verdict.ACCEPTED and not (classification.items or classification.existing):
            self._outcomes.delivered_each([item.index])
            return
        sends, _ = self._take_in(item, classification, self._context.now())
        classification = sends.conclude(classification)
        if classification.verdict in _UNTOUCHED:
            self._leave(item, reason)
        else:
            self._settle(item, classification, sends)

    def _take_in(self, item: _InFlight, classification: Classification, now: float) -> tuple[Sends, bool]:
        """Take in an answer that is not a plain success; return the record's sends, and whether it goes again."""
        options, sends = self._context.options, item.sends
        if sends is None:
            inherited = item.index in self._journal.in_doubt
            sends = Sends(options.max_retries, timeout=options.timeout, once=options.once, inherited=inherited)
            item.sends = sends
        again = sends.again(classification, now)
        if sends.earlier_error:
            self._journal.doubt([(item.index, item.index + 1)])
        return sends, again

    def _leave(self, item: _InFlight, reason: str) -> None:
        """Count a record that was not sent before the stop, or whose outcome was not known by then."""
        self._outcomes.unsent([(item.index, item.record)], reason)

    def _settle(self, item: _InFlight, classification: Classification, sends: Sends) -> None:
        if classification.verdict is Verdict.EXISTS or classification.existing:
            self._outcomes.duplicates([item.index])
            return
        record = [(item.index, item.record)]
        error = classification.items.get(0, "")
        earlier_error = sends.earlier_error
        self._outcomes.failed(record, classification, item.attempts, error=error, earlier_error=earlier_error)
