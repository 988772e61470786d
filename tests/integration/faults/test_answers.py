"""Answers that are strange, or ask for stop_policy."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.errors import GivenUpError, MisconfiguredError, SystemicError, WaitError
from airflow_provider_osmosdest.testing import fault_server as faults
from airflow_provider_osmosdest.testing.fault_server import FaultServer, answering, first

BATCH = {"batch_size": 30}
RECORD = {"write_mode": "record", "concurrency": 4}
PAGE = b"<!doctype html><title>Something went wrong</title><p>Please try again later."

modes = pytest.mark.parametrize("mode", [BATCH, RECORD], ids=["batch", "record"])


@modes
def test_success_in_name_only(send, transport, mode):
    with FaultServer(answering(200, PAGE, {"Content-Type": "text/html"})) as server:
        came = send(server, transport=transport, success_when="ok", systemic_after=10, **mode)
    assert isinstance(came.error, SystemicError)
    assert came.report.delivered == 0
    assert came.report.requests < 60
    assert "not JSON" in str(came.error)
    assert "Something went wrong" in str(came.error)
    assert not server.taken


@modes
def test_one_page_in_between_is_found_and_its_records_are_named(send, mode):
    fine = answering(200, b'{"ok": true}', taking=True)
    with FaultServer(first(1, fine, first(1, answering(200, PAGE), fine))) as server:
        came = send(server, success_when="ok", **mode)
    assert came.error is None
    # A batch is asked about again in parts; a single record was refused by an answer to itself.
    assert came.report.rejected == (0 if mode is BATCH else 1)
    assert set(server.taken) == set(range(100)) - came.failed


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("form", "status"),
        [("seconds", 429), ("date", 503), ("none", 429), ("none", 503), ("nonsense", 429)],
    )
    def test_it_is_waited_for(self, send, transport, form, status):
        asked = []

        def limited(talk, take):
            talk.read_body()
            asked.append(time.monotonic())
            until = datetime.now(UTC) + timedelta(seconds=1.5)
            value = {
                "seconds": "1",
                "date": format_datetime(until, usegmt=True),
                "nonsense": "in a while",
            }.get(form)
            talk.reply(status, b"slow down", {} if value is None else {"Retry-After": value})

        def again(talk, take):
            asked.append(time.monotonic())
            faults.well(talk, take)

        with FaultServer(first(1, limited, again)) as server:
            # Nothing but what was asked for and a short backoff is waited for: anything else would take ten minutes.
            came = send(server, transport=transport, batch_size=100, max_backoff=600.0)
        assert came.report.delivered == 100
        assert came.report.retries == 1
        waited = asked[1] - asked[0]
        assert {"seconds": 0.95, "date": 0.05}.get(form, 0.0) <= waited < 60

    def test_it_is_bounded(self, send):
        with FaultServer(first(1, answering(429, headers={"Retry-After": "86400"}))) as server:
            came = send(server, max_backoff=0.1)
        assert came.report.delivered == 100

    def test_a_long_one_is_left_to_whoever_can_wait(self, send):
        with FaultServer(first(1, answering(503, headers={"Retry-After": "90"}))) as server:
            here = RunContext(deferrable=True)
            with pytest.raises(AssertionError):
                # Nothing is unsent: it is only not done yet.
                send(server, max_backoff=120.0, run_context=here)
            came = send(server, max_backoff=120.0, run_context=here)
        assert came.report.delivered == 100
        assert came.report.requests == 2
        assert not isinstance(came.error, WaitError)

    def test_it_holds_for_every_record_in_flight(self, send):
        times, refusals = [], []

        def noted(talk, take):
            times.append(time.monotonic())
            faults.well(talk, take)

        def refused(talk, take):
            talk.read_body()
            talk.reply(429, headers={"Retry-After": "1"})
            refusals.append(time.monotonic())

        with FaultServer(first(20, noted, first(1, refused, noted))) as server:
            came = send(server, write_mode="record", concurrency=4)
        assert came.report.delivered == 100
        (refused_at,) = refusals
        # What was on its way arrives, and at most as much again that was sent before the answer was read.
        assert sum(refused_at < at < refused_at + 0.9 for at in times) <= 8, "all pause together"


def test_a_server_that_is_down_is_asked_now_and_then_only(send):
    down_until = time.monotonic() + 1.2

    def fault(talk, take):
        if time.monotonic() < down_until:
            talk.read_body()
            talk.reply(503)
        else:
            faults.well(talk, take)

    with FaultServer(fault) as server:
        came = send(
            server,
            400,
            write_mode="record",
            concurrency=32,
            circuit_after=5,
            backoff=0.1,
            max_backoff=0.4,
            max_retries=20,
        )
    assert came.report.delivered == 400
    refused = came.report.requests - 400
    print(f"down for 1.2 s: {refused} requests refused")  # noqa: T201 - the figure that is promised
    assert refused <= 32 + 30


def test_bursts_of_unavailability(send):
    fault = answering(503)
    script = first(20, faults.well, first(40, fault, first(30, faults.well, first(40, fault))))
    with FaultServer(script) as server:
        came = send(server, 300, write_mode="record", concurrency=8, circuit_after=5, max_backoff=0.05, max_retries=60)
    assert came.report.delivered == 300
    assert set(server.taken.values()) == {1}


@modes
def test_an_api_that_stays_down_is_given_up(send, mode):
    with FaultServer(answering(503, b"maintenance")) as server:
        came = send(server, circuit_after=3, max_retries=3, max_backoff=0.02, **mode)
    assert isinstance(came.error, GivenUpError)
    assert came.result.mendable
    assert len(server.received) < 60


class TestTooLarge:
    def test_bodies_are_cut_to_what_is_taken(self, send, transport):
        with FaultServer(faults.refuse_over(10_000)) as server:
            came = send(server, 1_000, transport=transport, text="x" * 80, batch_size=1_000)
        assert came.report.delivered == 1_000
        assert set(server.taken.values()) == {1}
        assert came.report.requests <= 30

    def test_a_record_too_large_is_rejected_alone(self, send):
        with FaultServer(faults.refuse_over(50)) as server:
            came = send(server, 3, text="x" * 80)
        assert came.report.rejected == 3
        assert {line["status"] for line in came.lines} == {413}

    def test_a_large_body_that_is_refused_unread(self, send, transport):
        with FaultServer(faults.refuse_over(2_000_000)) as server:
            came = send(server, 24, transport=transport, text="x" * 1_000_000, batch_size=24, timeout=60)
        assert came.report.delivered == 24
        assert set(server.taken.values()) == {1}


class TestRedirects:
    def test_in_circles(self, send, transport):
        with FaultServer(answering(307, headers={"Location": "/round"})) as server:
            came = send(server, transport=transport)
        assert isinstance(came.error, MisconfiguredError)
        assert "/round" in str(came.error)
        assert len(server.received) == 6
        assert came.report.unsent == 100

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_credentials_and_records_never_go_to_another_host(self, send, transport, status):
        with FaultServer() as other:
            for there in (other.url, other.url.replace("127.0.0.1", "localhost")):
                with FaultServer(answering(status, headers={"Location": f"{there}/in?sig=s3cret"})) as server:
                    came = send(
                        f"{server.url}/v1", transport=transport, target={"headers": {"Authorization": "Bearer tok-1"}}
                    )
                assert isinstance(came.error, MisconfiguredError)
                assert there in str(came.error)
                assert "s3cret" not in str(came.error)
                assert len(server.received) == 1
        assert other.connections == 0

    @pytest.mark.parametrize("status", [307, 308])
    @modes
    def test_on_the_same_host_method_body_and_headers_stay(self, send, transport, status, mode):
        def fault(talk, take):
            if talk.request.target == "/old":
                answering(status, headers={"Location": "/new?x=1"})(talk, take)
            else:
                faults.well(talk, take)

        with FaultServer(fault) as server:
            target = {"headers": {"Authorization": "Bearer tok-1"}, "method": "PUT"}
            came = send(f"{server.url}/old", 60, transport=transport, target=target, **mode)
        assert came.report.delivered == 60
        assert set(server.taken.values()) == {1}
        old, new = ([each for each in server.received if each.target.startswith(at)] for at in ("/old", "/new"))
        assert len(old) == len(new)
        assert {each.method for each in new} == {"PUT"}
        assert {each.headers["authorization"] for each in new} == {b"Bearer tok-1"}
        bodies = [sorted((each.headers["idempotency-key"], each.body) for each in side) for side in (old, new)]
        assert bodies[0] == bodies[1]

    @pytest.mark.parametrize("status", [301, 302, 303])
    def test_those_that_would_make_a_get_of_it_are_not_followed(self, send, transport, status):
        with FaultServer(answering(status, headers={"Location": "/new"})) as server:
            came = send(server, transport=transport)
        assert isinstance(came.error, MisconfiguredError)
        assert len(server.received) == 1

    @pytest.mark.parametrize(
        "location",
        ["http://[", "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "caf\xe9", "\xff\xfe", "", "//", "http:"],
    )
    def test_to_nowhere(self, send, transport, location):
        def fault(talk, take):
            talk.read_body()
            talk.send(
                b"HTTP/1.1 307 There\r\nContent-Length: 0\r\nLocation: " + location.encode("latin-1") + b"\r\n\r\n"
            )

        with FaultServer(fault) as server:
            came = send(server, transport=transport)
        assert isinstance(came.error, MisconfiguredError)
        assert came.report.unsent == 100
        assert len(server.received) <= 6
