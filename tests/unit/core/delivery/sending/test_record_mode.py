from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
from airflow_provider_osmosdest.core.delivery.sending import record_mode
from airflow_provider_osmosdest.core.errors import (
    AmbiguousError,
    GivenUpError,
    MisconfiguredError,
    NotSentError,
    SystemicError,
)
from airflow_provider_osmosdest.core.http.transport import Response
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
        return Response(request, 422 if id_in(request) % 7 == 0 else 200)

    came = deliver(handler, records(300), shuffle=random.Random(seed), concurrency=16, max_failures="50%")
    assert came.indexes("rejected") != sorted(came.indexes("rejected")) or seed
    assert sorted(came.indexes("rejected")) == list(range(0, 300, 7))
    assert came.transport.most_in_flight == 16


def test_a_refused_record_is_rejected_with_what_was_said_of_it_and_sent_once(deliver):
    seen = Counter()

    def handler(request):
        seen[id_in(request)] += 1
        return Response(request, 400 if id_in(request) == 3 else 200, b"no such customer")

    came = deliver(handler, records(10), max_failures=1)
    assert came.counts == (9, 0, 1, 0, 0)
    assert came.lines[0]["error"] == "400 Bad Request: no such customer"
    assert set(seen.values()) == {1}


def test_a_record_that_waits_for_its_retry_does_not_hold_up_the_others(deliver):
    def handler(request):
        first = len(transport) == 0
        transport.append(id_in(request))
        return Response(request, 503) if first else Response(request, 200)

    transport = []
    came = deliver(handler, records(200), concurrency=1, backoff=0.05, max_backoff=0.05)
    assert came.counts == (200, 0, 0, 0, 0)
    assert sorted(transport) == sorted([0, *range(200)])
    assert transport[1] == 1


def test_it_works_with_item_errors_too(deliver):
    def handler(request):
        return Response(request, 200, b'[{"index": 0, "error": "late"}]' if id_in(request) == 2 else b"[]")

    came = deliver(handler, records(5), item_errors="@", max_failures=1)
    assert came.counts == (4, 0, 1, 0, 0)
    assert came.lines[0]["error"] == "late"


class TestStopping:
    def test_a_failure_that_may_pass_is_unsent_where_the_delivery_stops(self, deliver):
        def handler(request):
            return Response(request, 401 if id_in(request) == 0 else 503)

        came = deliver(handler, records(10), concurrency=4)
        assert isinstance(came.error, MisconfiguredError)
        assert came.counts == (0, 0, 0, 0, 10)

    def test_the_chunk_that_spends_the_patience_is_unsent(self, deliver):
        came = deliver(answering(503), records(10), concurrency=1, max_retries=0)
        assert isinstance(came.error, GivenUpError)
        assert came.report.requests == 3
        assert came.counts == (0, 0, 0, 0, 10)
        assert [line["attempts"] for line in came.lines] == [1, 1, *[0] * 8]

    def test_what_was_accepted_at_the_same_time_is_observed_before_what_was_refused(self, deliver):
        def handler(request):
            return Response(request, 200 if id_in(request) == 9 else 400)

        came = deliver(handler, records(10), concurrency=10, systemic_after=5)
        assert not isinstance(came.error, SystemicError)
        assert came.counts == (1, 0, 9, 0, 0)

    def test_what_is_in_flight_is_settled_by_its_answer(self, deliver):
        answers = {0: 401, 1: 200, 2: 422, 3: 503}

        def handler(request):
            at = id_in(request)
            return AmbiguousError("silence") if at == 4 else Response(request, answers.get(at, 200))

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
            return NotSentError("gone") if at == 0 else Response(request, 503, retry_after=1.0)

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


def said(status, body=b"", **more):
    return {"status": status, "body": body, **more}


def answering_each(**answers):
    """Return a handler that answers ``r3=[...]`` to record 3 in turn, the last again and again, and 200 to others."""
    left = {name: list(given) for name, given in answers.items()}

    def handler(request):
        given = left.get(f"r{id_in(request)}")
        if given is None:
            return Response(request, 200)
        answer = given.pop(0) if len(given) > 1 else given[0]
        return Response(request, **answer) if isinstance(answer, dict) else answer

    return handler


SILENCE = AmbiguousError("silence")


@pytest.fixture
def delivery(attempting):
    """Return a function that begins a delivery of five records, which may be attempted again and again."""

    def begin(count=5, **options):
        return attempting(records(count), write_mode="record", **options)

    return begin


