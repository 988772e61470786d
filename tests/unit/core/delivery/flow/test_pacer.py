"""How fast requests may start, on a clock that only these tests move."""

from __future__ import annotations

import random

import pytest

from airflow_provider_osmosdest.core.delivery.flow.pacer import AdaptivePace, CircuitBreaker, Pacer, most_in_flight
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.retry import Backoff


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

    def steps(self, pace, count, now, latency=0.01):
        """Return how many may be in flight after each of some answers that come while as many are."""
        found = []
        for _ in range(count):
            pace.succeeded(latency, pace.in_flight, now)
            found.append(pace.in_flight)
        return found

    def test_it_doubles_no_faster_than_four_times_a_second(self):
        pace = AdaptivePace()
        assert self.steps(pace, 4, 1000.0) == [4] * 4, "what is under way when a first 429 comes is refused too"
        assert self.steps(pace, 11, 1000.25) == [4, 5, 5, 6, 6, 7, 7, 8, 8, 8, 8]

    def test_far_away_it_doubles_in_five_round_trips(self):
        pace = AdaptivePace()
        self.steps(pace, 1, 1000.0, latency=0.2)
        assert self.steps(pace, 10, 1000.5, latency=0.2)[-1] == 6, "4 * 2 ** 0.5, and the half step that is under way"
        assert self.steps(pace, 20, 1001.0, latency=0.2)[-1] == 8

    def test_once_it_was_refused_it_grows_by_one_a_round_trip(self):
        pace = AdaptivePace()
        pace.on_rate_limited(None, 1000.0)
        # The probe, and then 4.25, 4.49, 4.71, 4.92, 5.12, and so on.
        assert self.steps(pace, 11, 1010.0) == [4, *[4] * 4, *[5] * 5, 6]

    def test_once_it_was_overloaded_it_grows_by_one_a_round_trip(self):
        pace = AdaptivePace()
        pace.overloaded(1000.0)
        # 2.8, 3.16, 3.47, 3.76, 4.03
        assert self.steps(pace, 4, 1010.0) == [3, 3, 3, 4]

    def test_the_most_is_the_most_however_slowly_it_grows(self):
        pace = AdaptivePace()
        for step in range(2_000):
            pace.succeeded(0.01, pace.in_flight, step * 0.01)
        pace.on_rate_limited(None, 20.0)
        assert self.steps(pace, 400, 30.0)[-1] == 256

    def test_one_slow_answer_is_no_queue_but_two_are(self):
        pace = AdaptivePace()
        self.steps(pace, 10, 1000.0)
        pace.succeeded(0.1, 1, 1001.0)
        assert pace.in_flight == 4
        pace.succeeded(0.1, 1, 1002.0)
        assert pace.in_flight == 3

    @pytest.mark.parametrize(("latency", "shrinks"), [(0.019, False), (0.025, True)])
    def test_twice_the_fastest_is_a_queue(self, latency, shrinks):
        pace = AdaptivePace()
        self.steps(pace, 10, 1000.0)
        for step in range(30):
            pace.succeeded(latency, 1, 1001.0 + step)
        assert (pace.in_flight < 4) is shrinks

    def test_a_millisecond_is_this_machines_noise(self):
        pace = AdaptivePace()
        for step in range(30):
            pace.succeeded(0.0004 if step % 2 else 0.0015, 1, 1000.0 + step)
        assert pace.in_flight == 4

    @pytest.mark.parametrize(("latency", "again_after"), [(None, 0.1), (0.5, 0.5)])
    def test_what_is_in_flight_was_sent_before_the_last_cut(self, latency, again_after):
        pace = AdaptivePace()
        if latency:
            pace.succeeded(latency, 1, 999.0)
        pace.overloaded(1000.0)
        assert pace.in_flight == 2  # 0.7 * 4
        pace.overloaded(1000.0 + 0.9 * again_after)
        assert pace.in_flight == 2
        pace.overloaded(1000.0 + 1.1 * again_after)
        assert pace.in_flight == 1


class TestLimited:
    def test_many_refusals_of_one_moment_are_one_piece_of_news(self):
        pace = AdaptivePace()
        for step in range(100):
            pace.succeeded(0.01, 4, step * 0.005)
        assert pace.on_rate_limited(None, 0.5) > 0
        rate = pace.bucket.rate
        assert [pace.on_rate_limited(None, 0.5 + step / 1000) for step in range(5)] == [0.0] * 5
        assert pace.bucket.rate == rate

    def test_one_request_asks_whether_more_are_taken(self):
        pace = AdaptivePace()
        pace.succeeded(0.01, 1, 0.0)
        hold = pace.on_rate_limited(None, 1.0)
        assert pace.in_flight == 1
        pace.succeeded(0.01, 1, 1.0 + hold + 0.1)
        assert pace.in_flight > 1

    def test_the_pauses_grow_while_it_is_refused(self):
        pace, now, holds = AdaptivePace(), 0.0, []
        for _ in range(12):
            holds.append(pace.on_rate_limited(None, now))
            now += holds[-1] + 0.001
        assert holds == sorted(holds)
        assert holds[0] == pytest.approx(0.05)
        assert holds[-1] == 1.0

    def test_what_the_server_asks_for_is_what_is_waited(self):
        assert AdaptivePace().on_rate_limited(3.0, 0.0) == 3.0


