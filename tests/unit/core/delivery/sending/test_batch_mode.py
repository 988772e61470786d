from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
from airflow_provider_osmosdest.core.errors import (
    AmbiguousError,
    GivenUpError,
    MisconfiguredError,
    NotSentError,
    SystemicError,
    TooManyFailuresError,
)
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.testing.transports import answering, body_of


def records(count):
    return [{"id": index, "note": f"n{index}"} for index in range(count)]


def ids_in(request):
    return [record["id"] for record in json.loads(body_of(request))]


def refusing(poison):
    return lambda request: Response(request, 422 if poison.intersection(ids_in(request)) else 200, b"no")


class TestSplitting:
    def test_only_poison_is_rejected_with_what_the_server_said_of_it_alone(self, bench):
        def handler(request):
            bad = {17, 170}.intersection(ids_in(request))
            return Response(request, 422, f"bad: {sorted(bad)}".encode()) if bad else Response(request, 200)

        came = bench(handler, records(400), batch_size=200, max_failures=2)
        assert came.counts == (398, 0, 2, 0, 0)
        assert came.error is None
        assert {line["index"]: line["error"].partition(": ")[2] for line in came.lines} == {
            17: "bad: [17]",
            170: "bad: [170]",
        }
        assert {line["status"] for line in came.lines} == {422}
        assert came.report.splits >= 1

    def test_fail_mode_rejects_the_batch_and_sends_nothing_again(self, bench):
        came = bench(refusing({17}), records(300), batch_size=100, on_batch_failure="fail")
        assert came.counts == (200, 0, 100, 0, 0)
        assert came.report.requests == 3
        assert came.indexes("rejected") == list(range(100))

    def test_every_other_record_is_delivered_once(self, bench):
        taken = Counter()
        poison = set(random.Random(3).sample(range(2_000), 60))

        def handler(request):
            ids = ids_in(request)
            if poison.intersection(ids):
                return Response(request, 400)
            taken.update(ids)
            return Response(request, 200)

        came = bench(handler, records(2_000), batch_size=700, max_failures=60)
        assert set(came.indexes("rejected")) == poison
        assert taken == Counter(index for index in range(2_000) if index not in poison)

    def test_the_bound_on_requests_stops_it_and_nothing_is_lost(self, bench):
        came = bench(refusing(set(range(0, 1_000, 3))), records(1_500), max_split_requests=50, batch_size=1_000)
        assert isinstance(came.error, SystemicError)
        assert "max_split_requests" in str(came.error)
        assert came.report.requests == 51
        assert came.report.unsent > 0
        assert set(came.indexes("unsent")).isdisjoint(came.indexes("rejected"))

    def test_a_server_error_on_one_record_is_found_by_splitting(self, bench):
        def handler(request):
            return Response(request, 500 if 77 in ids_in(request) else 200)

        came = bench(handler, records(100), max_failures=1)
        assert came.counts == (99, 0, 0, 1, 0)
        assert came.indexes("unknown") == [77], "what the API had taken by then, it does not say"
        assert came.report.requests <= 3 + 2 * 16 + 12


