from __future__ import annotations

import gzip
from types import SimpleNamespace

import pytest

from airflow_provider_osmosdest.core.delivery.flow.pacer import Pacer
from airflow_provider_osmosdest.core.delivery.flow.stop_policy import StopPolicy
from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.progress import Progress
from airflow_provider_osmosdest.core.delivery.report import Tally
from airflow_provider_osmosdest.core.delivery.responses.classifier import ResponseClassifier
from airflow_provider_osmosdest.core.delivery.responses.sends import EARLIER, Sends
from airflow_provider_osmosdest.core.delivery.sending.chunk_sender import ChunkSender
from airflow_provider_osmosdest.core.delivery.sending.context import SendContext
from airflow_provider_osmosdest.core.errors import (
    AmbiguousError,
    NotSentError,
    StoppedError,
    StorageError,
    TlsError,
    WaitError,
)
from airflow_provider_osmosdest.core.http.compression import compressor
from airflow_provider_osmosdest.core.http.retry import Backoff
from airflow_provider_osmosdest.core.http.transport import Body, Response
from airflow_provider_osmosdest.core.http.verdict import Verdict
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of

BODY = Body([b"[1,", memoryview(b"2]")], 5)


class Desk:
    """A sender and all it needs; answers come from a list, the last one again and again."""

    def __init__(self, *answers, compress=None, transport=None, **options):
        self.tally = Tally()
        self.ticks = 0
        self.stop_reason = None
        left = list(answers)

        def handler(request):
            answer = left.pop(0) if len(left) > 1 else left[0]
            return Response(request, **answer) if isinstance(answer, dict) else answer

        self.transport = transport or HandlerTransport(handler)
        self.progress = Progress(self.tally, lambda: None, lambda line: None, self._clock)
        options = DeliveryOptions(**options)
        self.once, self.timeout = options.once, options.timeout
        self.noted = []
        self.guarded = 0
        backoff = Backoff(1.0, 8.0)
        self.sender = ChunkSender(
            SendContext(
                options=options,
                run_context=RunContext(stopping=lambda: self.stop_reason, deferrable=True),
                transport=self.transport,
                classify=ResponseClassifier(),
                backoff=backoff,
                pacer=Pacer(options, backoff),
                stop_policy=StopPolicy(100, "POST http://api.test", "wait"),
                outcomes=SimpleNamespace(tally=self.tally, journal=SimpleNamespace(guard=self._guard)),
                progress=self.progress,
                compress=compress,
            )
        )

    def send(self, retries=5, *, key="k", inherited=False):
        """Send the body; return the classification and its sends."""
        self.sends = Sends(retries, timeout=self.timeout, once=self.once, inherited=inherited)
        return self.sender.send(BODY, 2, key, self.sends, self._note), self.sends

    def _note(self):
        self.noted.append(self.tally.requests)

    def _guard(self):
        self.guarded += 1

    def _clock(self):
        self.ticks += 1
        return 0.0


def status(code, **more):
    return {"status": code, **more}


def test_a_chunk_is_sent_once_when_it_is_taken():
    desk = Desk(status(200))
    classification, sends = desk.send()
    assert (classification.verdict, sends.attempts) == (Verdict.ACCEPTED, 1)
    assert [body_of(request) for request in desk.transport.requests] == [b"[1,2]"]
    assert (desk.tally.requests, desk.tally.retries, desk.tally.bytes_sent) == (1, 0, 5)
    assert desk.transport.waited == 0


@pytest.mark.parametrize(
    "first", [status(503), status(429), status(500), status(502), NotSentError("refused"), AmbiguousError("silence")]
)
def test_a_passing_failure_is_sent_again(first):
    desk = Desk(first, first, status(200))
    classification, sends = desk.send()
    assert (classification.verdict, sends.attempts) == (Verdict.ACCEPTED, 3)
    assert (desk.tally.requests, desk.tally.retries, desk.tally.bytes_sent) == (3, 2, 15)
    assert {body_of(request) for request in desk.transport.requests} == {b"[1,2]"}


@pytest.mark.parametrize("last", [status(400), status(413), status(401), TlsError("wrong name")])
def test_what_will_not_pass_is_not_sent_again(last):
    desk = Desk(status(503), last)
    _, sends = desk.send()
    assert sends.attempts == 2


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_retries_are_spent_and_then_it_is_told(retries):
    desk = Desk(status(503))
    classification, sends = desk.send(retries)
    assert (classification.verdict, sends.attempts) == (Verdict.TRANSIENT, retries + 1)
    assert (desk.tally.requests, desk.tally.retries) == (retries + 1, retries)


def test_it_waits_as_long_as_the_server_asks_and_looks_at_the_progress_meanwhile():
    desk = Desk(status(429, retry_after=7.5), status(200))
    desk.send()
    assert desk.transport.waited == pytest.approx(7.5)
    assert desk.ticks >= 8


def test_waits_are_bounded():
    desk = Desk(status(429, retry_after=100_000.0), status(200))
    desk.send()
    assert desk.transport.waited == pytest.approx(8.0)


def test_an_answer_that_takes_its_time_is_waited_for():
    class Slow:
        def __init__(self):
            self.calls = 0

        def exchange(self, starting, wait):
            self.calls += 1
            self.request = starting[0] if starting else self.request
            return [Response(self.request, 200)] if self.calls == 5 else []

        def close(self):
            pass

    slow = Slow()
    desk = Desk(transport=slow)
    assert desk.send(0)[1].attempts == 1
    assert slow.calls == 5
    assert desk.tally.requests == 1


