"""Workers with the default settings, where each keeps what its tasks leave behind on a disk of its own."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.integration.kills.counting_server import Rules
from tests.stack.deliveries import fullest_second, trigger_modes
from tests.stack.machines import namespaces_allowed
from tests.standalone import until

pytestmark = pytest.mark.system

REFUSED = ("publish", "deduplicate")


@pytest.fixture(scope="module")
def runs(stack, counting_server):
    """Have worker 1 killed under a delivery of each mode, and worker 2 go on, beside all else that is tried here."""
    stack.workers(1, storage="default")
    counting_server.open("refused", Rules())
    url = stack.put("in/refused.ndjson", b'{"id": 1}\n')
    refused = stack.api.trigger("refused", {"records": url, "book": "refused"})
    modes = trigger_modes(stack, counting_server, "default")
    assert stack.api.wait(refused) == "failed"
    said = {task_id: stack.said(refused, task_id) for task_id in REFUSED}
    until("deliveries under way", 240, lambda: all(each.under_way() for each in modes))
    stack.worker(1).kill()
    killed = time.monotonic()
    for each in modes:
        each.hurry()
    stack.workers(2, storage="default")
    # While Airflow has not noticed yet.
    counting_server.open("divided", Rules())
    url = stack.put("in/divided.ndjson", b"".join(b'{"id": %d}\n' % number for number in range(300)))
    divided = stack.api.trigger("side_by_side", {"records": url, "book": "divided"})
    return SimpleNamespace(refused=refused, said=said, modes=modes, killed=killed, divided=divided)


@pytest.mark.parametrize("task_id", REFUSED)
def test_what_other_machines_would_not_find_is_refused_with_the_settings_name(stack, counting_server, runs, task_id):
    said = runs.said[task_id]
    assert "is a folder of one machine, and CeleryExecutor runs tasks on others" in said
    assert "Set [osmosdest] storage_path to a URL of object storage" in said
    assert stack.api.get(f"{runs.refused}/taskInstances/{task_id}")["try_number"] == 1
    assert counting_server.arrivals("refused") == []


def test_a_delivery_goes_on_without_the_disk_of_a_killed_worker(stack, runs):
    for each in runs.modes:
        each.check(runs.killed)
        if namespaces_allowed():
            assert "the attempt before this one ran on worker-1" in each.said_by_retries(), each.name
    disks = [stack.worker(1).home, stack.worker(2).home, Path(stack.environment["AIRFLOW_HOME"])]
    assert [len(list(each.glob("osmosdest/deliveries/counted/*/deliver/-1"))) > 0 for each in disks] == [
        True,
        True,
        False,
    ]


def test_tasks_that_cannot_share_a_rate_divide_it(stack, counting_server, runs, record_property):
    assert stack.api.wait(runs.divided) == "success"
    arrivals = counting_server.arrivals("divided")
    assert len(arrivals) == 4 * 300
    record_property("fullest second", fullest_second(arrivals))
    # 100, and what a busy machine may add to them.
    assert fullest_second(arrivals) <= 150
