from __future__ import annotations

import gzip
import json
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.responses.classifier import READ_BYTES
from airflow_provider_osmosdest.core.errors import (
    AmbiguousError,
    ConnectorError,
    GivenUpError,
    MisconfiguredError,
    NotSentError,
    OptionsError,
    SourceError,
    SystemicError,
    TlsError,
    TooManyFailuresError,
)
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import ANSWER_BYTES, Response
from airflow_provider_osmosdest.testing.transports import answering, body_of
from tests.thoroughness import examples

MODES = ("batch", "record")


def records(count, bad=()):
    return [{"id": None if index in bad else index, "note": f"n{index}"} for index in range(count)]


def ids_in(request):
    document = json.loads(body_of(request))
    return [record["id"] for record in (document if isinstance(document, list) else [document])]


def refusing(poison):
    return lambda request: Response(request, 422 if poison.intersection(ids_in(request)) else 200, b"no")


class TestAllIsWell:
    def test_records_go_out_in_batches_in_order(self, bench):
        came = bench(answering(200), records(230), batch_size=100)
        assert came.counts == (230, 0, 0, 0, 0)
        assert came.error is None
        assert [len(body) for body in came.sent] == [100, 100, 30]
        assert [record["id"] for body in came.sent for record in body] == list(range(230))
        assert came.report.failures_path is None

    def test_ndjson_is_lines_and_says_so(self, bench):
        came = bench(answering(200), records(3), batch_format="ndjson")
        assert came.bodies == [b'{"id":0,"note":"n0"}\n{"id":1,"note":"n1"}\n{"id":2,"note":"n2"}\n']
        assert came.transport.headers == {"Content-Type": "application/x-ndjson"}

    @pytest.mark.parametrize(("mode", "expected"), [("batch", {"data": [{"id": 0, "note": "n0"}]}),
                                                    ("record", {"data": {"id": 0, "note": "n0"}})])  # fmt: skip
    def test_an_envelope_wraps_either_mode(self, bench, mode, expected):
        assert bench(answering(200), records(1), write_mode=mode, envelope="data").sent == [expected]

    @pytest.mark.parametrize("mode", MODES)
    def test_bodies_are_compressed_and_say_so(self, bench, mode):
        came = bench(answering(200), records(5), write_mode=mode, compression="gzip")
        assert came.transport.headers == {"Content-Encoding": "gzip"}
        sent = [json.loads(gzip.decompress(body)) for body in came.bodies]
        assert sent == ([records(5)] if mode == "batch" else records(5))

    def test_no_records_are_no_requests(self, bench):
        came = bench(answering(500), [])
        assert came.counts == (0, 0, 0, 0, 0)
        assert came.transport.requests == []

    def test_whole_answers_are_kept_only_where_they_are_read(self, bench):
        assert bench(answering(200), records(1)).transport.answer_bytes == ANSWER_BYTES
        came = bench(answering(200, b"[]"), records(1), item_errors="@")
        assert came.transport.answer_bytes == READ_BYTES

    @pytest.mark.parametrize(("mode", "in_flight"), [("batch", 1), ("record", 7)])
    def test_requests_in_flight(self, bench, mode, in_flight):
        came = bench(answering(200), records(100), write_mode=mode, concurrency=7)
        assert came.transport.in_flight == came.transport.most_in_flight == in_flight

    def test_the_log_is_a_few_lines(self, bench):
        came = bench(refusing({5}), records(1_000), batch_size=10, max_failures=1)
        assert 1 <= len(came.log) < 12


class TestInvalidRecords:
    @pytest.mark.parametrize("mode", MODES)
    def test_are_never_sent_and_keep_their_indexes(self, bench, mode):
        came = bench(answering(200), records(120, bad={0, 49, 50, 119}), write_mode=mode, max_failures=4, batch_size=40)
        assert came.counts == (116, 4, 0, 0, 0)
        assert came.error is None
        assert came.indexes("invalid") == [0, 49, 50, 119]
        sent = [record_id for request in came.transport.requests for record_id in ids_in(request)]
        assert sent == [index for index in range(120) if index not in {0, 49, 50, 119}]
        assert "id" in came.lines[0]["error"]
        assert came.lines[0]["record"] == {"id": None, "note": "n0"}

    def test_borders_of_batches_do_not_move(self, bench):
        came = bench(answering(200), records(30, bad={1, 2, 15}), batch_size=10, max_failures=3)
        assert [len(body) for body in came.sent] == [8, 9, 10]

    def test_a_delivery_of_nothing_else_sends_nothing(self, bench):
        came = bench(answering(200), records(5, bad=range(5)))
        assert came.counts == (0, 5, 0, 0, 0)
        assert came.transport.requests == []
        assert isinstance(came.error, TooManyFailuresError)
        assert "5 of 5 records were not delivered" in str(came.error)


