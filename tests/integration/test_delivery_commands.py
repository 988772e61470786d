"""``airflow osmosdest delivery`` for a task whose ledger is in Airflow's database, after ``dag.test()``."""

from __future__ import annotations

import json

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG
from airflow.utils.session import create_session
from sqlalchemy import update

from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.hooks.delivery import delivery_folder
from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator
from airflow_provider_osmosdest.operators.state_store import LEDGER_KEY, TaskStateLedgerStore
from airflow_provider_osmosdest.settings import load_settings
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer

# What Airflow warns itself of is not looked at here; what it warns this package of is.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::airflow_provider_osmosdest"),
]

COUNT = 7


@pytest.fixture
def delivered(run_dag, set_connection):
    """A task that has delivered, and the words that name it."""
    load_settings.cache_clear()
    with ScriptedServer(answer(200, b"{}")) as server:
        set_connection("api", host=server.url)
        with DAG("delivery_commands", schedule=None) as dag:
            HttpDestinationOperator(task_id="deliver", http_conn_id="api", records=[{"id": n} for n in range(COUNT)])
        run = run_dag(dag)
    assert run.state("deliver") == "success"
    yield run, ("--dag-id", run.dag_id, "--run-id", run.run_id, "--task-id", "deliver")
    load_settings.cache_clear()


def state_of(run):
    from airflow_provider_osmosdest.cli.task_state import find_instance, stored_task_state

    return stored_task_state(find_instance(run.dag_id, run.run_id, "deliver", -1))


def test_show_and_forget(delivered, command):
    run, words = delivered
    delivery_id = run.xcom("deliver")["delivery_id"]
    code, shown, err = command("delivery", "show", *words)
    assert code == 0
    assert (shown["delivery_id"], shown["status"], shown["counts"]["delivered"]) == (delivery_id, "complete", COUNT)
    assert (shown["ledger"], shown["task"]["state"]) == (f"task state {LEDGER_KEY}", "success")
    assert shown["report"]["delivery_id"] == delivery_id
    assert shown["written_at"] is not None
    assert "less than a minute ago" in err

    code, forgotten, _ = command("delivery", "forget", *words, "--yes")
    assert (code, forgotten) == (0, {"forgotten": delivery_id, "delivery_id": delivery_id})
    _, shown, _ = command("delivery", "show", *words)
    assert (shown["status"], shown["settled"]["records"], shown["delivery_id"]) == ("open", 0, delivery_id)


def test_a_ledger_that_went_to_the_folder(delivered, command):
    run, words = delivered
    folder = delivery_folder((run.dag_id, run.run_id, "deliver", "-1"))
    state = state_of(run)
    FolderLedgerStore(folder).save(json.dumps(state.get(LEDGER_KEY)).encode())
    state.set(LEDGER_KEY, TaskStateLedgerStore.SPILLED)
    code, shown, _ = command("delivery", "show", *words)
    assert (code, shown["ledger"]) == (0, str(folder / "ledger.json"))
    assert shown["written_at"] is not None

    (folder / "ledger.json").unlink()
    code, shown, err = command("delivery", "show", *words)
    assert (code, shown["status"]) == (1, "damaged")
    assert "is not in its folder" in err
    assert command("delivery", "forget", *words, "--yes")[0] == 1
    code, forgotten, _ = command("delivery", "forget", *words, "--yes", "--new-id")
    assert code == 0
    assert state.get(LEDGER_KEY)["delivery_id"] == forgotten["delivery_id"]


def test_a_changed_one(delivered, command):
    run, words = delivered
    state = state_of(run)
    state.set(LEDGER_KEY, state.get(LEDGER_KEY) | {"settled": [0, 3]})
    code, shown, _ = command("delivery", "show", *words)
    assert (code, shown["status"]) == (1, "damaged")
    assert shown["delivery_id"] == run.xcom("deliver")["delivery_id"]
    code, forgotten, _ = command("delivery", "forget", *words, "--yes")
    assert (code, forgotten["delivery_id"]) == (0, shown["delivery_id"])


def test_a_task_that_runs_is_left_alone_unless_it_is_forced(delivered, command, monkeypatch):
    run, words = delivered
    waited = []
    monkeypatch.setattr("airflow_provider_osmosdest.cli.delivery.time.sleep", waited.append)
    with create_session() as session:
        session.execute(
            update(TaskInstance)
            .where(TaskInstance.run_id == run.run_id, TaskInstance.dag_id == run.dag_id)
            .values(state="running")
        )
    code, document, err = command("delivery", "forget", *words, "--yes")
    assert (code, document) == (1, None)
    assert "the task is running" in err
    assert state_of(run).get(LEDGER_KEY)["settled"] != []
    holder = state_of(run).get("osmosdest_attempt")
    code, _, _ = command("delivery", "forget", *words, "--yes", "--force")
    assert (code, len(waited)) == (0, 1)
    assert state_of(run).get("osmosdest_attempt") != holder


def test_a_folder_that_is_a_tasks_is_refused(delivered, command):
    run, words = delivered
    code, _, err = command(
        "delivery", "show", "--folder", str(delivery_folder((run.dag_id, run.run_id, "deliver", "-1")))
    )
    assert code == 2
    assert " ".join(words) in err


def test_an_instance_that_is_not_there(delivered, command):
    _, words = delivered
    code, _, err = command("delivery", "show", *words, "--map-index", "3")
    assert code == 2
    assert "--map-index: found 3; task 'deliver'" in err
    assert "has -1" in err