class TestCircuit:
    def circuit(self, after=3):
        return CircuitBreaker(after, Backoff(1.0, 8.0, _random=random.Random(1)))

    def test_it_opens_after_failures_in_a_row_only(self):
        circuit = self.circuit()
        for _ in range(5):
            circuit.failed(None, 0.0)
            circuit.failed(None, 0.0)
            circuit.succeeded()
        assert not circuit.is_open
        for opened in (False, False, True):
            circuit.failed(None, 0.0)
            assert circuit.is_open is opened
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

    def test_a_batch_is_one_request_however_many_records_it_has(self):
        bounded = pacer(write_mode="batch", requests_per_second=10.0)
        bounded.started(1, 1_000, 0.0)
        assert bounded.wait(0.0) == pytest.approx(0.1)

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

    def test_a_429_that_asks_for_nothing_does_not_shorten_what_another_asked_for(self):
        told = pacer(concurrency="auto")
        told.failed(429, 8.0, 5.0, 1000.0)
        told.failed(429, 8.0, None, 1000.1)
        assert told.wait(1000.1) == pytest.approx(4.9)

    def test_an_open_circuit_waits_as_long_as_the_server_asked(self):
        broken = pacer(circuit_after=1)
        broken.failed(503, 1.0, 5.0, 1000.0)
        assert broken.wait(1000.0) == pytest.approx(5.0)
        assert broken.may_start(0, 1004.9) == 0
        assert broken.may_start(0, 1005.0) == 1

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


class TestAuto:
    """What the pacer makes of ``concurrency: auto``: the bounds that :class:`AdaptivePace` finds."""

    def test_it_is_for_records_alone(self):
        assert pacer(concurrency="auto").measures
        assert not pacer(concurrency="auto", write_mode="batch").measures

    def test_few_start_at_first_and_evenly(self):
        auto = pacer(concurrency="auto")
        assert auto.may_start(0, 1000.0) == 1
        auto.started(1, 1, 1000.0)
        assert auto.wait(1000.0) == pytest.approx(1 / 400)
        assert [auto.may_start(busy, 1001.0) for busy in (0, 1, 3, 4, 9)] == [4, 3, 1, 0, 0]

    def test_more_start_as_answers_come(self):
        auto = pacer(concurrency="auto")
        assert auto.may_start(0, 1000.0) == 1
        for now in (1000.0, 1000.25, 1000.25):
            auto.succeeded(0.01, 4, now)
        assert auto.may_start(0, 1001.0) == 5
        for _ in range(2):
            auto.succeeded(0.01, 1, 1001.0)
        assert auto.may_start(0, 1002.0) == 5, "where few are in flight, none is missing"

    def test_after_a_429_nothing_starts_for_a_moment_and_then_one(self):
        auto = pacer(concurrency="auto")
        auto.failed(429, 8.0, None, 1000.0)
        assert auto.wait(1000.0) == pytest.approx(0.05)
        assert auto.may_start(0, 1000.04) == 0
        assert [auto.may_start(busy, 1010.0) for busy in (0, 1)] == [1, 0]

    def test_after_an_overload_fewer_start(self):
        auto = pacer(concurrency="auto")
        assert auto.may_start(0, 1000.0) == 1
        auto.failed(503, 8.0, None, 1000.0)
        assert auto.wait(1000.0) == 0.0
        assert auto.may_start(0, 1001.0) == 2

    def test_a_429_that_says_how_long_teaches_a_rate(self):
        rates = []
        for asked in (None, 3.0):
            auto = pacer(concurrency="auto")
            for step in range(500):
                auto.succeeded(0.01, 1, 1000.0 + step * 0.01)
            auto.failed(429, 8.0, asked, 1005.0)
            auto.succeeded(0.01, 1, 1020.0)
            auto.succeeded(0.01, 1, 1020.1)
            auto.started(1_000, 1_000, 1020.1)
            rates.append((1_000 - 1) / auto.wait(1020.1))
        # 100 a second were taken. Told, it stays just below them; else it looks for more.
        assert 90 < rates[1] < 100
        assert rates[0] > 1.1 * rates[1]


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