class TestStops:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("status", [400, 422, 413])
    @pytest.mark.parametrize("count", [150, 20_000])
    def test_a_server_that_refuses_everything_is_asked_200_times_at_most(self, bench, mode, status, count):
        came = bench(answering(status, b"no"), records(count), write_mode=mode, block=1_000)
        assert isinstance(came.error, SystemicError)
        assert came.report.requests <= 200
        assert came.report.rejected >= 100
        assert came.report.rejected + came.report.unsent == count

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("reason", [401, 403, 404, 405, 501, 302, TlsError("wrong name")])
    def test_misconfigured_is_one_request_and_nothing_else(self, bench, mode, reason):
        def handler(request):
            return reason if isinstance(reason, TlsError) else Response(request, reason, b"who are you")

        came = bench(handler, records(1_000), write_mode=mode, concurrency=1, batch_size=100)
        assert isinstance(came.error, MisconfiguredError)
        assert came.report.requests == 1
        assert came.counts == (0, 0, 0, 0, 1_000)
        assert came.indexes("unsent") == list(range(1_000))
        assert "POST http://api.test/v1" in str(came.error)

    def test_a_wrong_token_in_record_mode_costs_what_is_in_flight_at_most(self, bench):
        came = bench(answering(401), records(1_000), write_mode="record", concurrency=16)
        assert came.report.requests <= 16
        assert came.counts == (0, 0, 0, 0, 1_000)

    def test_no_secret_is_left_anywhere(self, bench):
        target = Target("http://api.test/v1?k=s3cret", headers={"Authorization": "Bearer s3cret"}, secrets=("s3cret",))
        for status in (400, 401, 500):
            came = bench(answering(status, b"your token s3cret is no good"), records(3), target=target)
            left = [str(came.error), *came.log, *map(repr, came.files.values()), repr(came.report.to_xcom())]
            assert not [text for text in left if "s3cret" in text]

    @pytest.mark.parametrize("mode", MODES)
    def test_an_api_that_cannot_be_reached_is_given_up(self, bench, mode):
        came = bench(lambda request: NotSentError("refused"), records(1_000), write_mode=mode, concurrency=4)
        assert isinstance(came.error, GivenUpError)
        assert came.counts == (0, 0, 0, 0, 1_000)
        assert came.report.requests <= 100

    @pytest.mark.parametrize("mode", MODES)
    def test_an_api_that_stays_down_is_given_up(self, bench, mode):
        came = bench(answering(503), records(1_000), write_mode=mode, concurrency=4, batch_size=500)
        assert isinstance(came.error, GivenUpError)
        assert came.report.requests <= 100
        assert came.report.delivered == 0

    @pytest.mark.parametrize("mode", MODES)
    def test_what_may_have_been_taken_is_unknown(self, bench, mode):
        came = bench(
            lambda request: AmbiguousError("silence"), records(6), write_mode=mode, concurrency=2, batch_size=2
        )
        assert isinstance(came.error, GivenUpError)
        assert came.report.unknown > 0
        assert came.report.unknown + came.report.unsent == 6
        touched = {record_id for request in came.transport.requests for record_id in ids_in(request)}
        assert set(came.indexes("unknown")) == touched, "what was never sent is unsent, what was is unknown"

    @pytest.mark.parametrize("mode", MODES)
    def test_a_stop_in_the_middle_keeps_what_was_delivered(self, bench, mode):
        def handler(request):
            return Response(request, 401 if max(ids_in(request)) >= 300 else 200)

        came = bench(handler, records(500), write_mode=mode, concurrency=1, batch_size=100)
        assert came.counts == (300, 0, 0, 0, 200)

    def test_records_that_are_invalid_are_so_even_behind_the_stop(self, bench):
        came = bench(answering(401), records(200, bad={5, 190}), batch_size=10)
        assert came.counts == (0, 2, 0, 0, 198)


