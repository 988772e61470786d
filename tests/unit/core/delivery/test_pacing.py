"""How fast requests may start, on a clock that only these tests move."""

from __future__ import annotations

import random

import pytest

from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.pacing import AdaptivePace, Circuit, Pacer, most_in_flight
from airflow_provider_osmosdest.core.delivery.retry import Backoff


class TestInFlight:
    def test_it_grows_while_latency_holds(self):
        pace = AdaptivePace()
        first = pace.in_flight
        for step in range(2_000):
            pace.succeeded(0.01, pace.in_flight, step * 0.01)
        assert pace.in_flight == 256 > first

    def test_it_does_not_grow_where_requests_are_few(self):
        pace = AdaptivePace()
        first = pace.in_flight
        for step in range(1_000):
            pace.succeeded(0.01, 1, step * 0.01)
        assert pace.in_flight == first

    def test_it_shrinks_while_requests_queue_at_the_other_end(self):
        pace = AdaptivePace()
        for step in range(500):
            pace.succeeded(0.01, pace.in_flight, step * 0.01)
        before = pace.in_flight
        for step in range(200):
            pace.succeeded(0.1, pace.in_flight, 5 + step * 0.01)
        assert pace.in_flight < before / 2

    def test_it_shrinks_on_overload_once_a_round_trip_and_never_below_one(self):
        pace = AdaptivePace()
        for step in range(500):
            pace.succeeded(0.01, pace.in_flight, step * 0.01)
        before = pace.in_flight
        for _ in range(50):
            pace.overloaded(6.0)
        assert pace.in_flight == int(before * 0.7) or abs(pace.in_flight - before * 0.7) < 1
        for step in range(100):
            pace.overloaded(7.0 + step)
        assert pace.in_flight == 1


class TestLimited:
    def test_many_refusals_of_one_moment_are_one_piece_of_news(self):
        pace = AdaptivePace()
        for step in range(100):
            pace.succeeded(0.01, 4, step * 0.005)
        assert pace.limited(None, 0.5) > 0
        rate = pace.bucket.rate
        assert [pace.limited(None, 0.5 + step / 1000) for step in range(5)] == [0.0] * 5
        assert pace.bucket.rate == rate

    def test_one_request_asks_whether_more_are_taken(self):
        pace = AdaptivePace()
        pace.succeeded(0.01, 1, 0.0)
        hold = pace.limited(None, 1.0)
        assert pace.in_flight == 1
        pace.succeeded(0.01, 1, 1.0 + hold + 0.1)
        assert pace.in_flight > 1

    def test_the_pauses_grow_while_it_is_refused(self):
        pace, now, holds = AdaptivePace(), 0.0, []
        for _ in range(12):
            holds.append(pace.limited(None, now))
            now += holds[-1] + 0.001
        assert holds == sorted(holds)
        assert holds[0] == pytest.approx(0.05)
        assert holds[-1] == 1.0

    def test_what_the_server_asks_for_is_what_is_waited(self):
        assert AdaptivePace().limited(3.0, 0.0) == 3.0


class TestCircuit:
    def circuit(self, after=3):
        return Circuit(after, Backoff(1.0, 8.0, _random=random.Random(1)))

    def test_it_opens_after_failures_in_a_row_only(self):
        circuit = self.circuit()
        for _ in range(5):
            circuit.failed(None, 0.0)
            circuit.failed(None, 0.0)
            circuit.succeeded()
        assert not circuit.is_open
        for _ in range(3):
            circuit.failed(None, 0.0)
        assert circuit.is_open
        circuit.succeeded()
        assert not circuit.is_open
        assert circuit.openings == 0

    def test_answers_to_what_was_under_way_do_not_prolong_it(self):
        circuit = self.circuit()
        for _ in range(3):
            circuit.failed(5.0, 10.0)
        assert (circuit.openings, circuit.until) == (1, 15.0)
        circuit.failed(5.0, 11.0)
        assert (circuit.openings, circuit.until) == (1, 15.0)
        circuit.failed(5.0, 15.0)
        assert (circuit.openings, circuit.until) == (2, 20.0)

    def test_it_may_be_without_bound(self):
        circuit = self.circuit(after=None)
        for _ in range(1_000):
            circuit.failed(None, 0.0)
        assert not circuit.is_open


