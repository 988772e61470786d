from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from airflow_provider_osmosdest.core.delivery import record_mode
from airflow_provider_osmosdest.core.delivery.transport import Answer
from airflow_provider_osmosdest.core.errors import (
    AmbiguousError,
    GivenUpError,
    MisconfiguredError,
    NotSentError,
    SystemicError,
)
from airflow_provider_osmosdest.testing.transports import answering, body_of


def records(count):
    return [{"id": index, "note": f"n{index}"} for index in range(count)]


def id_in(request):
    return json.loads(body_of(request))["id"]


@pytest.fixture
def deliver(bench):
    def run(handler, given, **more):
        return bench(handler, given, write_mode="record", **more)

    return run


def test_one_object_a_request_in_order(deliver):
    came = deliver(answering(200), records(120))
    assert came.sent == records(120)
    assert came.counts == (120, 0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_answers_may_come_late_and_in_any_order(deliver, seed):
    def handler(request):
        return Answer(request, 422 if id_in(request) % 7 == 0 else 200)

    came = deliver(handler, records(300), shuffle=random.Random(seed), concurrency=16, max_failures="50%")
    assert came.indexes("rejected") != sorted(came.indexes("rejected")) or seed
    assert sorted(came.indexes("rejected")) == list(range(0, 300, 7))
    assert came.transport.most_in_flight == 16


def test_a_refused_record_is_rejected_with_what_was_said_of_it_and_sent_once(deliver):
    seen = Counter()

    def handler(request):
        seen[id_in(request)] += 1
        return Answer(request, 400 if id_in(request) == 3 else 200, b"no such customer")

    came = deliver(handler, records(10), max_failures=1)
    assert came.counts == (9, 0, 1, 0, 0)
    assert came.lines[0]["error"] == "400 Bad Request: no such customer"
    assert set(seen.values()) == {1}


def test_a_record_that_waits_for_its_retry_does_not_hold_up_the_others(deliver):
    def handler(request):
        first = len(transport) == 0
        transport.append(id_in(request))
        return Answer(request, 503) if first else Answer(request, 200)

    transport = []
    came = deliver(handler, records(200), concurrency=1, backoff=0.05, max_backoff=0.05)
    assert came.counts == (200, 0, 0, 0, 0)
    assert sorted(transport) == sorted([0, *range(200)])
    assert transport[1] == 1


def test_it_works_with_item_errors_too(deliver):
    def handler(request):
        return Answer(request, 200, b'[{"index": 0, "error": "late"}]' if id_in(request) == 2 else b"[]")

    came = deliver(handler, records(5), item_errors="@", max_failures=1)
    assert came.counts == (4, 0, 1, 0, 0)
    assert came.lines[0]["error"] == "late"


class TestStopping:
    def test_a_failure_that_may_pass_is_unsent_where_the_delivery_stops(self, deliver):
        def handler(request):
            return Answer(request, 401 if id_in(request) == 0 else 503)

        came = deliver(handler, records(10), concurrency=4)
        assert isinstance(came.error, MisconfiguredError)
        assert came.counts == (0, 0, 0, 0, 10)

    def test_the_chunk_that_spends_the_patience_is_unsent(self, deliver):
        came = deliver(answering(503), records(10), concurrency=1, max_retries=0)
        assert isinstance(came.error, GivenUpError)
        assert came.report.requests == 3
        assert came.counts == (0, 0, 2, 0, 8)

    def test_what_was_accepted_at_the_same_time_is_heard_before_what_was_refused(self, deliver):
        def handler(request):
            return Answer(request, 200 if id_in(request) == 9 else 400)

        came = deliver(handler, records(10), concurrency=10, systemic_after=5)
        assert not isinstance(came.error, SystemicError)
        assert came.counts == (1, 0, 9, 0, 0)

    def test_what_is_in_flight_is_settled_by_its_answer(self, deliver):
        answers = {0: 401, 1: 200, 2: 422, 3: 503}

        def handler(request):
            at = id_in(request)
            return AmbiguousError("silence") if at == 4 else Answer(request, answers.get(at, 200))

        for seed in range(10):
            came = deliver(handler, records(8), concurrency=5, shuffle=random.Random(seed))
            assert isinstance(came.error, MisconfiguredError)
            assert set(came.indexes("unsent")) >= {0, 3}
            assert came.indexes("rejected") in ([2], [])
            assert came.indexes("unknown") in ([4], [])

    def test_what_may_have_been_taken_before_is_unknown_and_never_unsent(self, deliver):
        def handler(request):
            at = id_in(request)
            tries[at] += 1
            if at == 0 and tries[at] == 1:
                return AmbiguousError("silence")
            return NotSentError("gone") if at == 0 else Answer(request, 503, retry_after=1.0)

        tries = Counter()
        came = deliver(handler, records(4), concurrency=2, max_retries=1)
        assert isinstance(came.error, GivenUpError)
        assert came.indexes("unknown") == [0]
        assert sorted(came.indexes("unsent")) == [1, 2, 3]

        came = deliver(lambda request: AmbiguousError("silence"), records(6), concurrency=2)
        assert {id_in(request) for request in came.transport.requests} == set(came.indexes("unknown"))


def test_a_dead_endpoint_is_not_asked_for_every_record_while_the_first_ones_wait(deliver, monkeypatch):
    monkeypatch.setattr(record_mode, "_MOST_WAITING", 10)
    came = deliver(
        lambda request: NotSentError("refused"), records(5_000), concurrency=4, backoff=0.01, max_backoff=0.01
    )
    assert isinstance(came.error, GivenUpError)
    assert len({id_in(request) for request in came.transport.requests}) <= 10 + 4
    assert came.counts == (0, 0, 0, 0, 5_000)
