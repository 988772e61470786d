"""Write mode ``record``: one record a request, many requests in flight."""

from __future__ import annotations

import heapq
from itertools import islice, repeat
from typing import TYPE_CHECKING
from zlib import crc32

from airflow_provider_osmosdest.core.delivery.envelope import Envelope
from airflow_provider_osmosdest.core.delivery.ledger.send_window import SendWindow
from airflow_provider_osmosdest.core.delivery.responses.classifier import PLAIN_SUCCESS
from airflow_provider_osmosdest.core.delivery.responses.sends import Sends
from airflow_provider_osmosdest.core.delivery.sending.context import CHECK_IN_SECONDS
from airflow_provider_osmosdest.core.http.transport import Body, Request
from airflow_provider_osmosdest.core.http.verdict import REFUSALS, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_provider_osmosdest.core.delivery.endpoint import EndpointTemplate
    from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification
    from airflow_provider_osmosdest.core.delivery.sending.context import SendContext
    from airflow_provider_osmosdest.core.errors import DeliveryError
    from airflow_provider_osmosdest.core.http.transport import Response
    from airflow_provider_osmosdest.core.schema.validation.bulk import Validated

__all__ = ["RecordMode"]

_MOST_WAITING = 1_000
"""Records waiting for a retry at which no new one is started: an API that is down must not get each of them."""

_LOOK_SECONDS = 0.01
"""Seconds between two looks at whether ledger and progress are due; a turn may be as short as a send."""

_GRACE = 1.0
"""Seconds to wait for answers under way when the task is to stop."""

