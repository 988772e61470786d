"""How fast requests may start, on a clock that only these tests move."""

from __future__ import annotations

import heapq
import random
from collections import deque
from itertools import count

import pytest

from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.pacing import AdaptivePace, Circuit, Pacer, most_in_flight
from airflow_provider_osmosdest.core.delivery.retry import Backoff

LIMIT = 200


class BucketServer:
    """Takes ``LIMIT`` requests a second, and ``burst`` at once after a pause."""

    def __init__(self, burst):
        self._burst = self._tokens = burst
        self._at = None

    def takes(self, now):
        passed = 0.0 if self._at is None else now - self._at
        self._tokens, self._at = min(self._burst, self._tokens + passed * LIMIT), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class WindowServer:
    """Takes ``LIMIT`` requests in each second of its clock, as soon as they come."""

    def __init__(self):
        self._second, self._count = None, 0

    def takes(self, now):
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        return self._count <= LIMIT


class LogServer:
    """Takes a request when fewer than ``LIMIT`` were taken in the second before it."""

    def __init__(self):
        self._taken = deque()

    def takes(self, now):
        while self._taken and self._taken[0] <= now - 1:
            self._taken.popleft()
        if len(self._taken) >= LIMIT:
            return False
        self._taken.append(now)
        return True


def send_for(seconds, server, retry_after=None, *, latency=0.004, start=1000.3, seed=1):
    """Send as record mode does, as much as the pacer lets; return how many were taken and how many refused."""
    rnd = random.Random(seed)
    options = DeliveryOptions(write_mode="record", concurrency="auto")
    backoff = Backoff(options.backoff, options.max_backoff, _random=random.Random(seed))
    pacer = Pacer(options, backoff)
    in_flight, later, numbers = [], [], count()
    taken = refused = 0
    now = start
    while now < start + seconds:
        free = pacer.may_start(len(in_flight), now)
        for _ in range(free):
            attempts = heapq.heappop(later)[2] if later and later[0][0] <= now else 0
            heapq.heappush(in_flight, (now + latency * rnd.uniform(1, 1.2), next(numbers), now, attempts))
        pacer.started(free, free, now)
        at = [now + max(pacer.wait(now), 1e-4)]
        if in_flight:
            at.append(in_flight[0][0])
        now = min(at)
        while in_flight and in_flight[0][0] <= now:
            done, number, began, attempts = heapq.heappop(in_flight)
            if server.takes(done - latency / 2):
                taken += 1
                pacer.succeeded(done - began, len(in_flight) + 1, now)
            else:
                refused += 1
                wait = backoff.wait(attempts, retry_after)
                pacer.failed(429, wait, retry_after, now)
                heapq.heappush(later, (now + wait, number, attempts + 1))
    return taken, refused


@pytest.mark.parametrize("retry_after", [None, 1.0])
@pytest.mark.parametrize(
    ("kind", "server"),
    [
        ("bucket, burst 200", lambda: BucketServer(200)),
        ("bucket, burst 20", lambda: BucketServer(20)),
        ("window", WindowServer),
        ("log", LogServer),
    ],
)
def test_it_finds_the_limit_of_an_api(kind, server, retry_after):
    seconds, runs = 15, 4
    taken, refused = (
        sum(numbers)
        for numbers in zip(
            *(send_for(seconds, server(), retry_after, start=1000 + run / runs, seed=run) for run in range(runs)),
            strict=True,
        )
    )
    share, bad = taken / (LIMIT * seconds * runs), refused / (taken + refused)
    print(f"{kind}, Retry-After {retry_after}: {share:.1%} of the rate, {bad:.2%} refused")  # noqa: T201 - the figure that is promised
    # A small bucket that asks for a second's wait after each 429 takes some of those to find out about.
    assert share >= (0.7 if (kind, retry_after) == ("bucket, burst 20", 1.0) else 0.9)
    assert bad < 0.05


def test_a_far_away_api_is_not_flooded_either():
    taken, refused = send_for(40, BucketServer(200), latency=0.2)
    assert taken > 0.8 * LIMIT * 40
    assert refused < 0.1 * taken


def test_a_limit_that_is_lifted_is_noticed():
    class Lifted(LogServer):
        def takes(self, now):
            return now > 1020 or super().takes(now)

    before, _ = send_for(20, Lifted(), start=1000.0)
    after, _ = send_for(60, Lifted(), start=1000.0)
    assert (after - before) / 40 > 1.2 * LIMIT


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
