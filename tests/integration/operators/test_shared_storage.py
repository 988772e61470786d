"""Storage that only one machine has, where tasks may run on another: in Airflow's own task runner."""

from __future__ import annotations

import json
import platform

import pytest
from airflow.sdk import DAG

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator
from airflow_provider_osmosdest.operators.http_source import HttpSourceOperator
from airflow_provider_osmosdest.operators.mailbox import MailboxPublishOperator, MailboxReadOperator
from airflow_provider_osmosdest.settings import load_settings
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW

ITEMS = [{"id": number} for number in range(10)]


@pytest.fixture(autouse=True)
def _tasks_run_on_other_machines(monkeypatch):
    monkeypatch.setenv("AIRFLOW_IS_EXECUTOR_CONTAINER", "True")


@pytest.fixture
def server(set_connection):
    with ScriptedServer(answer(200, json.dumps(ITEMS).encode())) as running:
        set_connection("api", host=running.url)
        yield running


@pytest.fixture
def run_task(run_dag, request):
    """Run a DAG of one task, and return how it ended."""

    def run(operator, **parameters):
        with DAG(f"dag_{abs(hash(request.node.nodeid))}", schedule=None) as dag:
            operator(task_id="task", **parameters)
        return run_dag(dag)

    return run


REFUSED = {
    "deduplication across runs": (
        HttpDestinationOperator,
        {"http_conn_id": "api", "records": ITEMS, "deduplicate": "records"},
        "deduplicate='records' would find nothing of what a task on another machine has delivered",
    ),
    "files of earlier runs": (
        HttpDestinationOperator,
        {"http_conn_id": "api", "records": ITEMS, "deduplicate": "files"},
        "deduplicate='files' would find nothing of what a task on another machine has delivered",
    ),
    "a pull into a file": (
        HttpSourceOperator,
        {"http_conn_id": "api"},
        "the task that takes the records would not find them",
    ),
    "an incremental pull": (
        HttpSourceOperator,
        {"http_conn_id": "api", "output_as": "xcom", "incremental": {"cursor_path": "id", "param": "since"}},
        "the next run would not find how far this one has come",
    ),
    "a mailbox that is published to": (
        MailboxPublishOperator,
        {"mailbox_conn_id": "orders", "records": ITEMS},
        "what is published on one is not found by the API server",
    ),
    "a mailbox that is read": (
        MailboxReadOperator,
        {"mailbox_conn_id": "orders", "consumer": "me", "output": "xcom"},
        "neither the task that takes the records nor a retry of this one would find them there",
    ),
}


@pytest.mark.parametrize(("operator", "parameters", "consequence"), REFUSED.values(), ids=list(REFUSED))
def test_what_needs_shared_storage_is_refused(  # noqa: PLR0917 - what is refused, and where it is seen
    run_task, server, set_connection, osmos_home, capfd, operator, parameters, consequence
):
    set_connection("orders", conn_type="osmos_mailbox")
    assert run_task(operator, **parameters).state("task") == "failed"
    said = capfd.readouterr().out
    assert consequence in said
    assert "is a folder of one machine, and an executor of containers runs tasks on others" in said
    assert "[osmosdest] shared_storage = True" in said
    assert not server.received
    assert not list(osmos_home.glob("**/*.ndjson"))


def test_a_delivery_warns_and_keeps_its_ledger_in_the_task_s_state(run_task, server, osmos_home, capfd):
    run = run_task(HttpDestinationOperator, http_conn_id="api", records=ITEMS, batch_size=1)
    assert (run.state("task"), run.xcom("task")["delivered"]) == ("success", 10)
    said = capfd.readouterr().out
    assert said.count("So report and failures file stay on") == 1
    assert platform.node() in said
    assert not list(osmos_home.glob("**/ledger.json")), "written ten times, it would have gone to the folder"


def test_a_pull_into_xcom_needs_no_folder(run_task, server):
    run = run_task(HttpSourceOperator, http_conn_id="api", output_as="xcom")
    assert run.xcom("task") == ITEMS


def test_a_disk_that_is_declared_shared_is_as_good_as_one_machine(run_task, server, monkeypatch, capfd):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__SHARED_STORAGE", "True")
    load_settings.cache_clear()
    run = run_task(HttpDestinationOperator, http_conn_id="api", records=ITEMS, deduplicate="records")
    assert run.state("task") == "success"
    assert "storage_path" not in capfd.readouterr().out