class TestTooLarge:
    def test_split_by_bytes_and_what_was_learned_is_kept(self, bench):
        def handler(request):
            return Response(request, 413 if request.length > 3_000 else 200)

        came = bench(handler, records(2_000), batch_size=1_000)
        assert came.counts == (2_000, 0, 0, 0, 0)
        refused = [body for body in came.bodies if len(body) > 3_000]
        assert len(refused) <= 6
        assert len(came.bodies) <= 6 + 2 * sum(map(len, came.bodies)) / 3_000

    @pytest.mark.parametrize("envelope", [None, "data", {"padding": "x" * 500, "rows": "$records"}])
    @pytest.mark.parametrize("bound", [60, 95, 560, 600, 1_000])
    @pytest.mark.parametrize("batch_format", ["json", "ndjson"])
    def test_any_bound_ends_whatever_stands_around_the_records(self, bench, envelope, bound, batch_format):
        if batch_format == "ndjson" and envelope is not None:
            pytest.skip("NDJSON has no envelope")

        def handler(request):
            assert len(transport_requests) < 2_000, "it goes round in circles"
            transport_requests.append(request)
            return Response(request, 413 if request.length > bound else 200)

        transport_requests = []
        came = bench(
            handler, records(100), envelope=envelope, batch_size=40, batch_format=batch_format, systemic_after=1_000
        )
        single = (
            max(request.length for request in transport_requests if request.length <= bound)
            if came.report.delivered
            else 0
        )
        assert came.report.delivered + came.report.rejected == 100
        assert (came.report.delivered == 100) == (single > 0)

    def test_one_record_that_is_too_large_is_rejected(self, bench):
        big = [*records(20), {"id": 20, "note": "x" * 5_000}, *[{"id": n, "note": "n"} for n in range(21, 40)]]

        def handler(request):
            return Response(request, 413 if request.length > 3_000 else 200)

        came = bench(handler, big, max_failures=1)
        assert came.counts == (39, 0, 1, 0, 0)
        assert came.indexes("rejected") == [20]

    def test_max_batch_bytes_bounds_every_body(self, bench):
        came = bench(answering(200), records(500), max_batch_bytes=1_000, envelope="data")
        assert max(map(len, came.bodies)) <= 1_000
        assert min(map(len, came.bodies[:-1])) > 900
        assert came.report.delivered == 500


class TestItemErrors:
    def test_a_refusal_that_names_its_items_takes_two_requests(self, bench):
        def handler(request):
            bad = [{"index": at, "error": f"no {i}"} for at, i in enumerate(ids_in(request)) if i in {3, 50, 99}]
            return Response(request, 422 if bad else 200, json.dumps({"errors": bad}).encode())

        came = bench(handler, records(100), item_errors="errors", max_failures=3)
        assert came.counts == (97, 0, 3, 0, 0)
        assert came.report.requests == 2
        assert {line["index"]: line["error"] for line in came.lines} == {3: "no 3", 50: "no 50", 99: "no 99"}

    def test_an_acceptance_that_names_its_items_takes_one(self, bench):
        came = bench(answering(200, b'{"errors": [0, 9]}'), records(20), item_errors="errors", batch_size=10)
        assert came.counts == (16, 0, 4, 0, 0)
        assert came.report.requests == 2
        assert came.indexes("rejected") == [0, 9, 10, 19]

    def test_an_api_that_names_one_item_at_a_time_is_split_instead(self, bench):
        poison = set(range(0, 64, 2))

        def handler(request):
            bad = [at for at, record_id in enumerate(ids_in(request)) if record_id in poison]
            return Response(request, 400 if bad else 200, json.dumps(bad[:1]).encode())

        came = bench(handler, records(64), item_errors="@", max_failures=32)
        assert set(came.indexes("rejected")) == poison
        assert came.report.delivered == 32
        assert came.report.requests <= 110

    def test_all_items_named_leaves_nothing_to_send(self, bench):
        came = bench(answering(400, b"[0,1,2]"), records(3), item_errors="@", max_failures=3)
        assert came.counts == (0, 0, 3, 0, 0)
        assert came.report.requests == 1

    def test_positions_outside_the_batch_stop_the_delivery(self, bench):
        came = bench(answering(200, b"[3]"), records(6), item_errors="@", batch_size=3)
        assert isinstance(came.error, MisconfiguredError)
        assert "item_errors (@) does not fit the answer" in str(came.error)
        assert came.counts == (0, 0, 0, 3, 3), "it is not known which records the success is for"
        assert came.report.requests == 1

    def test_a_refusal_is_not_taken_at_its_word_where_its_word_makes_no_sense(self, bench):
        came = bench(answering(400, b"[3]"), records(3), item_errors="@")
        assert came.counts == (0, 0, 3, 0, 0)


