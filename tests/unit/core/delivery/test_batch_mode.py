from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from airflow_provider_osmosdest.core.delivery.transport import Answer
from airflow_provider_osmosdest.core.errors import MisconfiguredError, SystemicError
from airflow_provider_osmosdest.testing.transports import answering, body_of


def records(count):
    return [{"id": index, "note": f"n{index}"} for index in range(count)]


def ids_in(request):
    return [record["id"] for record in json.loads(body_of(request))]


def refusing(poison):
    return lambda request: Answer(request, 422 if poison.intersection(ids_in(request)) else 200, b"no")


class TestSplitting:
    def test_only_poison_is_rejected_with_what_the_server_said_of_it_alone(self, bench):
        def handler(request):
            bad = {17, 170}.intersection(ids_in(request))
            return Answer(request, 422, f"bad: {sorted(bad)}".encode()) if bad else Answer(request, 200)

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
                return Answer(request, 400)
            taken.update(ids)
            return Answer(request, 200)

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
            return Answer(request, 500 if 77 in ids_in(request) else 200)

        came = bench(handler, records(100), max_failures=1)
        assert came.counts == (99, 0, 1, 0, 0)
        assert came.indexes("rejected") == [77]
        assert came.report.requests <= 3 + 2 * 16 + 12


class TestTooLarge:
    def test_split_by_bytes_and_what_was_learned_is_kept(self, bench):
        def handler(request):
            return Answer(request, 413 if request.length > 3_000 else 200)

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
            return Answer(request, 413 if request.length > bound else 200)

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
            return Answer(request, 413 if request.length > 3_000 else 200)

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
            return Answer(request, 422 if bad else 200, json.dumps({"errors": bad}).encode())

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
            return Answer(request, 400 if bad else 200, json.dumps(bad[:1]).encode())

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
        assert "Mend item_errors" in str(came.error)
        assert came.counts == (0, 0, 0, 3, 3), "of a success, nobody knows for which records"
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
