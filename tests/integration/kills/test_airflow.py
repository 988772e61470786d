"""Tasks of a real Airflow that are killed, told to stop, marked as failed, timed out and cleared."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kills.airflow_kills import (
    DAG_ID,
    FOLDER_DAG_ID,
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
# Where the ledger lies, and how it is delivered. At most once must hold without the server's help.
REVENANTS = (
    (DAG_ID, ("batch", "at_most_once", False)),
    (DAG_ID, ("record", "at_least_once", True)),
    (FOLDER_DAG_ID, ("batch", "at_least_once", True)),
    (FOLDER_DAG_ID, ("record", "at_most_once", False)),
)
CONCURRENCY = 16
# Seconds at most before and after a record is accepted: to deliver all takes a minute, however fast the machine is.
SLOW = 0.5
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
        until("records", 60, lambda: self.times().total() >= COUNT // 10)
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
        until("run that is open again", 60, lambda: self.airflow.get(self.run)["state"] in ("queued", "running"))


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


def test_sigterm_stops_a_task_at_once_and_its_retry_goes_on(airflow, server, begin):
    task = begin(delay=SLOW)
    pid = task.at_work()
    os.kill(pid, signal.SIGTERM)
    until("end of the process", 60, lambda: not alive(pid))
    server.hurry(task.name)
    report = task.report()
    check_stopped_report(task, report, "The task was told to stop")
    assert task.times().total() < COUNT, "it did not go on to the end"
    assert airflow.wait(task.run) == "success"
    assert airflow.get(f"{task.run}/{TASK}")["try_number"] == 2
    check_done(task, report["delivery_id"])
    said = " ".join(line["event"] for line in airflow.log(task.run, "deliver", 2))
    assert f"Going on with delivery {report['delivery_id']}, attempt 2" in said


def test_a_task_marked_failed_stops_and_goes_on_when_cleared(airflow, server, begin):
    task = begin(delay=SLOW)
    pid = task.at_work()
    airflow("PATCH", f"{task.run}/{TASK}", {"new_state": "failed"})
    until("end of the process", 60, lambda: not alive(pid))
    server.hurry(task.name)
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


def test_what_a_person_forgets_is_sent_again_under_the_same_keys(airflow, server, airflow_home, begin):
    task = begin(delay=0.0)
    assert airflow.wait(task.run) == "success"
    before, _ = read_delivery(airflow, task.run)
    shown = delivery_command(airflow_home, "show", task)
    assert (shown["status"], shown["ledger"]) == ("complete", "task state osmosdest_ledger")
    assert (shown["delivery_id"], shown["settled"]["records"]) == (before["delivery_id"], COUNT)

    forgotten = delivery_command(airflow_home, "forget", task, "--yes")
    assert forgotten == {"forgotten": before["delivery_id"], "delivery_id": before["delivery_id"]}
    assert delivery_command(airflow_home, "show", task)["settled"]["records"] == 0
    task.clear()
    assert airflow.wait(task.run) == "success"
    after, failures = read_delivery(airflow, task.run)
    assert (after["delivery_id"], after["delivered"], failures) == (before["delivery_id"], COUNT, [])
    keys = Counter(request["key"] for request in server.accepted(task.name))
    assert (len(keys), set(keys.values())) == (COUNT, {2})
    assert delivery_command(airflow_home, "show", task)["attempts"] == 1


def delivery_command(home, name, task, *words):
    """Run a command of ``airflow osmosdest delivery`` beside Airflow, as a person does; return its document."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW_", "PYTEST_"))}
    _, _, _, _, dag_id, _, run_id = task.run.split("/")
    command = [sys.executable, "-m", "airflow", "osmosdest", "delivery", name]
    command += ["--dag-id", dag_id, "--run-id", run_id, "--task-id", "deliver", *words]
    done = subprocess.run(
        command, env={**environment, "AIRFLOW_HOME": str(home)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_execution_timeout_ends_an_attempt_and_the_next_goes_on(airflow, server, begin):
    task = begin(TIMED_DAG_ID, delay=SLOW)
    first = running_pid(airflow, task.run, set())
    until("end of the first attempt", 60, lambda: not alive(first))
    server.hurry(task.name)
    report = task.report()
    check_stopped_report(task, report, "The task's execution_timeout is over")
    assert 0 < report["delivered"] < COUNT
    assert airflow.wait(task.run) == "success"
    tries = airflow.get(f"{task.run}/{TASK}")["try_number"]
    assert tries >= 2
    check_done(task, report["delivery_id"], tries)
    said = json.dumps(airflow.log(task.run, "deliver", 1))
    assert "AirflowTaskTimeout" in said


@dataclass
class Revenant:
    """
    An attempt that is stopped with all that watches it, taken for dead, and comes back when the next one is done.

    :param task: what it delivers
    :param pid: its process
    :param most: records in flight at most
    :param error: where it writes down how it ended, if its ledger is in its folder
    """

    task: Task
    pid: int
    most: int
    error: Path

    def __post_init__(self):
        # It watches the task, and sends its heartbeats.
        self.worker = int(re.search(r"^PPid:\s*(\d+)$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)[1])
        assert b"LocalExecutor" in Path(f"/proc/{self.worker}/cmdline").read_bytes()

    def stop(self):
        for pid in (self.worker, self.pid):
            os.kill(pid, signal.SIGSTOP)

    def go_on(self, *pids):
        for pid in pids or (self.pid, self.worker):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def left(self, home):
        """All that a delivery leaves behind, of which the ledger may be in Airflow's database."""
        files = {path.name: path.read_bytes() for path in self.task.folder.iterdir()}
        run_id = self.task.run.rsplit("/", 1)[1]
        with closing(sqlite3.connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True)) as database:
            rows = database.execute(
                "select key, value, updated_at from task_state_store where run_id = ? order by key", (run_id,)
            ).fetchall()
        return files, rows


def begin_revenant(airflow, server, home, folder, *, dag_id, kind):
    limits = {"batch_size": 20} if kind[0] == "batch" else {"concurrency": CONCURRENCY}
    options = {"write_mode": kind[0], "guarantee": kind[1], "max_failures": "100%", **limits}
    plan = Plan(kind, COUNT, frozenset(), frozenset(), 0.06, options, ())
    name = "-".join(map(str, ("revenant", dag_id, *kind)))
    run = start_task(plan, airflow, server, name, folder / name, dag_id)
    run_id = run.rsplit("/", 1)[1]
    task = Task(airflow, server, name, run, home / "osmosdest/deliveries" / dag_id / run_id / "deliver" / "-1")
    return Revenant(task, task.at_work(), max(limits.values()), folder / name / "in.ndjson.error")


def test_an_attempt_that_comes_back_sends_and_writes_no_more(airflow, server, airflow_home, tmp_path):
    # All of them die at once, so that Airflow's time-out is waited for once.
    with ExitStack() as stack:
        revenants = []
        for dag_id, kind in REVENANTS:
            revenant = begin_revenant(airflow, server, airflow_home, tmp_path, dag_id=dag_id, kind=kind)
            revenant.stop()
            stack.callback(revenant.go_on)
            revenants.append((revenant, kind))
        for revenant, kind in revenants:
            task = revenant.task
            assert airflow.wait(task.run) == "success", task.name
            assert airflow.get(f"{task.run}/{TASK}")["try_number"] == 2, task.name
            assert alive(revenant.pid)
            before, left, moment = task.times(), revenant.left(airflow_home), time.monotonic()

            if DAG_ID not in task.run.split("/"):
                # Alone, so that nobody can end it before it finds out itself.
                revenant.go_on(revenant.pid)
                until(f"error of {task.name}", 60, revenant.error.exists)
                assert revenant.error.read_text() == "SupersededError"
            revenant.go_on()
            until(f"end of {task.name}", 60, lambda pid=revenant.pid: not alive(pid))
            assert revenant.left(airflow_home) == left, task.name
            # What it had handed to its connection when it was stopped may go out still.
            late = [request for request in server.accepted(task.name) if request["at"] >= moment]
            assert sum(len(request["ids"]) for request in late) <= revenant.most, task.name
            report, failures = read_delivery(airflow, task.run)
            times = task.times()
            assert max(times.values()) == 1, task.name
            assert len(before) <= len(times)
            if kind[1] == "at_most_once":
                assert report["delivered"] + report["unknown"] == COUNT
                assert {failure["outcome"] for failure in failures} <= {"unknown"}
                assert report["delivered"] <= len(before) <= COUNT
            else:
                assert (report["delivered"], failures, len(before)) == (COUNT, [], COUNT)