class TestRetries:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("came_first", [503, 429, NotSentError("x"), AmbiguousError("x")])
    def test_a_passing_failure_costs_a_retry_and_no_record(self, bench, mode, came_first):
        seen = Counter()

        def handler(request):
            key = body_of(request)
            seen[key] += 1
            if seen[key] == 1:
                return came_first if isinstance(came_first, Exception) else Response(request, came_first)
            return Response(request, 200)

        came = bench(handler, records(20), write_mode=mode, concurrency=4)
        assert came.counts == (20, 0, 0, 0, 0)
        assert came.report.retries == len(seen)
        assert set(seen.values()) == {2}

    @pytest.mark.parametrize("mode", MODES)
    def test_attempts_stand_in_the_failures_file(self, bench, mode):
        def handler(request):
            return Response(request, 503 if ids_in(request) == [1] else 400 if 1 in ids_in(request) else 200)

        came = bench(handler, records(3), write_mode=mode, max_failures=1)
        assert came.counts == (2, 0, 0, 0, 1)
        assert came.lines[0]["attempts"] == 3
        assert came.lines[0]["status"] == 503


class TestSource:
    @pytest.mark.parametrize("mode", MODES)
    def test_records_before_a_fault_are_delivered_and_the_fault_is_the_error(self, bench, mode):
        fault = SourceError("flights.csv, line 231: breaks off")
        came = bench(answering(200), records(230), write_mode=mode, fault=fault, batch_size=100)
        assert came.counts == (230, 0, 0, 0, 0)
        assert came.error is fault
        assert came.report.error == str(fault)

    def test_a_stop_is_told_before_a_fault(self, bench):
        came = bench(answering(401), records(230), fault=SourceError("line 231"), batch_size=100)
        assert isinstance(came.error, MisconfiguredError)
        assert came.counts == (0, 0, 0, 0, 230)


class TestEndpoint:
    target = Target("http://api.test/customers/{note}")

    def test_each_record_goes_to_its_own_url(self, bench):
        came = bench(
            answering(200), [{"id": 1, "note": "a/b"}, {"id": 2, "note": "c"}], write_mode="record", target=self.target
        )
        assert [request.url for request in came.transport.requests] == [
            "http://api.test/customers/a%2Fb",
            "http://api.test/customers/c",
        ]

    def test_a_record_that_gives_no_url_is_invalid_and_one_that_is_not_found_is_rejected(self, bench):
        def handler(request):
            return Response(request, 404 if request.url.endswith("/gone") else 200)

        given = [{"id": 1, "note": None}, {"id": 2, "note": "gone"}, {"id": 3, "note": "here"}]
        came = bench(handler, given, write_mode="record", target=self.target, max_failures=2)
        assert came.counts == (1, 1, 1, 0, 0)
        assert came.indexes("invalid") == [0]
        assert came.indexes("rejected") == [1]

    def test_numbers_stay_with_their_records_where_some_are_invalid(self, bench):
        given = [
            {"id": None, "note": "x"},
            {"id": 1, "note": "one"},
            {"id": None, "note": "y"},
            {"id": 3, "note": "three"},
        ]
        came = bench(answering(200), given, write_mode="record", target=self.target, max_failures=2)
        assert [(request.url.rpartition("/")[2], ids_in(request)) for request in came.transport.requests] == [
            ("one", [1]),
            ("three", [3]),
        ]

    def test_a_field_that_is_not_in_the_schema_is_told_before_anything_is_sent(self, bench):
        with pytest.raises(OptionsError, match="no field customer"):
            bench(answering(200), records(1), write_mode="record", target=Target("http://h/{customer}"))

    def test_batches_have_no_url_of_their_own(self, bench):
        with pytest.raises(OptionsError, match="write_mode 'record'"):
            bench(answering(200), records(1), target=self.target)

    def test_the_host_is_not_a_records_to_choose(self, bench):
        with pytest.raises(ConnectorError):
            bench(answering(200), records(1), write_mode="record", target=Target("http://h{note}/x"))


class TestMaxFailures:
    @pytest.mark.parametrize(
        ("allowed", "red"), [(0, True), (1, True), (2, False), ("1%", True), ("2%", False), (0.02, False)]
    )
    def test_more_than_allowed_is_an_error(self, bench, allowed, red):
        came = bench(refusing({5, 6}), records(100), max_failures=allowed)
        assert isinstance(came.error, TooManyFailuresError) == red


