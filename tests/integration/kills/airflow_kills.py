"""The same kills, of real tasks: Airflow itself notices the death and retries, and keeps the ledger in its database."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.kills.killing import SCHEMA, Figures, Plan, check, read_out
from tests.standalone import airflow_environment, running_airflow, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.kills.counting_server import CountingServer
    from tests.standalone import Api

__all__ = [
    "DAG_ID",
    "DAG_TEXT",
    "FOLDER_DAG_ID",
    "TIMED_DAG_ID",
    "airflow_plan",
    "connections",
    "counting_airflow",
    "killed_task",
    "read_delivery",
    "running_pid",
    "start_task",
]

DAG_ID = "counted"
FOLDER_DAG_ID = "in_its_folder"
TIMED_DAG_ID = "timed"

DAG_TEXT = f"""
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

# As on Airflow 3.2, which has no task state store. How it ends is written down: its log goes to a process that stands.
class InItsFolder(HttpDestinationOperator):
    def execute(self, context):
        try:
            return super().execute({{name: context[name] for name in context if name != "task_state_store"}})
        except Exception as error:
            Path(f"{{self.records}}.error").write_text(type(error).__name__)
            raise


def deliver(operator=HttpDestinationOperator, **limits):
    operator(
        task_id="deliver",
        http_conn_id="counting",
        records="{{{{ dag_run.conf['records'] }}}}",
        endpoint="{{{{ dag_run.conf['book'] }}}}",
        destination_schema={SCHEMA!r},
        write_mode="{{{{ dag_run.conf.get('write_mode') }}}}",
        guarantee="{{{{ dag_run.conf.get('guarantee') }}}}",
        batch_size="{{{{ dag_run.conf.get('batch_size') }}}}",
        max_batch_bytes="{{{{ dag_run.conf.get('max_batch_bytes') }}}}",
        concurrency="{{{{ dag_run.conf.get('concurrency') }}}}",
        max_failures="{{{{ dag_run.conf.get('max_failures') }}}}",
        retries=20,
        retry_delay=timedelta(seconds=1),
        **limits,
    )


with DAG({DAG_ID!r}, schedule=None, render_template_as_native_obj=True):
    deliver()

with DAG({FOLDER_DAG_ID!r}, schedule=None, render_template_as_native_obj=True):
    deliver(InItsFolder)

with DAG({TIMED_DAG_ID!r}, schedule=None, render_template_as_native_obj=True):
    deliver(execution_timeout=timedelta(seconds=5))
"""


@contextmanager
def counting_airflow(home: Path, server: CountingServer) -> Iterator[Api]:
    """Run an Airflow whose tasks deliver to a server."""
    (home / "dags").mkdir()
    (home / "dags" / "counted.py").write_text(DAG_TEXT)
    environment = {**airflow_environment(home), **connections(server)}
    with running_airflow(home, environment, {DAG_ID, FOLDER_DAG_ID, TIMED_DAG_ID}) as api:
        yield api


def connections(server: CountingServer) -> dict[str, str]:
    """Return the connection of the DAGs as an environment variable."""
    return {"AIRFLOW_CONN_COUNTING": json.dumps({"conn_type": "osmos_http", "host": server.url})}


def airflow_plan(seed: int) -> Plan:
    """Draw a plan that leaves a task enough to do for its kills to find it at work."""
    plan = Plan.drawn(seed)
    draw = random.Random(seed)
    if plan.kind[0] == "batch":
        options = {**plan.options, "batch_size": 100, "max_batch_bytes": None}
    else:
        options = {**plan.options, "concurrency": 16}
    return dataclasses.replace(
        plan, options=options, delay=0.08, kills=tuple(draw.uniform(0, 3.0) for _ in range(draw.randint(1, 3)))
    )


def killed_task(plan: Plan, api: Api, server: CountingServer, name: str, folder: Path) -> Figures:
    """Carry out a plan as an Airflow task whose process is killed, and check what it promised."""
    run = start_task(plan, api, server, name, folder)
    killed: list[float] = []
    pids: set[int] = set()
    for wait in plan.kills:
        pid = running_pid(api, run, pids)
        if pid is None:
            break
        pids.add(pid)
        time.sleep(wait)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            break
        killed.append(time.monotonic())
    state = api.wait(run)
    report, failures = read_delivery(api, run)
    figures = check(plan, report, failures, server.accepted(name), killed)
    figures.expect(state == "success", f"the run is {state}")
    tries = api.get(f"{run}/taskInstances/deliver")["try_number"]
    figures.expect(tries == len(killed) + 1, f"{len(killed)} kills, but {tries} tries")
    return figures


def start_task(  # noqa: PLR0917
    plan: Plan, api: Api, server: CountingServer, name: str, folder: Path, dag_id: str = DAG_ID
) -> str:
    """Begin to carry out a plan as an Airflow task; return the path of its run."""
    folder.mkdir(parents=True)
    plan.write_records(folder / "in.ndjson")
    server.open(name, plan.rules)
    conf = {"records": str(folder / "in.ndjson"), "book": name, **plan.options}
    return api.trigger(dag_id, {key: value for key, value in conf.items() if value is not None})


def running_pid(api: Api, run: str, but: set[int]) -> int | None:
    """Wait until the task runs in a process that is none of ``but``; ``None`` if it has ended."""

    def probe() -> tuple[int | None] | None:
        task = api.get(f"{run}/taskInstances/deliver")
        if task["state"] in ("success", "failed"):
            return (None,)
        return (task["pid"],) if task["state"] == "running" and task["pid"] not in {None, *but} else None

    found: tuple[int | None] = until("running task", 240, probe)
    return found[0]


def read_delivery(api: Api, run: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the report and the failure records that a task's XCom points to."""
    return read_out(Path(api.xcom(run, "deliver")["report_path"]).parent)