def test_a_body_is_compressed_once_for_all_its_attempts():
    calls = []

    def compress(body):
        calls.append(body)
        return compressor("gzip")(body)

    desk = Desk(status(503), status(503), status(200), compress=compress)
    desk.send()
    assert calls == [BODY]
    bodies = [body_of(request) for request in desk.transport.requests]
    assert len(set(bodies)) == 1
    assert gzip.decompress(bodies[0]) == b"[1,2]"
    assert desk.tally.bytes_sent == 3 * len(bodies[0])


def test_every_attempt_carries_the_same_idempotency_key():
    desk = Desk(status(503), status(503), status(200))
    desk.send(key="d-0-1-cafe")
    assert [request.headers for request in desk.transport.requests] == [{"Idempotency-Key": "d-0-1-cafe"}] * 3


def test_the_key_may_have_another_header_or_none():
    named = Desk(status(200), idempotency_header="X-Request-Id")
    named.send(0)
    assert named.transport.requests[0].headers == {"X-Request-Id": "k"}
    silent = Desk(status(200), idempotency_header="none")
    silent.send(0)
    assert silent.transport.requests[0].headers is None


def test_silence_is_not_answered_by_a_second_send_where_once_must_do():
    desk = Desk(AmbiguousError("silence"), guarantee="at_most_once")
    classification, sends = desk.send()
    assert (classification.verdict, sends.attempts) == (Verdict.IN_DOUBT, 1)


def test_a_wish_to_stop_ends_the_wait_and_leaves_nothing_under_way():
    desk = Desk(status(503))
    desk.stop_reason = "The task was told to stop"
    with pytest.raises(StoppedError, match="told to stop"):
        desk.send()
    assert not desk.sends.in_doubt
    assert desk.transport.requests == []
    assert desk.noted == []


def test_a_long_wait_is_left_to_the_caller():
    desk = Desk(status(503, retry_after=7.0), defer_after=5.0)
    with pytest.raises(WaitError) as caught:
        desk.send()
    assert caught.value.seconds == pytest.approx(7.0)


def test_no_more_requests_a_second_than_allowed():
    desk = Desk(status(200), requests_per_second=2.0)
    for _ in range(3):
        desk.send(0)
    assert desk.transport.waited >= 0.5


def test_after_a_broken_connection_the_next_one_is_new():
    seen = []

    def handler(request):
        seen.append(request.fresh)
        return [Response(request, error=AmbiguousError("closed")), Response(request, 503), Response(request, 200)][
            len(seen) - 1
        ]

    Desk(transport=HandlerTransport(handler)).send()
    assert seen == [False, True, False]


def test_it_is_noted_once_before_the_first_send():
    desk = Desk(status(503), AmbiguousError("silence"), status(200))
    desk.send()
    assert desk.noted == [0]
    assert desk.guarded == 3, "each send makes sure that no later attempt has begun"


def test_what_cannot_be_noted_is_not_sent():
    desk = Desk(status(200))
    desk._note = lambda: (_ for _ in ()).throw(StorageError("full"))
    with pytest.raises(StorageError):
        desk.send()
    assert desk.transport.requests == []


def test_what_was_in_doubt_once_is_in_doubt_at_the_end():
    desk = Desk(AmbiguousError("silence"), status(503))
    classification, sends = desk.send(3)
    assert (classification.verdict, classification.status, sends.attempts) == (Verdict.IN_DOUBT, 503, 4)
    assert classification.error == "503 Service Unavailable; an earlier request may have been taken: silence"


def test_a_plain_conflict_is_asked_again_while_a_send_is_in_doubt():
    desk = Desk(AmbiguousError("silence"), status(409), status(409), status(200), timeout=60.0)
    classification, sends = desk.send(1)
    assert (classification.verdict, sends.attempts) == (Verdict.ACCEPTED, 4)
    assert desk.transport.waited >= 2 * 6.0, "a tenth of the time-out each"
    assert len({request.headers["Idempotency-Key"] for request in desk.transport.requests}) == 1


def test_a_request_in_progress_is_waited_out_as_long_as_the_server_asks():
    desk = Desk(status(409, retry_after=7.0), status(409, retry_after=0.1), status(200), timeout=60.0)
    classification, sends = desk.send(0)
    assert (classification.verdict, sends.attempts) == (Verdict.ACCEPTED, 3)
    assert desk.transport.waited >= 7.0 + 6.0


@pytest.mark.parametrize("inherited", [False, True])
def test_a_stop_while_an_answer_is_awaited_leaves_it_in_doubt(inherited):
    desk = Desk(status(200))

    def exchange(starting, wait):
        desk.stop_reason = "The task was told to stop"
        return []

    desk.transport.exchange = exchange
    with pytest.raises(StoppedError):
        desk.send(inherited=inherited)
    assert (desk.sends.in_doubt, desk.sends.earlier_error) == (True, EARLIER)


@pytest.mark.parametrize(("first", "in_doubt"), [(status(503), False), (AmbiguousError("silence"), True)])
def test_a_stop_between_two_sends_keeps_what_is_known(first, in_doubt):
    desk = Desk(first, status(200))
    desk.sender._context.progress.tick = lambda: setattr(desk, "stop_reason", "Stop")
    with pytest.raises(StoppedError):
        desk.send()
    assert desk.sends.in_doubt is in_doubt
    assert len(desk.transport.requests) == 1