class TestStopping:
    def test_batches_cut_and_not_sent_yet_are_unsent_and_no_batch_is_settled_twice(self, bench):
        came = bench(answering(401), records(95), block=50, batch_size=10)
        assert came.counts == (0, 0, 0, 0, 95)
        assert came.indexes("unsent") == list(range(95))
        assert came.report.requests == 1

    def test_the_refusal_that_makes_it_systemic_settles_its_record(self, bench):
        came = bench(answering(422, b"no"), records(50), systemic_after=5)
        assert isinstance(came.error, SystemicError)
        assert came.counts == (0, 0, 5, 0, 45)
        came = bench(answering(422, b"no"), records(50), systemic_after=5, batch_size=1)
        assert came.counts == (0, 0, 5, 0, 45)
        assert came.indexes("rejected") == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("options", [{"write_mode": "record", "concurrency": 1}, {"batch_size": 1}])
    def test_a_success_that_lists_its_record_as_refused_is_none(self, bench, options):
        came = bench(answering(200, b"[0]"), records(50), systemic_after=5, item_errors="@", **options)
        assert isinstance(came.error, SystemicError)
        assert came.counts == (0, 0, 5, 0, 45)

    def test_a_success_that_cannot_be_read_stops_it(self, bench):
        came = bench(answering(200, b"<html>"), records(6), item_errors="failed", batch_size=3)
        assert isinstance(came.error, MisconfiguredError)
        assert "answered what is not JSON: 200 OK: <html>. Check success_when" in str(came.error)
        assert came.counts == (0, 0, 0, 3, 3)
        assert came.report.requests == 1
        assert came.indexes("unknown") == [0, 1, 2]

    @pytest.mark.parametrize("first", [None, AmbiguousError("silence")])
    def test_a_key_said_to_have_come_with_other_bytes_stops_it(self, bench, first):
        came = bench(following(first, said(422, b"Idempotency-Key is already used")), records(6), batch_size=3)
        assert isinstance(came.error, MisconfiguredError)
        assert "422" in str(came.error)
        assert "Idempotency-Key is already used" in str(came.error)
        assert "a bug of airflow-provider-osmosdest: please report it" in str(came.error)
        assert came.counts == ((0, 0, 0, 0, 6) if first is None else (0, 0, 0, 3, 3))
        assert set(map(len, came.sent)) == {3}, "nothing of it is sent in parts"


def said(status, body=b"", **more):
    return {"status": status, "body": body, **more}


def following(*answers):
    """Return a handler that gives these answers, and the last one again and again; ``None`` is none of them."""
    left = [answer for answer in answers if answer is not None]

    def handler(request):
        answer = left.pop(0) if len(left) > 1 else left[0]
        return Response(request, **answer) if isinstance(answer, dict) else answer

    return handler


SILENCE = AmbiguousError("silence")


