"""Connections that do not come about, break, stall, or close."""

from __future__ import annotations

import time

import pytest

from airflow_provider_osmosdest.core.errors import GivenUpError
from airflow_provider_osmosdest.testing import fault_server as faults
from airflow_provider_osmosdest.testing.fault_server import FaultServer, first
from airflow_provider_osmosdest.testing.servers import free_port
from tests.integration.faults.conftest import with_requests

BATCH = {"batch_size": 30}
RECORD = {"write_mode": "record", "concurrency": 4}

modes = pytest.mark.parametrize("mode", [BATCH, RECORD], ids=["batch", "record"])

NEVER_TAKEN = [faults.reset_before_body, faults.reset_during_body]
TAKEN = [faults.reset_after_body, faults.half_an_answer]


@modes
def test_it_refuses_and_a_retry_finds_it_well(send, mode):
    came = send(f"http://127.0.0.1:{free_port()}", max_retries=2, **mode)
    assert isinstance(came.error, GivenUpError)
    assert came.report.unsent == 100
    assert came.result.mendable
    with FaultServer() as server:
        came = send(server, **mode)
    assert came.error is None
    assert came.report.delivered == 100
    assert set(server.taken.values()) == {1}


@modes
@pytest.mark.parametrize("fault", NEVER_TAKEN + TAKEN)
def test_it_breaks_off_and_everything_arrives(send, transport, mode, fault):
    with FaultServer(first(3, fault)) as server:
        came = send(server, transport=transport, **mode)
    assert came.report.delivered == 100
    assert set(server.once_by_key.values()) == {1}, "a repetition carries the key of what it repeats"
    assert came.report.retries == 3


@modes
@pytest.mark.parametrize("fault", NEVER_TAKEN + TAKEN)
def test_it_breaks_off_and_nothing_is_taken_twice(send, transport, mode, fault):
    with FaultServer(first(3, fault)) as server:
        came = send(server, transport=transport, guarantee="at_most_once", **mode)
    assert came.error is None
    outcomes = {line["outcome"] for line in came.lines}
    assert outcomes <= {"unknown"}
    assert set(range(100)) - came.failed == set(server.taken) - came.failed
    if fault in TAKEN:
        assert came.failed <= set(server.taken)
        assert came.failed


@pytest.mark.parametrize("guarantee", ["at_least_once", "at_most_once"])
def test_a_body_that_was_cut_short_is_in_doubt(send, transport, guarantee):
    with FaultServer(first(2, faults.reset_during_body)) as server:
        came = send(
            server, 24, transport=transport, text="x" * 1_000_000, batch_size=24, guarantee=guarantee, timeout=60
        )
    if guarantee == "at_least_once":
        assert came.report.delivered == 24
        assert set(server.taken.values()) == {1}
    else:
        assert came.report.unknown == 24
        assert not server.taken


@modes
@pytest.mark.parametrize("fault", [faults.silence_before_body, faults.silence_after_body])
def test_it_never_answers_some_requests(send, mode, fault):
    with FaultServer(first(1, fault)) as server:
        came = send(server, timeout=0.2, **mode)
    assert came.report.delivered == 100
    assert set(server.once_by_key.values()) == {1}


@modes
@pytest.mark.parametrize("fault", [faults.silence_before_body, faults.silence_after_body])
def test_where_no_answer_came_once_must_do(send, mode, fault):
    with FaultServer(first(1, fault)) as server:
        came = send(server, timeout=0.2, guarantee="at_most_once", max_failures=0, **mode)
        assert came.report.unknown == len(came.failed) == (30 if mode is BATCH else 1)
        assert came.report.delivered == 100 - came.report.unknown
        assert came.report.requests == len(server.received)
        again = send(server, guarantee="at_most_once", max_failures=0, **mode)
    assert len(server.received) == again.report.requests == came.report.requests, "a retry does not send them either"
    assert again.failed == came.failed
    assert again.report.unknown == came.report.unknown


@modes
@pytest.mark.parametrize("guarantee", ["at_least_once", "at_most_once"])
def test_it_closes_idle_connections(send, transport, mode, guarantee):
    with FaultServer(faults.close_after_answer) as server:
        came = send(server, transport=transport, guarantee=guarantee, **mode)
    assert came.error is None
    # On a connection that is just closing a request may get lost; whether it was read nobody can tell.
    assert came.report.delivered == 100 or guarantee == "at_most_once"
    assert set(server.taken.values()) == {1}


def test_it_closes_a_connection_that_was_idle_for_a_while(send, transport):
    def impatient(talk, take):
        if talk.number:
            talk.close()
            return
        faults.well(talk, take)
        time.sleep(0.05)
        talk.close()

    with FaultServer(impatient) as server:
        came = send(server, transport=transport, requests_per_second=10, batch_size=20)
    assert came.report.delivered == 100
    assert set(server.taken.values()) == {1}


@modes
def test_an_answer_longer_than_it_says_is_not_taken_for_the_next(send, transport, mode):
    with FaultServer(faults.too_long_an_answer) as server:
        came = send(server, transport=transport, **mode)
    assert came.report.delivered == 100
    assert set(server.once_by_key.values()) == {1}


def test_an_answer_that_never_ends_as_it_said(send):
    def endless(talk, take):
        take()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")
        talk.hang()

    with FaultServer(first(1, endless)) as server:
        came = send(server, timeout=0.1, batch_size=50)
    assert came.report.delivered == 100
    assert set(server.once_by_key.values()) == {1}


def test_an_auth_class_that_fails_when_the_answer_is_in(send):
    def failing(target, **needs):
        transport = with_requests(target, **needs)

        def hook(response, **_):
            raise KeyError("nonce")

        transport._session.hooks["response"].append(hook)
        return transport

    with FaultServer() as server:
        came = send(server, transport=failing, guarantee="at_most_once", max_failures=0)
    assert came.report.unknown == 100, "the API has taken them, for all one knows"
    assert len(server.received) == 1