def pacer(**options):
    return Pacer(DeliveryOptions(**{"write_mode": "record", **options}), Backoff(1.0, 8.0, _random=random.Random(1)))


class TestPacer:
    def test_without_bounds_only_the_requests_in_flight_count(self):
        free = pacer(concurrency=7)
        assert [free.may_start(busy, 0.0) for busy in (0, 3, 7)] == [7, 4, 0]
        assert free.wait(0.0) == 0.0
        assert not free.measures

    @pytest.mark.parametrize("bound", ["requests_per_second", "records_per_second"])
    def test_a_rate_is_kept(self, bound):
        bounded = pacer(**{bound: 50.0})
        started, now = 0, 0.0
        while now < 10.0:
            free = bounded.may_start(0, now)
            bounded.started(free, free, now)
            started += free
            now += max(bounded.wait(now), 0.001)
        assert 495 <= started <= 510

    def test_a_batch_larger_than_the_rate_is_waited_for_afterwards(self):
        bounded = pacer(write_mode="batch", records_per_second=100.0)
        assert bounded.may_start(0, 0.0) == 1
        bounded.started(1, 1_000, 0.0)
        assert bounded.may_start(0, 5.0) == 0
        assert bounded.wait(5.0) == pytest.approx(5.0, abs=0.1)
        assert bounded.may_start(0, 10.1) == 1

    def test_a_pause_is_not_made_up_for_by_a_burst(self):
        bounded = pacer(requests_per_second=100.0, concurrency=512)
        bounded.started(1, 1, 0.0)
        assert bounded.may_start(0, 60.0) == 10

    def test_a_retry_after_holds_for_every_request(self):
        told = pacer()
        told.failed(429, 6.0, 5.0, 10.0)
        assert told.may_start(3, 14.9) == 0
        assert told.wait(12.0) == pytest.approx(3.0)
        assert told.may_start(3, 15.0) > 0, "what a request waits beyond that is its own jitter"

    def test_a_retry_after_is_bounded_by_what_a_request_may_wait(self):
        told = pacer()
        told.failed(503, 8.0, 3_600.0, 0.0)
        assert told.wait(0.0) == pytest.approx(8.0)

    def test_an_open_circuit_lets_one_request_through_at_a_time(self):
        broken = pacer(circuit_after=4)
        for _ in range(4):
            broken.failed(503, 1.0, None, 0.0)
        wait = broken.wait(0.0)
        assert 0 < wait <= 1.0
        assert broken.may_start(0, wait / 2) == 0
        assert broken.may_start(0, wait) == 1
        assert broken.may_start(1, wait) == 0
        broken.succeeded(0.01, 1, wait)
        assert broken.may_start(0, wait) == 16

    def test_probes_that_all_fail_are_hopeless_at_last(self):
        broken, now = pacer(circuit_after=1), 0.0
        for _ in range(4):
            assert not broken.is_hopeless(3)
            broken.failed(503, 1.0, None, now)
            now += broken.wait(now)
        assert broken.is_hopeless(3)

    def test_batches_have_no_circuit_as_they_go_one_at_a_time(self):
        alone = pacer(write_mode="batch", circuit_after=1)
        for _ in range(5):
            alone.failed(503, 1.0, None, 0.0)
        assert alone.may_start(0, 0.0) == 1


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"write_mode": "batch", "concurrency": 40}, 1),
        ({"write_mode": "record", "concurrency": 40}, 40),
        ({"write_mode": "record", "concurrency": "auto"}, 256),
    ],
)
def test_how_much_a_transport_must_carry(options, most):
    assert most_in_flight(DeliveryOptions(**options)) == most