_UNTOUCHED = frozenset({Verdict.MISCONFIGURED, Verdict.UNREACHABLE, Verdict.TRANSIENT})
"""Verdicts that are not about the record: where the delivery stops, it is sent again once the cause is mended."""


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
        self._as_it_is = not (envelope.prefix or envelope.suffix or context.compress)
        # Requests are made when they start: those of a whole block at once would be objects for the collector to visit.
        # The key of each is its record: index, JSON, and when it was started.
        self._coming: Iterator[tuple[int, bytes, str | None]] = iter(())
        self._left = 0
        self._in_flight: dict[int, Request] = {}
        self._later: list[tuple[float, int, Request]] = []
        self._put_back: list[Request] = []
        # Only of records with an answer that is no plain success; most have none.
        self._sends: dict[int, Sends] = {}
        self._stop: DeliveryError | None = None
        self._answered = False
        self._look_at = 0.0
        self._window = SendWindow()

    def take(self, validated: Validated, indexes: Sequence[int]) -> None:
        """
        Take the valid records of a block.

        :param validated: the block
        :param indexes: the index of each of its valid records
        """
        lines: Iterable[bytes] = validated.lines.split(b"\n")
        urls: Iterable[str | None] = repeat(None)
        if self._endpoint:
            indexes, lines, urls = self._addressed(validated, indexes)
        self._left = len(indexes)
        self._coming = zip(indexes, lines, urls, strict=False)

    def send(self, *, last: bool = False) -> None:
        """
        Send what was taken; return when all but what is in flight or waits for its retry is sent.

        :param last: the source has ended: return when that is settled, too
        :raises DeliveryError: when the delivery must stop; :meth:`abandon` then settles what is left
        """
        while self._left or (last and (self._in_flight or self._later)):
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
        for request in self._in_flight.values():
            index, record, _ = request.key
            self._journal.doubt([(index, index + 1)])
            self._leave(index, record, reason)
        unsent = [request.key[:2] for request in self._put_back]
        unsent += [(index, record) for index, record, _ in self._coming]
        unsent += [request.key[:2] for _, _, request in sorted(self._later)]
        for index, record in unsent:
            self._leave(index, record, reason)
        self._left = 0
        self._in_flight.clear()
        self._put_back.clear()
        self._later.clear()

    def _addressed(
        self, validated: Validated, indexes: Sequence[int]
    ) -> tuple[Sequence[int], Sequence[bytes], Sequence[str]]:
        """Return the indexes, lines and URLs of the records that a URL can be made from; the others are invalid."""
        kept: list[int] = []
        lines: list[bytes] = []
        urls: list[str] = []
        records = validated.records
        assert records is not None
        for index, line, record in zip(indexes, validated.lines.split(b"\n"), records, strict=False):
            try:
                urls.append(self._endpoint.fill(record))
            except ValueError as error:
                self._outcomes.invalid(index, str(error), line)
                continue
            kept.append(index)
            lines.append(line)
        return kept, lines, urls

    def _begin(self, count: int, now: float) -> list[Request]:
        """Make the requests of the next records, and count them as sent."""
        delivery_id, name = self._journal.delivery_id, self._context.key_name
        as_it_is, body_of, in_flight = self._as_it_is, self._body, self._in_flight
        requests: list[Request] = []
        size = 0
        for index, line, url in islice(self._coming, count):
            key = f"{delivery_id}-{index}-{crc32(line):08x}"
            headers = {name: key} if name else None
            body = line if as_it_is else body_of(line)
            in_flight[index] = request = Request(body, (index, line, now), url, headers, key)
            requests.append(request)
            size += len(body)
        self._left -= len(requests)
        self._outcomes.tally.bytes_sent += size
        return requests

    def _body(self, line: bytes) -> bytes:
        line = self._prefix + line + self._suffix
        if self._compress is None:
            return line
        return b"".join(self._compress(Body([line], len(line))).pieces)

    def _turn(self) -> None:
        """Start what may start, wait for an answer, and act on all that came."""
        now = self._context.now()
        answers = self._transport.exchange(self._starting(now), self._wait(now))
        now = self._context.now()
        if answers:
            self._answered = True
            if self._timed is not None:
                # One sample a turn is enough; one a record would cost as much as sending it.
                self._timed(now - answers[0].request.key[2])
            self._take_in(answers, now)
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._journal.tick()
            self._context.progress.tick()
        self._context.check_stop()
        if self._stop is not None:
            raise self._stop

    def _take_in(self, answers: Sequence[Response], now: float) -> None:
        """Settle what was accepted, then act on the other answers."""
        in_flight, classify, measures = self._in_flight, self._classify, self._pacer.measures
        accepted: list[int] = []
        others: list[tuple[Request, Classification]] = []
        for answer in answers:
            request = answer.request
            classification = classify(answer, 1)
            index, _, started = request.key
            del in_flight[index]
            if classification is PLAIN_SUCCESS or classification.is_plain:
                accepted.append(index)
                if measures:
                    self._pacer.succeeded(now - started, len(in_flight) + 1, now)
            else:
                others.append((request, classification))
        if accepted:
            self._accept(accepted)
            if not measures:
                self._pacer.succeeded(0.0, len(accepted), now)
        for request, classification in others:
            self._act(request, classification, now)

    def _accept(self, indexes: list[int]) -> None:
        """Settle records that the API took."""
        self._outcomes.delivered_each(indexes)
        self._stop_policy.accepted()
        if self._sends:
            for index in indexes:
                self._sends.pop(index, None)

    def _starting(self, now: float) -> list[Request]:
        if not self._left and not (self._later and self._later[0][0] <= now):
            return []
        free = self._pacer.may_start(len(self._in_flight), now)
        if not self._answered:
            # The first goes alone: a wrong token or URL must not be tried as often as there may be requests in flight.
            free = min(free, 1 - len(self._in_flight))
        starting: list[Request] = []
        if free > 0:
            self._journal.guard()
        tally = self._outcomes.tally
        while self._later and len(starting) < free and self._later[0][0] <= now:
            _, index, request = heapq.heappop(self._later)
            request.key = (*request.key[:2], now)
            self._in_flight[index] = request
            tally.bytes_sent += request.length
            starting.append(request)
        if len(starting) < free and len(self._later) < _MOST_WAITING:
            starting += self._begin(free - len(starting), now)
        if not starting:
            return starting
        tally.requests += len(starting)
        self._pacer.started(len(starting), len(starting), now)
        # New ones come last and in order; those before them were started before.
        if self._window.needs(starting[-1].key[0]):
            self._journal.note_window(self._window.move(self._under_way(), now))
        return starting

    def _under_way(self) -> tuple[int, int]:
        """Return the lowest and the highest index that is not settled yet."""
        indexes = [*self._in_flight, *(index for _, index, _ in self._later)]
        return min(indexes), max(indexes)

    def _wait(self, now: float) -> float:
        """Return how long to wait for an answer before there is something else to do, in seconds."""
        if not self._left and not self._later:
            return CHECK_IN_SECONDS
        # When a request may start: as soon as the pace allows, and one is ready or due.
        due = 0.0 if self._left and len(self._later) < _MOST_WAITING else self._later[0][0] - now
        wait = max(due, self._pacer.wait(now))
        if not self._in_flight:
            self._context.check_wait(wait)
            return min(CHECK_IN_SECONDS, wait)
        if wait > 0 and self._pacer.room(len(self._in_flight), now + wait):
            return min(CHECK_IN_SECONDS, wait)
        return CHECK_IN_SECONDS

    def _act(self, request: Request, classification: Classification, now: float) -> None:
        """Act on an answer that is not a plain success."""
        index, record, started = request.key
        sends, again = self._note(index, classification, now)
        wait = self._context.backoff.wait(sends.attempts - 1, classification.retry_after)
        wait = max(wait, sends.least_wait(classification))
        if self._context.passing(classification):
            self._pacer.failed(classification.status, wait, classification.retry_after, now)
        else:
            self._pacer.succeeded(now - started, len(self._in_flight) + 1, now)
        hopeless = self._pacer.is_hopeless(self._retries)
        if again and self._stop is None and not hopeless:
            self._outcomes.tally.retries += 1
            request.fresh = classification.status is None
            heapq.heappush(self._later, (now + wait, index, request))
            return
        del self._sends[index]
        classification = sends.conclude(classification)
        if classification.verdict not in REFUSALS or not sends.earlier_error:
            # What may be refused because it was taken before says nothing about the others.
            error = self._stop_policy.observe(classification, 1, in_full=not self._context.once, hopeless=hopeless)
            self._stop = self._stop or error
        if self._stop is not None and classification.verdict in _UNTOUCHED:
            self._put_back.append(request)
            return
        self._settle(index, record, classification, sends)

    def _settle_last(self, answer: Response, reason: str) -> None:
        """Settle an answer that came after the delivery was stopped."""
        index, record, _ = answer.request.key
        del self._in_flight[index]
        classification = self._classify(answer, 1)
        if classification.is_plain:
            self._outcomes.delivered_each([index])
            return
        sends, _ = self._note(index, classification, self._context.now())
        classification = sends.conclude(classification)
        if classification.verdict in _UNTOUCHED:
            self._leave(index, record, reason)
        else:
            self._settle(index, record, classification, sends)

    def _note(self, index: int, classification: Classification, now: float) -> tuple[Sends, bool]:
        """Note an answer that is not a plain success; return the record's sends, and whether it goes again."""
        options, sends = self._context.options, self._sends.get(index)
        if sends is None:
            inherited = index in self._journal.in_doubt
            sends = Sends(options.max_retries, timeout=options.timeout, once=options.once, inherited=inherited)
            self._sends[index] = sends
        sends.attempts += 1
        again = sends.again(classification, now)
        if sends.earlier_error:
            self._journal.doubt([(index, index + 1)])
        return sends, again

    def _leave(self, index: int, record: bytes, reason: str) -> None:
        """Count a record that was not sent before the stop, or whose outcome was not known by then."""
        self._outcomes.unsent([(index, record)], reason)

    def _settle(self, index: int, record: bytes, classification: Classification, sends: Sends) -> None:
        if classification.verdict is Verdict.EXISTS or classification.existing:
            self._outcomes.duplicates([index])
            return
        error = classification.items.get(0, "")
        earlier_error = sends.earlier_error
        self._outcomes.failed(
            [(index, record)], classification, sends.attempts, error=error, earlier_error=earlier_error
        )