class TestInDoubt:
    """A record of which no answer tells whether it was taken."""

    @pytest.mark.parametrize("lost", [SILENCE, said(502), said(500)])
    def test_it_goes_again_with_the_same_key_and_bytes(self, deliver, lost):
        came = deliver(answering_each(r1=[lost, lost, said(200)]), records(3), concurrency=1)
        assert came.counts == (3, 0, 0, 0, 0)
        assert came.report.retries == 2
        sends = [(key, body) for key, body in zip(came.keys, came.bodies, strict=True) if json.loads(body)["id"] == 1]
        assert len(sends) == 3
        assert len(set(sends)) == 1

    @pytest.mark.parametrize("last", [SILENCE, said(502), said(503), said(500), said(409), said(423)])
    def test_without_an_answer_it_is_unknown_and_the_next_attempt_sends_it_again(self, delivery, last):
        attempts = delivery()
        came = attempts.run(answering_each(r1=[SILENCE, last]), timeout=0.01)
        assert came.error is not None
        assert came.counts == (4, 0, 0, 1, 0)
        assert came.indexes("unknown") == [1]
        assert came.mendable
        assert attempts.written.doubts() == RangeSet([(1, 2)])
        key = came.keys[came.sent.index(records(2)[1])]
        came = attempts.run(answering_each())
        assert came.counts == (5, 0, 0, 0, 0)
        assert came.keys == [key]

    def test_refused_after_it_is_unknown_for_good_with_both_answers(self, delivery):
        attempts = delivery(max_failures=1)
        came = attempts.run(answering_each(r1=[SILENCE, said(422, b"no")]))
        assert came.error is None
        assert came.counts == (4, 0, 0, 1, 0)
        assert not came.mendable
        assert came.lines[0]["status"] == 422
        assert came.lines[0]["error"].endswith(": no; an earlier request may have been taken: silence")

    def test_refused_after_a_server_error_too(self, deliver):
        came = deliver(answering_each(r1=[said(500), said(422)]), records(3), max_failures=1)
        assert came.counts == (2, 0, 0, 1, 0)
        assert came.lines[0]["error"].endswith("; an earlier request may have been taken: 500 Internal Server Error")

    def test_refused_in_the_next_attempt_too(self, delivery):
        attempts = delivery(max_failures=1, timeout=0.01)
        attempts.run(answering_each(r1=[SILENCE]))
        came = attempts.run(answering_each(r1=[said(409)]))
        assert came.counts == (4, 0, 0, 1, 0)
        assert not came.mendable, "a conflict with nothing but an earlier attempt is a refusal"
        assert came.lines[0]["error"] == (
            "409 Conflict; an earlier request may have been taken: it was sent, and no answer that tells came back"
        )

    @pytest.mark.parametrize("status", [422, 413])
    def test_to_be_refused_for_having_been_taken_is_not_systemic(self, deliver, status):
        given = {f"r{index}": [SILENCE, said(status)] for index in range(20)}
        came = deliver(answering_each(**given), records(20), systemic_after=5, max_failures=20)
        assert came.error is None
        assert came.counts == (0, 0, 0, 20, 0)

    def test_a_request_in_progress_is_waited_out_and_costs_no_retry(self, deliver):
        busy = said(409, retry_after=0.0001)
        came = deliver(answering_each(r1=[SILENCE, *[busy] * 9, said(200)]), records(3), max_retries=1, timeout=0.01)
        assert came.counts == (3, 0, 0, 0, 0)
        assert len(came.bodies) == 13

    def test_a_plain_conflict_with_nothing_in_doubt_is_a_refusal(self, deliver):
        came = deliver(answering_each(r1=[said(409)]), records(3), max_failures=1)
        assert came.counts == (2, 0, 1, 0, 0)
        assert came.report.requests == 3

    def test_items_refused_after_it_are_unknown(self, deliver):
        handler = answering_each(r1=[SILENCE, said(200, b"[0]")], r0=[said(200, b"[]")], r2=[said(200, b"[]")])
        came = deliver(handler, records(3), item_errors="@", max_failures=1)
        assert came.counts == (2, 0, 0, 1, 0)

    def test_where_the_delivery_stops_it_stays_in_doubt(self, delivery):
        attempts = delivery(3)
        came = attempts.run(answering_each(r1=[SILENCE, said(401)]), concurrency=1)
        assert isinstance(came.error, MisconfiguredError)
        assert came.indexes("unknown") == [1]
        assert attempts.written.doubts() == RangeSet([(1, 2)])


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_what_was_not_taken_through_all_retries_is_unsent_and_goes_again(delivery, status):
    attempts = delivery()
    came = attempts.run(answering_each(r1=[said(status)]))
    assert came.counts == (4, 0, 0, 0, 1)
    assert (came.lines[0]["status"], came.lines[0]["attempts"]) == (status, 3)
    came = attempts.run(answering_each())
    assert came.counts == (5, 0, 0, 0, 0)
    assert came.sent == [records(2)[1]]