class TestInDoubt:
    """A chunk of which no answer tells whether it was taken."""

    @pytest.mark.parametrize("lost", [SILENCE, said(502), said(504), said(524)])
    def test_it_goes_again_whole_with_the_same_key_and_bytes(self, bench, lost):
        came = bench(following(lost, lost, said(200)), records(20), batch_size=20)
        assert came.counts == (20, 0, 0, 0, 0)
        assert len(came.bodies) == 3
        assert len(set(came.bodies)) == len(set(came.keys)) == 1
        assert came.report.retries == 2

    @pytest.mark.parametrize("last", [SILENCE, said(502), said(503), said(429), said(500), NotSentError("x")])
    def test_where_no_answer_tells_it_stops_and_cuts_nothing(self, bench, last):
        came = bench(following(SILENCE, last), records(30), batch_size=10)
        assert isinstance(came.error, GivenUpError)
        assert came.counts == (0, 0, 0, 10, 20)
        assert came.indexes("unknown") == list(range(10))
        assert len(came.bodies) == 3
        assert len(set(came.bodies)) == len(set(came.keys)) == 1
        assert "whether it took 10 records sent together" in str(came.error)

    def test_where_it_may_be_cut_it_is(self, bench):
        def handler(request):
            return SILENCE if len(ids_in(request)) > 1 or ids_in(request) == [3] else Response(request, 200)

        came = bench(handler, records(20), batch_size=10, on_no_answer="split", max_failures=1)
        assert came.error is None
        assert came.counts == (19, 0, 0, 1, 0)
        assert came.indexes("unknown") == [3]
        assert came.lines[0]["error"] == "silence"

    def test_where_it_is_cut_what_is_refused_alone_may_have_been_taken_with_the_others(self, bench):
        def handler(request):
            ids = ids_in(request)
            return SILENCE if len(ids) > 1 else Response(request, 422 if ids == [3] else 200, b"no")

        came = bench(handler, records(10), on_no_answer="split", max_failures=1)
        assert came.counts == (9, 0, 0, 1, 0)
        assert came.lines[0]["error"].startswith("422 ")
        assert came.lines[0]["error"].endswith(": no; an earlier request may have been taken: silence")

    def test_one_record_without_an_answer_does_not_stop_the_others(self, bench):
        def handler(request):
            return SILENCE if ids_in(request) == [1] else Response(request, 200)

        came = bench(handler, records(5), batch_size=1, max_failures=1)
        assert came.error is None
        assert came.counts == (4, 0, 0, 1, 0)

    @pytest.mark.parametrize("whole", [422, 400, 413])
    def test_a_refusal_lets_it_be_cut_and_what_is_refused_alone_is_unknown_for_good(self, attempting, whole):
        seen = []

        def handler(request):
            seen.append(ids_in(request))
            if len(seen) == 1:
                return SILENCE
            if len(seen[-1]) > 1 and 3 in seen[-1]:
                return Response(request, whole)
            return Response(request, whole if seen[-1] == [3] else 200, b"no")

        delivery = attempting(records(10), max_failures=1)
        came = delivery.run(handler)
        assert came.error is None
        assert came.counts == (9, 0, 0, 1, 0)
        assert came.indexes("unknown") == [3]
        assert came.lines[0]["status"] == whole
        assert came.lines[0]["error"].endswith("; an earlier request may have been taken: silence")
        assert not came.mendable
        assert seen[0] == seen[1]

    def test_what_is_left_of_a_batch_without_its_bad_items_keeps_its_key_across_attempts(self, attempting):
        delivery = attempting(records(20), item_errors="@", batch_size=10, max_failures=3)
        first = delivery.run(following(said(200, b"[]"), said(422, b"[0, 4, 7]"), SILENCE))
        assert first.indexes("rejected") == [10, 14, 17]
        second, third = delivery.run(following(SILENCE)), delivery.run(following(said(200, b"[]")))
        assert {*first.keys[2:], *second.keys, *third.keys} == {first.keys[-1]}
        assert {*first.bodies[2:], *second.bodies, *third.bodies} == {first.bodies[-1]}
        assert third.counts == (17, 0, 3, 0, 0)

    @pytest.mark.parametrize("status", [422, 413])
    def test_to_be_refused_for_having_been_taken_is_not_systemic(self, bench, status):
        came = bench(following(SILENCE, said(status)), records(20), systemic_after=5)
        assert isinstance(came.error, TooManyFailuresError)
        assert came.counts == (0, 0, 0, 20, 0)

    def test_items_refused_after_it_are_unknown_and_the_others_delivered(self, bench):
        came = bench(following(SILENCE, said(200, b"[1]")), records(3), item_errors="@", max_failures=1)
        assert came.counts == (2, 0, 0, 1, 0)
        assert came.indexes("unknown") == [1]
        assert came.lines[0]["error"] == (
            "listed by the API as refused; an earlier request may have been taken: silence"
        )

    def test_a_request_in_progress_is_waited_out_and_costs_no_retry(self, bench):
        busy = said(409, b"", retry_after=0.0001)
        came = bench(following(SILENCE, *[busy] * 9, said(200)), records(10), max_retries=1)
        assert came.counts == (10, 0, 0, 0, 0)
        assert len(came.bodies) == 11
        assert len(set(came.keys)) == 1

    def test_so_it_is_where_words_say_so(self, bench):
        busy = said(409, b'{"title": "A request is outstanding for this Idempotency-Key"}')
        came = bench(following(*[busy] * 5, said(200)), records(10), max_retries=0)
        assert came.counts == (10, 0, 0, 0, 0)
        assert len(set(came.bodies)) == 1

    def test_a_plain_conflict_tells_nothing_and_costs_no_retry(self, bench):
        came = bench(following(SILENCE, said(409), said(409), said(409), said(200)), records(10), max_retries=1)
        assert came.counts == (10, 0, 0, 0, 0)
        assert len(set(came.keys)) == 1

    def test_where_it_stays_one_for_as_long_as_a_request_may_take_it_stops_and_cuts_nothing(self, bench):
        came = bench(following(SILENCE, said(409)), records(20), batch_size=10, timeout=0.01)
        assert isinstance(came.error, GivenUpError)
        assert came.counts == (0, 0, 0, 10, 10)
        assert len(set(came.bodies)) == len(set(came.keys)) == 1

    def test_a_plain_conflict_with_nothing_in_doubt_is_a_refusal(self, bench):
        came = bench(answering(409), records(3), max_failures=3)
        assert came.counts == (0, 0, 3, 0, 0)


