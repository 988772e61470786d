"""What share of an API's rate is found, and what it costs in refusals, on a clock that only these tests move."""

from __future__ import annotations

import heapq
import random
from collections import deque
from itertools import count

import pytest

from airflow_provider_osmosdest.core.delivery.flow.pacer import Pacer
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.retry import Backoff

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
