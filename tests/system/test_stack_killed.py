"""
Deliveries by workers that share an object store, one of which is killed.

``OSMOSDEST_STACK_RECORDS=2000000`` has the large one be of so many records.
"""

from __future__ import annotations

import os
import time
from itertools import chain
from types import SimpleNamespace

import pytest

from tests.integration.kills.counting_server import Rules
from tests.integration.kills.killing import Plan
from tests.stack.deliveries import InParts, fullest_second, trigger_modes
from tests.stack.stack import SLOTS
from tests.standalone import until

pytestmark = pytest.mark.system

RECORDS = int(os.environ.get("OSMOSDEST_STACK_RECORDS", "100000"))


def large():
    # A refused record takes some requests to find, each of which is noted on S3.
    runs = range(5_000, RECORDS, RECORDS // 10)
    return Plan(
        ("batch", "at_least_once", True),
        RECORDS,
        invalid=frozenset(range(2_000, RECORDS, RECORDS // 20)),
        poison=frozenset(chain.from_iterable(range(first, first + 10) for first in runs)),
        delay=1.0,
        options={"write_mode": "batch", "batch_size": max(500, RECORDS // 400), "max_failures": "100%"},
        kills=(),
    )


def lines(ids):
    return "".join(f'{{"id": {each}}}\n' for each in ids)


@pytest.fixture(scope="module")
def runs(stack, counting_server):
    """Have worker 1 killed under a delivery of each mode and half the parts of a large one, beside all else."""
    stack.workers(1)
    modes = trigger_modes(stack, counting_server, "killed")
    plan = large()
    whole = InParts(stack, counting_server, "whole", plan.records(), rules=plan.rules, **plan.options)
    # The modes leave it two slots; the other two parts wait for worker 2.
    until("two parts on worker 1", 240, lambda: len(whole.running()) == SLOTS - len(modes))
    stack.workers(1, 2)
    until("all four parts", 240, lambda: len(whole.running()) == 4)
    until("deliveries under way", 240, lambda: all(each.under_way() for each in modes))
    stack.worker(1).kill()
    killed = time.monotonic()
    for each in (*modes, whole):
        each.hurry()
    # While Airflow has not noticed yet.
    begin, many = (stack, counting_server), lines(range(20_000))
    limited = InParts(*begin, "limited", lines(range(2_500)), write_mode="record", requests_per_second=100)
    refusing = InParts(*begin, "refusing", many, parts=8, rules=Rules(refusal=422))
    locked = InParts(*begin, "locked", many, parts=8, rules=Rules(refusal=401))
    thrice = lines([*range(2_000)] * 3)
    again = InParts(*begin, "again", thrice, deduplicate="records", record_key="id", batch_size=100)
    return SimpleNamespace(
        modes=modes,
        plan=plan,
        whole=whole,
        killed=killed,
        limited=limited,
        refusing=refusing,
        locked=locked,
        again=again,
    )


def test_the_other_worker_goes_on_where_a_killed_one_stood(runs):
    for each in runs.modes:
        each.check(runs.killed)


def test_parts_of_a_killed_worker_go_on_on_the_other_and_are_reported_as_one(runs):
    report = runs.whole.check(runs.plan, runs.killed)
    assert report["parts"] == 5
    assert sorted(runs.whole.worker_of(part) for part in range(4)) == [1, 1, 2, 2]
    assert all(runs.whole.worker_of(part, 2) == 2 for part in range(4) if runs.whole.worker_of(part) == 1)


def test_an_api_that_refuses_everything_is_asked_little(runs):
    state, report = runs.refusing.end()
    assert (state, report["read"], report["delivered"]) == ("failed", 20_000, 0)
    assert 0 < len(runs.refusing.arrivals()) <= 150


def test_a_wrong_token_is_tried_twice_at_most(runs):
    state, report = runs.locked.end()
    assert (state, report["unsent"]) == ("failed", 20_000)
    assert 0 < len(runs.locked.arrivals()) <= 2


def test_parts_have_the_rate_of_one(runs, record_property):
    state, report = runs.limited.end()
    assert (state, report["delivered"]) == ("success", 2_500)
    arrivals = runs.limited.arrivals()
    record_property("fullest second", fullest_second(arrivals))
    # 100, and what a busy machine may add to them.
    assert fullest_second(arrivals) <= 150


def test_a_key_in_several_parts_goes_out_once(runs):
    state, report = runs.again.end()
    assert (state, report["read"], report["delivered"], report["duplicate"]) == ("success", 6_000, 2_000, 4_000)
    assert runs.again.ids() == dict.fromkeys(range(2_000), 1)