class TestServerErrors:
    def test_a_record_that_was_answered_so_and_then_refused_alone_is_unknown(self, bench):
        came = bench(following(said(500), said(422, b"no")), records(1), max_failures=1)
        assert came.counts == (0, 0, 0, 1, 0)
        assert came.lines[0]["error"].endswith("; an earlier request may have been taken: 500 Internal Server Error")

    def test_a_batch_that_was_answered_so_casts_doubt_on_its_parts(self, bench):
        def handler(request):
            ids = ids_in(request)
            return Response(request, 500 if len(ids) > 1 else 422 if ids == [2] else 200)

        came = bench(handler, records(4), max_failures=1)
        assert came.counts == (3, 0, 0, 1, 0)
        assert came.indexes("unknown") == [2]

    def test_what_ends_so_is_open_and_the_next_attempt_sends_it_again(self, attempting):
        delivery = attempting(records(3))
        came = delivery.run(lambda request: Response(request, 500 if 1 in ids_in(request) else 200))
        assert came.counts == (2, 0, 0, 1, 0)
        assert came.mendable
        came = delivery.run(answering(200))
        assert came.counts == (3, 0, 0, 0, 0)
        assert came.sent == [[records(3)[1]]]


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_what_was_not_taken_through_all_retries_is_unsent_and_goes_again(attempting, status):
    delivery = attempting(records(3))
    came = delivery.run(lambda request: Response(request, status if 1 in ids_in(request) else 200))
    assert came.counts == (2, 0, 0, 0, 1)
    assert (came.lines[0]["status"], came.lines[0]["attempts"]) == (status, 2)
    assert came.mendable
    assert delivery.run(answering(200)).counts == (3, 0, 0, 0, 0)


