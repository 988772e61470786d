"""The figures this package is held to, against real sockets. Run with ``-s`` to see them."""

from __future__ import annotations

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