def test_a_key_said_to_have_come_with_other_bytes_stops_it(deliver):
    came = deliver(answering(422, b"Idempotency-Key is already used"), records(5), concurrency=1)
    assert isinstance(came.error, MisconfiguredError)
    assert "a bug of airflow-provider-osmosdest: please report it" in str(came.error)
    assert came.counts == (0, 0, 0, 0, 5)


def test_a_success_that_cannot_be_read_stops_it(deliver):
    came = deliver(answering(200, b"<html>"), records(5), item_errors="failed", concurrency=1)
    assert isinstance(came.error, MisconfiguredError)
    assert came.counts == (0, 0, 0, 1, 4)


def test_what_a_systemic_stop_refused_goes_again(delivery):
    attempts = delivery(50, systemic_after=5, concurrency=4)
    came = attempts.run(answering(422, b"no"))
    assert isinstance(came.error, SystemicError)
    assert "these records are sent again" in str(came.error)
    assert came.counts[2] >= 5
    assert came.counts[2] + came.counts[4] == 50
    assert len(attempts.written.settled) == 0
    came = attempts.run(answering(200))
    assert came.error is None
    assert came.counts == (50, 0, 0, 0, 0)


class TestAtMostOnce:
    @pytest.mark.parametrize("lost", [SILENCE, said(502), said(500)])
    def test_nothing_goes_again_that_may_have_been_taken(self, delivery, lost):
        attempts = delivery(guarantee="at_most_once", max_failures=1)
        came = attempts.run(answering_each(r1=[lost, said(200)]))
        assert came.error is None
        assert came.counts == (4, 0, 0, 1, 0)
        assert came.report.requests == 5
        assert not came.mendable

    def test_what_was_not_taken_goes_again(self, delivery):
        came = delivery(guarantee="at_most_once").run(answering_each(r1=[said(503), NotSentError("x"), said(200)]))
        assert came.counts == (5, 0, 0, 0, 0)

    def test_what_an_attempt_under_at_least_once_left_in_doubt_is_not_sent(self, delivery):
        attempts = delivery(max_failures=1)
        attempts.run(answering_each(r1=[SILENCE]))
        came = attempts.run(answering(200), guarantee="at_most_once")
        assert came.counts == (4, 0, 0, 1, 0)
        assert came.transport.requests == []
        assert not came.mendable


class TestAlreadyExists:
    @pytest.mark.parametrize("before", [[], [SILENCE], [said(500)]])
    def test_what_is_there_is_a_duplicate_and_no_failure(self, delivery, before):
        came = delivery(already_exists_when="status == `409`").run(answering_each(r1=[*before, said(409)]))
        assert came.error is None
        assert came.counts == (4, 0, 0, 0, 0)
        assert came.report.duplicate == 1

    def test_so_it_is_in_an_attempt_after_one_that_left_it_in_doubt(self, delivery):
        attempts = delivery(already_exists_when="status == `409`")
        attempts.run(answering_each(r1=[SILENCE]))
        came = attempts.run(answering_each(r1=[said(409)]))
        assert (came.error, came.counts, came.report.duplicate) == (None, (4, 0, 0, 0, 0), 1)

    def test_an_item_that_is_there_is_a_duplicate_whatever_the_answers_status(self, delivery):
        for status in (200, 422):
            attempts = delivery(1, item_errors="items", already_exists_when="body.error == 'have it'")
            came = attempts.run(answering(status, b'{"items": [{"index": 0, "error": "have it"}]}'))
            assert (came.report.delivered, came.report.duplicate, came.error) == (0, 1, None), status

    def test_many_of_them_are_not_systemic(self, delivery):
        came = delivery(20, already_exists_when="status == `409`", systemic_after=3).run(answering(409))
        assert came.error is None
        assert came.report.duplicate == 20