class TestTheNextAttempt:
    def left_in_doubt(self, attempting, count=30, **options):
        """Return a delivery whose second batch of ten is in doubt, and the attempt that left it so."""
        delivery = attempting(records(count), batch_size=10, **options)
        came = delivery.run(lambda request: SILENCE if 10 in ids_in(request) else Response(request, 200))
        assert came.counts == (10, 0, 0, 10, count - 20)
        assert [(chunk.start, chunk.stop) for chunk in delivery.written.sending] == [(10, 20)]
        return delivery, came

    @pytest.mark.parametrize("batch_size", [1, 3, 10, 1_000])
    def test_begins_with_exactly_that_chunk(self, attempting, batch_size):
        delivery, before = self.left_in_doubt(attempting)
        came = delivery.run(answering(200), batch_size=batch_size, max_batch_bytes=100)
        assert came.counts == (30, 0, 0, 0, 0)
        assert (came.bodies[0], came.keys[0]) == (before.bodies[-1], before.keys[-1])
        assert [record["id"] for body in came.sent for record in body] == list(range(10, 30))

    def test_and_leaves_it_in_doubt_where_there_is_no_answer_again(self, attempting):
        delivery, before = self.left_in_doubt(attempting)
        for last in (SILENCE, said(503), NotSentError("gone")):
            came = delivery.run(following(last))
            assert isinstance(came.error, GivenUpError)
            assert came.counts == (10, 0, 0, 10, 10)
            assert {*came.bodies} == {before.bodies[-1]}
        assert delivery.run(answering(200)).counts == (30, 0, 0, 0, 0)

    def test_a_stop_before_its_turn_leaves_it_in_doubt(self, attempting):
        delivery, before = self.left_in_doubt(attempting)
        came = delivery.run(answering(401))
        assert isinstance(came.error, MisconfiguredError)
        assert came.counts == (10, 0, 0, 10, 10)
        came = delivery.run(answering(200), stopping=lambda: "The task was told to stop.")
        assert came.transport.requests == []
        assert delivery.written.doubts() == RangeSet([(10, 20)])
        came = delivery.run(answering(200))
        assert came.counts == (30, 0, 0, 0, 0)
        assert came.bodies[0] == before.bodies[-1]

    def test_a_conflict_that_stays_is_a_refusal_and_single_ones_are_unknown_for_good(self, attempting):
        delivery, before = self.left_in_doubt(attempting, max_failures=10, systemic_after=3, timeout=0.01)
        came = delivery.run(lambda request: Response(request, 200 if min(ids_in(request)) >= 20 else 409))
        assert came.error is None
        assert came.counts == (20, 0, 0, 10, 0)
        assert not came.mendable
        assert came.bodies[0] == before.bodies[-1]
        assert min(map(len, came.sent)) == 1
        for line in came.lines:
            assert line["error"] == (
                "409 Conflict; an earlier request may have been taken: it was sent, and no answer that tells came back"
            )

    def test_where_a_conflict_means_that_it_has_them_they_are_duplicates(self, attempting):
        delivery, _ = self.left_in_doubt(attempting, already_exists_when="status == `409`", timeout=0.01)
        came = delivery.run(lambda request: Response(request, 200 if min(ids_in(request)) >= 20 else 409))
        assert came.error is None
        assert came.counts == (20, 0, 0, 0, 0)
        assert came.report.duplicate == 10

    def test_where_it_had_taken_half_of_them_half_are_duplicates(self, attempting):
        delivery, _ = self.left_in_doubt(attempting, already_exists_when="status == `409`", timeout=0.01)
        has = set(range(10, 15))

        def handler(request):
            if has.intersection(ids_in(request)):
                return Response(request, 409)
            has.update(ids_in(request))
            return Response(request, 200)

        came = delivery.run(handler)
        assert came.counts == (25, 0, 0, 0, 0)
        assert came.report.duplicate == 5

    def test_single_records_left_in_doubt_are_all_sent_as_they_were(self, attempting):
        def handler(request):
            ids = ids_in(request)
            if ids in ([3], [7]):
                return SILENCE
            return Response(request, 422 if {3, 7}.intersection(ids) else 200)

        delivery = attempting(records(10), max_retries=1)
        came = delivery.run(handler)
        assert came.counts == (8, 0, 0, 2, 0)
        keys = {tuple(ids_in(request)): request.headers["Idempotency-Key"] for request in came.transport.requests}
        came = delivery.run(answering(200))
        assert came.counts == (10, 0, 0, 0, 0)
        assert came.keys == [keys[(3,)], keys[(7,)]]

    def test_what_a_systemic_stop_refused_goes_again(self, attempting):
        delivery = attempting(records(50), systemic_after=5)
        came = delivery.run(answering(422, b"no"))
        assert isinstance(came.error, SystemicError)
        assert "these records are sent again" in str(came.error)
        assert came.counts == (0, 0, 5, 0, 45)
        assert came.mendable
        assert len(delivery.written.settled) == 0
        came = delivery.run(answering(200))
        assert came.error is None
        assert came.counts == (50, 0, 0, 0, 0)

    def test_what_was_refused_before_the_first_success_is_settled_by_it(self, attempting):
        delivery = attempting(records(10), batch_size=1, systemic_after=5)
        came = delivery.run(lambda request: Response(request, 422 if ids_in(request)[0] < 4 else 200))
        assert came.counts == (6, 0, 4, 0, 0)
        assert not came.mendable

    def test_of_what_was_cut_by_agreement_nothing_is_sent_whole_again(self, attempting):
        delivery = attempting(records(10), on_no_answer="split")
        delivery.run(lambda request: SILENCE if 3 in ids_in(request) else Response(request, 200))
        came = delivery.run(answering(200))
        assert came.counts == (10, 0, 0, 0, 0)
        assert came.sent == [[records(10)[3]]]


