"""What the README promises where workers share no disk; tests/stack/fixtures.py says how to write such a test."""

from __future__ import annotations

import time
from contextlib import ExitStack
from urllib.request import ProxyHandler, build_opener

import psutil
import pytest

from tests.integration.kills.airflow_kills import running_pid
from tests.stack.deliveries import COUNT, MODES, Delivery
from tests.standalone import until

pytestmark = pytest.mark.system


def test_the_mailboxes_are_served(stack):
    with build_opener(ProxyHandler({})).open(f"{stack.mailboxes}/osmos/v1/health", timeout=30) as answer:
        assert answer.status == 200


def test_a_worker_that_comes_back_sends_and_writes_no_more(stack, counting_server):
    stack.workers(1)
    options = {"count": COUNT // 4, "batch_size": 20}
    deliveries = [Delivery(stack, counting_server, kind, "frozen", **options) for kind in (MODES[0], MODES[3])]
    until("deliveries under way", 120, lambda: all(each.under_way() for each in deliveries))
    old = [psutil.Process(running_pid(stack.api, each.run, set())) for each in deliveries]
    with ExitStack() as thawing:
        stack.worker(1).freeze()
        frozen = time.monotonic()
        thawing.callback(stack.worker(1).thaw)
        stack.workers(1, 2)
        reports = [each.check(frozen) for each in deliveries]
        assert all(each.is_running() for each in old)
    thawed = time.monotonic()
    until("end of the old attempts", 60, lambda: not any(_runs(each) for each in old))
    for each, report in zip(deliveries, reports, strict=True):
        # What it had handed to its connection when it was stopped may go out still.
        late = [request for request in each.accepted() if request["at"] >= thawed]
        assert sum(len(request["ids"]) for request in late) <= each.most, each.name
        assert each.check(frozen) == report


def _runs(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
