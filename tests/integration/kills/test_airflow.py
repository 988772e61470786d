"""Tasks of a real Airflow that are killed, told to stop, marked as failed, timed out and cleared."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kills.airflow_kills import (
    DAG_ID,
    TIMED_DAG_ID,
    airflow_plan,
    killed_task,
    read_delivery,
    running_pid,
    start_task,
)
from tests.integration.kills.killing import Plan
from tests.standalone import until

pytestmark = pytest.mark.system

COUNT = 2_000
CONCURRENCY = 16
TASK = "taskInstances/deliver"


@pytest.mark.parametrize("seed", [1, 4])
def test_a_task_survives_kill_9(airflow, server, tmp_path, seed):
    figures = killed_task(airflow_plan(seed), airflow, server, f"killed-{seed}", tmp_path / "run")
    assert figures.faults == []
    assert figures.kills >= 1


@dataclass
class Task:
    """A task that delivers for some seconds, one record a request, to a server that does not honour keys."""

    airflow: Any
    server: Any
    name: str
    run: str
    folder: Path

    def times(self):
        """How often the server took each record."""
        return Counter(index for request in self.server.accepted(self.name) for index in request["ids"])

    def at_work(self, but=()):
        """Wait until it is well under way; return its process."""
        pid = running_pid(self.airflow, self.run, set(but))
        until("records", 30, lambda: self.times().total() >= COUNT // 10)
        return pid

    def report(self):
        """The report as it lies in the delivery's folder."""
        return json.loads((self.folder / "report.json").read_text())

    def clear(self):
        dag_id, run_id = self.run.split("/")[4], self.run.rsplit("/", 1)[1]
        self.airflow(
            "POST",
            f"/api/v2/dags/{dag_id}/clearTaskInstances",
            {"dry_run": False, "dag_run_id": run_id, "task_ids": ["deliver"], "only_failed": False},
        )
        until("run that is open again", 30, lambda: self.airflow.get(self.run)["state"] in ("queued", "running"))


@pytest.fixture
def begin(airflow, server, airflow_home, tmp_path, request):
    def begin(dag_id=DAG_ID, delay=0.04):
        plan = Plan(
            ("record", "at_least_once", False),
            COUNT,
            frozenset(),
            frozenset(),
            delay,
            {"write_mode": "record", "concurrency": CONCURRENCY},
            (),
        )
        name = request.node.name
        run = start_task(plan, airflow, server, name, tmp_path / "run", dag_id)
        run_id = run.rsplit("/", 1)[1]
        folder = airflow_home / "osmosdest/deliveries" / dag_id / run_id / "deliver" / "-1"
        return Task(airflow, server, name, run, folder)

    return begin


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text()


def check_stopped_report(task, report, why):
    """What a delivery that was told to stop says is true."""
    assert report["read"] == sum(report[name] for name in ("delivered", "unknown", "unsent")) <= COUNT
    taken = len(task.times())
    assert report["delivered"] <= taken <= report["delivered"] + report["unknown"]
    assert report["unknown"] <= CONCURRENCY
    assert why in report["error"]
    assert "A retry of the task goes on where this attempt stood" in report["error"]


def check_done(task, delivery_id, interruptions=1):
    report, failures = read_delivery(task.airflow, task.run)
    assert (report["delivered"], failures) == (COUNT, [])
    assert report["delivery_id"] == delivery_id
    times = task.times()
    assert len(times) == COUNT
    assert times.total() - COUNT <= interruptions * CONCURRENCY


def test_sigterm_stops_a_task_at_once_and_its_retry_goes_on(airflow, begin):
    task = begin()
    pid = task.at_work()
    told = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    until("end of the process", 10, lambda: not alive(pid))
    assert time.monotonic() - told < 4
    report = task.report()
    check_stopped_report(task, report, "The task was told to stop")
    assert max(request["at"] for request in task.server.accepted(task.name)) < told + 2
    assert airflow.wait(task.run) == "success"
    assert airflow.get(f"{task.run}/{TASK}")["try_number"] == 2
    check_done(task, report["delivery_id"])
    said = " ".join(line["event"] for line in airflow.log(task.run, "deliver", 2))
    assert f"Going on with delivery {report['delivery_id']}, attempt 2" in said


def test_a_task_marked_failed_stops_and_goes_on_when_cleared(airflow, begin):
    task = begin()
    pid = task.at_work()
    airflow("PATCH", f"{task.run}/{TASK}", {"new_state": "failed"})
    until("end of the process", 15, lambda: not alive(pid))
    report = task.report()
    check_stopped_report(task, report, "The task was told to stop")
    taken = task.times().total()
    assert taken < COUNT
    assert airflow.wait(task.run) == "failed"
    assert task.times().total() == taken

    task.clear()
    assert airflow.wait(task.run) == "success"
    check_done(task, report["delivery_id"])

    # It is complete now: whoever clears it wants it again.
    task.clear()
    assert airflow.wait(task.run) == "success"
    again, _ = read_delivery(airflow, task.run)
    assert again["delivery_id"] != report["delivery_id"]
    assert again["delivered"] == COUNT
    assert min(task.times().values()) == 2


def test_execution_timeout_ends_an_attempt_and_the_next_goes_on(airflow, begin):
    task = begin(TIMED_DAG_ID)
    first = running_pid(airflow, task.run, set())
    until("end of the first attempt", 20, lambda: not alive(first))
    report = task.report()
    check_stopped_report(task, report, "The task's execution_timeout is over")
    assert 0 < report["delivered"] < COUNT
    assert airflow.wait(task.run) == "success"
    tries = airflow.get(f"{task.run}/{TASK}")["try_number"]
    assert tries >= 2
    check_done(task, report["delivery_id"], tries)
    said = json.dumps(airflow.log(task.run, "deliver", 1))
    assert "AirflowTaskTimeout" in said