class TestAtMostOnce:
    @pytest.mark.parametrize("lost", [SILENCE, said(502), said(500)])
    @pytest.mark.parametrize("batch_size", [1, 10])
    def test_nothing_goes_again_that_may_have_been_taken(self, attempting, lost, batch_size):
        delivery = attempting(records(10), batch_size=batch_size, guarantee="at_most_once", max_failures=10)
        came = delivery.run(following(lost, said(200)))
        assert came.error is None
        assert came.counts == (10 - batch_size, 0, 0, batch_size, 0)
        assert len(set(came.bodies)) == len(came.bodies) == 10 // batch_size
        assert not came.mendable

    @pytest.mark.parametrize("on_no_answer", ["stop", "split"])
    def test_nor_is_it_cut(self, attempting, on_no_answer):
        delivery = attempting(records(20), batch_size=10, guarantee="at_most_once", on_no_answer=on_no_answer)
        came = delivery.run(following(SILENCE, said(200)))
        assert came.counts == (10, 0, 0, 10, 0)
        assert [len(body) for body in came.sent] == [10, 10]

    def test_what_was_not_taken_goes_again(self, attempting):
        delivery = attempting(records(10), guarantee="at_most_once")
        came = delivery.run(following(said(503), NotSentError("x"), said(200)))
        assert came.counts == (10, 0, 0, 0, 0)

    def test_what_an_attempt_under_at_least_once_left_in_doubt_is_not_sent(self, attempting):
        delivery = attempting(records(20), batch_size=10, max_failures=10)
        delivery.run(following(SILENCE))
        came = delivery.run(answering(200), guarantee="at_most_once")
        assert came.counts == (10, 0, 0, 10, 0)
        assert came.sent == [records(20)[10:]]
        assert not came.mendable


class TestAlreadyExists:
    def test_a_batch_refused_so_is_cut_and_what_is_there_is_a_duplicate(self, attempting):
        def handler(request):
            return Response(request, 409 if {3, 17}.intersection(ids_in(request)) else 200)

        came = attempting(records(20), already_exists_when="status == `409`").run(handler)
        assert came.report.delivered == 18
        assert came.report.duplicate == 2
        assert came.error is None

    def test_items_that_are_there_are_duplicates_and_the_others_what_they_are(self, attempting):
        body = b'[{"index": 0, "status": 409}, {"index": 2, "status": 422, "error": "no"}]'
        delivery = attempting(records(4), item_errors="@", already_exists_when="status == `409`", max_failures=1)
        came = delivery.run(answering(200, body))
        assert came.counts == (2, 0, 1, 0, 0)
        assert came.report.duplicate == 1
        assert came.report.requests == 1
        assert came.indexes("rejected") == [2]

    def test_of_a_batch_refused_with_such_items_the_rest_goes_again(self, attempting):
        body = b'[{"index": 0, "status": 409}]'
        delivery = attempting(records(4), item_errors="@", already_exists_when="status == `409`")
        came = delivery.run(following(said(422, body), said(200, b"[]")))
        assert came.counts == (3, 0, 0, 0, 0)
        assert came.report.duplicate == 1
        assert [len(sent) for sent in came.sent] == [4, 3]

    def test_a_single_one_settles_a_send_in_doubt(self, attempting):
        delivery = attempting(records(1), already_exists_when="status == `409`")
        came = delivery.run(following(SILENCE, said(409)))
        assert (came.report.duplicate, came.report.requests, came.error) == (1, 2, None)

    def test_many_of_them_are_not_systemic(self, attempting):
        delivery = attempting(records(20), already_exists_when="status == `409`", systemic_after=3, batch_size=1)
        came = delivery.run(answering(409))
        assert came.error is None
        assert came.report.duplicate == 20