class Chaos:
    """A server without manners, which keeps book of what it did with each record."""

    KINDS = (
        "take",
        "refuse",
        "too large",
        "fail",
        "wait",
        "not sent",
        "lost",
        "swallowed",
        "listed",
        "refused list",
        "stop",
    )

    def __init__(self, rnd, weights):
        self._rnd = rnd
        self._weights = weights
        self.taken = Counter()
        self.maybe = Counter()
        self.refused_alone = set()
        self.listed = set()
        self.touched = set()

    def __call__(self, request):
        ids = ids_in(request)
        self.touched.update(ids)
        return getattr(self, "_" + self._rnd.choices(self.KINDS, self._weights)[0].replace(" ", "_"))(request, ids)

    def _take(self, request, ids):
        self.taken.update(ids)
        return Response(request, 200, b"[]")

    def _refuse(self, request, ids):
        return self._refused(request, ids, 422)

    def _too_large(self, request, ids):
        return self._refused(request, ids, 413)

    def _fail(self, request, ids):
        return self._refused(request, ids, 500)

    def _wait(self, request, ids):
        return self._refused(request, ids, 429, retry_after=0.5)

    def _not_sent(self, request, ids):
        return NotSentError("broke")

    def _lost(self, request, ids):
        return AmbiguousError("silence")

    def _swallowed(self, request, ids):
        self.maybe.update(ids)
        return AmbiguousError("silence")

    def _listed(self, request, ids):
        at = self._some(ids)
        self.taken.update(record_id for position, record_id in enumerate(ids) if position not in at)
        return Response(request, 200, json.dumps(at).encode())

    def _refused_list(self, request, ids):
        return Response(request, 422, json.dumps(self._some(ids)).encode())

    def _stop(self, request, ids):
        return Response(request, 401)

    def _some(self, ids):
        at = sorted(self._rnd.sample(range(len(ids)), self._rnd.randint(1, min(3, len(ids)))))
        self.listed.update(ids[position] for position in at)
        return at

    def _refused(self, request, ids, status, **more):
        if len(ids) == 1:
            self.refused_alone.update(ids)
        return Response(request, status, b"[]", **more)


@st.composite
def manners(draw):
    weights = draw(st.lists(st.sampled_from([0, 0, 1, 3]), min_size=len(Chaos.KINDS), max_size=len(Chaos.KINDS)))
    weights[0] = draw(st.sampled_from([0, 1, 10, 30]))
    weights[-1] = draw(st.sampled_from([0, 0, 0, 0.05]))
    return weights if any(weights) else [1] * len(weights)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 2**32), weights=manners(), mode=st.sampled_from(MODES))
def test_whatever_a_server_does_the_books_are_true(bench, data, seed, weights, mode):
    rnd = random.Random(seed)
    size = data.draw(st.integers(0, 200), "records")
    bad = set(rnd.sample(range(size), size // 9)) if data.draw(st.booleans(), "some invalid") else set()
    fail = data.draw(st.booleans(), "fail")
    items = data.draw(st.booleans(), "item_errors")
    if not items:
        weights = [0 if kind in ("listed", "refused list") else w for kind, w in zip(Chaos.KINDS, weights, strict=True)]
        weights = weights if any(weights) else [1, *weights[1:]]
    chaos = Chaos(rnd, weights)
    came = bench(
        chaos,
        records(size, bad),
        block=data.draw(st.integers(1, 60), "block"),
        shuffle=random.Random(seed) if mode == "record" else None,
        write_mode=mode,
        batch_size=data.draw(st.integers(1, 120), "batch_size"),
        on_batch_failure="fail" if fail else "split",
        max_batch_bytes=data.draw(st.none() | st.integers(2, 800), "max_batch_bytes"),
        envelope=None,
        item_errors="@" if items else None,
        concurrency=data.draw(st.integers(1, 9), "concurrency"),
        max_retries=data.draw(st.integers(0, 3), "max_retries"),
        systemic_after=data.draw(st.integers(1, 20), "systemic_after"),
        max_split_requests=data.draw(st.sampled_from([1, 20, 1_000]), "max_split_requests"),
    )
    assert set(came.indexes("invalid")) == bad
    assert chaos.touched.isdisjoint(bad), "what is invalid is never sent"
    failed = {line["index"] for line in came.lines}
    delivered = set(range(size)) - failed
    for index in delivered:
        assert chaos.taken[index] == 1, "delivered is what an answer accepted, and that is not sent again"
    for outcome in ("rejected", "unknown", "unsent"):
        for index in came.indexes(outcome):
            assert chaos.taken[index] == 0, f"{index} was accepted and is listed as {outcome}"
    for index in came.indexes("rejected"):
        assert fail or index in chaos.refused_alone | chaos.listed, (
            "rejected by an answer to itself alone, or by its own entry"
        )
    if mode == "record":
        assert not [index for index in came.indexes("unsent") if chaos.maybe[index]], (
            "unsent is what the API cannot have"
        )
    for line in came.lines:
        assert line["record"] == {"id": None if line["index"] in bad else line["index"], "note": f"n{line['index']}"}
