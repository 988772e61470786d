"""How a rate grows and is cut, and what share of an API's rate that finds, on a clock that only these tests move."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from itertools import count

import pytest

from airflow_provider_osmosdest.core.delivery.flow.aimd import AimdRate
from airflow_provider_osmosdest.core.delivery.flow.pacer import Pacer
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.retry import Backoff

LIMIT = 200


def taking(rate, seconds, *, start=1000.0, latency=0.01):
    """Let an API take so many requests a second, evenly; return when the last came."""
    now = start
    for step in range(1, int(seconds * 100) + 1):
        now = start + step / 100
        rate.taken(latency, now)
    return now


class TestRate:
    def test_it_doubles_four_times_a_second_until_a_refusal(self):
        rate = AimdRate()
        rate.taken(0.01, 1000.0)
        for step in range(1, 6):
            rate.taken(0.01, 1000.0 + step / 20)
        assert rate.bucket.rate == pytest.approx(400 * 2 ** (0.1 / 0.25) * 2)

    def test_far_away_it_doubles_in_five_round_trips(self):
        rate = AimdRate()
        for step in range(11):
            rate.taken(0.2, 1000.0 + step / 10)
        assert rate.bucket.rate == pytest.approx(400 * 2 ** (0.1 + 1.0), rel=0.01)

    def test_a_pause_is_no_time_in_which_the_rate_was_borne(self):
        rate = AimdRate()
        rate.taken(0.01, 1000.0)
        before = rate.bucket.rate
        rate.taken(0.01, 2000.0)
        assert rate.bucket.rate == pytest.approx(before * 2 ** (0.1 / 0.25))

    def test_it_has_an_end(self):
        rate = AimdRate()
        taking(rate, 10)
        assert rate.bucket.rate == 1e6

    def test_the_first_cut_is_to_what_was_accepted_in_the_last_second(self):
        rate = AimdRate()
        now = taking(rate, 3)
        assert rate.refused(None, 0.01, now) == 0.05
        assert rate.bucket.rate == pytest.approx(0.96 * 100)

    def test_what_was_accepted_is_forgotten_after_a_second(self):
        rate = AimdRate()
        rate.refused(None, 0.01, taking(rate, 3) + 0.5)
        assert rate.bucket.rate == pytest.approx(0.96 * 50, abs=1)

    def test_a_refusal_that_comes_at_once_lets_it_double_once_more(self):
        rate = AimdRate()
        now = taking(rate, 0.1)
        rate.refused(None, 0.01, now)
        assert rate.bucket.rate == pytest.approx(0.96 * 10)
        rate.taken(0.01, now + 1)
        before = rate.bucket.rate
        now = taking(rate, 0.8, start=now + 1)
        assert rate.bucket.rate == pytest.approx(2 * before)
        rate.refused(None, 0.01, now)
        # 81 were accepted; the rate was below that.
        assert rate.bucket.rate == pytest.approx(0.96 * 81)

    def test_a_rate_that_doubled_once_more_is_halved_at_most(self):
        rate = AimdRate()
        rate.refused(None, 0.01, 1000.0)
        assert rate.bucket.rate == 0.1
        for step in range(100):
            rate.taken(0.01, 1001.0 + step / 10)
        before = rate.bucket.rate
        assert before > 100
        rate.refused(None, 0.01, 1012.0)
        assert rate.bucket.rate == pytest.approx(0.5 * before)

    def test_later_cuts_are_by_a_share_and_growth_is_in_steps_that_grow(self):
        rate = AimdRate()
        now = taking(rate, 3)
        rate.refused(None, 0.01, now)
        first = rate.bucket.rate
        rates = [first]
        for _ in range(3):
            now = taking(rate, 5, start=now)
            rates.append(rate.bucket.rate)
        grown = [after - before for before, after in itertools.pairwise(rates)]
        # Half a percent a second, and as much more after each five seconds without a refusal.
        assert grown == pytest.approx([first * 0.005 * 5 * (mean + 1) for mean in (0.5, 1.5, 2.5)], rel=0.03)
        for step in range(300):
            rate.taken(0.01, now + step / 150)
        before = rate.bucket.rate
        rate.refused(None, 0.01, now + 2)
        assert rate.bucket.rate == pytest.approx(0.92 * before), "150 a second were accepted, which is more"
        before = rate.bucket.rate
        taking(rate, 5, start=now + 2)
        assert rate.bucket.rate - before == pytest.approx(before * 0.005 * 5 * 1.5, rel=0.03)

    @pytest.mark.parametrize(("accepted", "left"), [(80, 0.96 * 80), (10, 50)])
    def test_a_later_cut_is_to_what_was_accepted_if_that_is_less_but_not_below_half(self, accepted, left):
        rate = AimdRate()
        rate.refused(None, 0.01, taking(rate, 3))
        rate.bucket.rate = 100.0
        for step in range(accepted):
            rate.taken(0.01, 1010.0 + step / accepted / 1e6)
        rate.refused(None, 0.01, 1010.5)
        assert rate.bucket.rate == pytest.approx(left, abs=0.1)

    def test_what_was_under_way_at_a_refusal_tells_nothing_new(self):
        rate = AimdRate()
        now = taking(rate, 3)
        rate.refused(None, 0.2, now)
        before = rate.bucket.rate
        assert rate.refused(None, 0.2, now + 0.29) == 0.0
        rate.taken(0.2, now + 0.29)
        assert rate.bucket.rate == before
        assert rate.probing
        assert rate.refused(None, 0.2, now + 0.31) > 0.0

    def test_a_probe_that_is_refused_waits_longer_and_cuts_nothing(self):
        rate = AimdRate()
        now = taking(rate, 3)
        rate.refused(None, 0.01, now)
        before = rate.bucket.rate
        assert rate.refused(None, 0.01, now + 1) == pytest.approx(0.075)
        assert rate.bucket.rate == before
        rate.taken(0.01, now + 2)
        assert not rate.probing
        assert rate.refused(None, 0.01, now + 3) == 0.05

    def test_the_server_says_how_long_to_wait(self):
        rate = AimdRate()
        assert rate.refused(3.0, 0.01, 1000.0) == 3.0
        assert rate.refused(3.0, 0.01, 1002.9) == 0.0
        assert rate.refused(3.0, 0.01, 1003.1) == 3.0


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
    # A second's wait for each 429 loses a part of the rate; a small bucket takes some of them to find out about.
    floor = 0.9 if retry_after is None else 0.7 if kind == "bucket, burst 20" else 0.85
    assert share >= floor
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
