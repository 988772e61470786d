"""The figures this package is held to, against real sockets. Run with ``-s`` to see them."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from airflow_provider_osmosdest.testing import fault_server as faults
from airflow_provider_osmosdest.testing.fault_server import FaultServer, answering, sometimes

RUDE = [
    answering(500),
    answering(502),
    answering(503, headers={"Retry-After": "0"}),
    faults.reset_before_body,
    faults.reset_during_body,
    faults.reset_after_body,
    faults.half_an_answer,
    faults.silence_before_body,
    faults.silence_after_body,
]
MODES = {
    "batch": {"batch_size": 20},
    "record": {"write_mode": "record", "concurrency": 64},
}


def tell(line):
    print(f"\n{line}")  # noqa: T201 - the figures that are promised


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_fails_a_fifth_of_all_requests(send, mode):
    count = 2_000
    with FaultServer(sometimes(0.2, RUDE, seed=len(mode))) as server:
        came = send(server, count, timeout=0.1, circuit_after=20, max_failures=0, **MODES[mode])
    assert came.error is None
    assert came.report.delivered == count
    assert set(server.taken) == set(range(count))
    assert set(server.once_by_key.values()) == {1}, "whatever came twice came under the key of the first time"
    doubled = sum(times > 1 for times in server.taken.values())
    requests = came.report.requests
    tell(
        f"a fifth fails, {mode}: {came.report.delivered / count:.1%} of {count:,} records delivered in {requests:,} "
        f"requests, {came.report.retries:,} of them retries; {doubled:,} came twice, under one key"
    )


@pytest.mark.parametrize("mode", MODES)
def test_at_most_once_is_never_twice(send, mode):
    count = 2_000
    with FaultServer(sometimes(0.2, RUDE, seed=len(mode))) as server:
        came = send(
            server, count, timeout=0.1, circuit_after=20, guarantee="at_most_once", systemic_after=count, **MODES[mode]
        )
    assert max(server.taken.values()) == 1
    counts = Counter(line["outcome"] for line in came.lines)
    assert set(counts) == {"unknown"}, "what was surely not taken is sent again"
    tell(f"a fifth fails, {mode}, at most once: {came.report.delivered:,} delivered, {dict(counts)}, none taken twice")


class Limiter:
    """Answer 429 to more than ``rate`` requests a second, counted by a bucket or by windows of a second."""

    def __init__(self, kind, rate, retry_after):
        self._kind, self._rate = kind, rate
        self._lock = threading.Lock()
        self._refuse = answering(429, b"slow down", {} if retry_after is None else {"Retry-After": str(retry_after)})
        self._tokens, self._at, self._second, self._count = float(rate), time.monotonic(), 0, 0
        self.refused = self.taken = 0

    def _takes(self):
        now = time.monotonic()
        if self._kind == "bucket":
            self._tokens, self._at = min(self._rate, self._tokens + (now - self._at) * self._rate), now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        return self._count <= self._rate

    def __call__(self, talk, take):
        with self._lock:
            takes = self._takes()
            self.taken += takes
            self.refused += not takes
        (faults.well if takes else self._refuse)(talk, take)


@pytest.mark.slow
@pytest.mark.parametrize("retry_after", [None, 1])
@pytest.mark.parametrize("kind", ["bucket", "window"])
def test_a_server_that_takes_200_requests_a_second(send, kind, retry_after):
    limiter = Limiter(kind, 200, retry_after)
    with FaultServer(limiter) as server:
        started = time.monotonic()
        came = send(server, 3_000, write_mode="record", concurrency="auto", backoff=0.5, max_backoff=60, max_failures=0)
        seconds = time.monotonic() - started
    assert came.report.delivered == 3_000
    share, refused = 3_000 / seconds / 200, limiter.refused / came.report.requests
    tell(
        f"{kind}, Retry-After {retry_after}: {share:.1%} of 200 requests/s over {seconds:.1f} s, {refused:.2%} refused"
    )
    assert share >= 0.9
    assert refused < 0.05
