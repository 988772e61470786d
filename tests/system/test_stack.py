"""What the README promises where workers share no disk; tests/stack/fixtures.py says how to write such a test."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import psutil
import pytest

from tests.integration.kills.airflow_kills import DAG_ID, running_pid
from tests.integration.kills.killing import Plan, check
from tests.standalone import until

pytestmark = pytest.mark.system

CONCURRENCY = 16
# At most once must hold without the server's help.
MODES = (
    ("batch", "at_least_once", True),
    ("batch", "at_most_once", False),
    ("record", "at_least_once", True),
    ("record", "at_most_once", False),
)
COUNT = 20_000
# 2 %, in runs that splitting finds with few requests, and none at the beginning: all deliveries are soon under way.
REJECTED = frozenset(chain.from_iterable(range(first, first + 50) for first in range(5_000, 19_000, 1_800)))


@pytest.fixture
def server(counting_server):
    return counting_server


class Delivery:
    """A delivery by a worker, of records on S3."""

    def __init__(self, stack, server, kind, name, *, count, batch_size, poison=frozenset()):
        limits = {"batch_size": batch_size} if kind[0] == "batch" else {"concurrency": CONCURRENCY}
        options = {"write_mode": kind[0], "guarantee": kind[1], "max_failures": "100%", **limits}
        self.plan = Plan(kind, count, frozenset(), poison, 0.03, options, ())
        self.most = max(limits.values())
        self.name = "-".join([name, *map(str, kind)])
        self._stack, self._server = stack, server
        server.open(self.name, self.plan.rules)
        url = stack.put(f"in/{self.name}.ndjson", self.plan.records().encode())
        self.run = stack.api.trigger(DAG_ID, {"records": url, "book": self.name, **options})

    def accepted(self):
        return self._server.accepted(self.name)

    def times(self):
        """How often the server took each record."""
        return Counter(index for request in self.accepted() for index in request["ids"])

    def under_way(self):
        return self.times().total() >= self.plan.count // 10

    def check(self, interrupted):
        """Hold what it says of itself, once it is done by worker 2, against what the server took."""
        assert self._stack.api.wait(self.run) == "success", self.name
        last = self._stack.api.get(f"{self.run}/taskInstances/deliver")["try_number"]
        workers = [self._stack.worker_of(self.run, "deliver", number) for number in range(1, last + 1)]
        assert (workers[0], workers[-1]) == (1, 2), self.name
        report, failures = self._stack.read_delivery(self.run, "deliver")
        figures = check(self.plan, report, failures, self.accepted(), [interrupted])
        assert figures.faults == [], self.name
        assert (report["read"], figures.lost, figures.twice) == (self.plan.count, 0, 0), self.name
        return report


def test_each_worker_has_a_disk_of_its_own(stack, server):
    stack.workers(1, storage="default")
    small = Delivery(stack, server, MODES[0], "local", count=10, batch_size=10)
    assert stack.api.wait(small.run) == "success"
    disks = [stack.worker(1).home, stack.worker(2).home, Path(stack.environment["AIRFLOW_HOME"])]
    assert [len(list(each.rglob("report.json"))) for each in disks] == [1, 0, 0]


def test_the_mailboxes_are_served(stack):
    with build_opener(ProxyHandler({})).open(f"{stack.mailboxes}/osmos/v1/health", timeout=30) as answer:
        assert answer.status == 200


def test_the_other_worker_goes_on_where_a_killed_one_stood(stack, server):
    stack.workers(1)
    # All of them at once, so that Airflow's time-out is waited for once.
    options = {"count": COUNT, "batch_size": 500, "poison": REJECTED}
    deliveries = [Delivery(stack, server, kind, "killed", **options) for kind in MODES]
    until("deliveries under way", 120, lambda: all(each.under_way() for each in deliveries))
    stack.worker(1).kill()
    killed = time.monotonic()
    stack.workers(2)
    for each in deliveries:
        each.check(killed)


def test_a_worker_that_comes_back_sends_and_writes_no_more(stack, server):
    stack.workers(1)
    options = {"count": COUNT // 4, "batch_size": 20}
    deliveries = [Delivery(stack, server, kind, "frozen", **options) for kind in (MODES[0], MODES[3])]
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
