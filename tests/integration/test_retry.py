"""What failed in a task is named in its log, and delivered again by ``airflow osmosdest retry``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk import DAG

from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator
from airflow_provider_osmosdest.operators.http_source import HttpSourceOperator
from airflow_provider_osmosdest.operators.mailbox import MailboxPublishOperator
from airflow_provider_osmosdest.operators.parts import deliver_in_parts
from airflow_provider_osmosdest.settings import load_settings
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW

ITEM = {"fields": [{"name": "id", "type": "integer", "nullable": False}]}
TOKEN = "tok-of-the-retry-test"
UNWANTED = (17, 40, 88)


class Shop:
    """A server that refuses some records and says by which token, until it is mended."""

    def __init__(self):
        self.mended = False
        self.taken = []

    def __call__(self, talk):
        ids = [each["id"] for each in json.loads(talk.read_body())]
        if not self.mended and any(each in UNWANTED for each in ids):
            talk.reply(422, b"not for " + (talk.request.headers.get("authorization") or b""))
            return
        self.taken += ids
        talk.reply(200, b"{}")


@pytest.fixture
def shop(set_connection):
    load_settings.cache_clear()
    shop = Shop()
    with ScriptedServer(shop) as server:
        set_connection("api", host=server.url, password=TOKEN, extra={"auth": "bearer"})
        yield shop
    load_settings.cache_clear()


def words_of(run, task_id):
    return ("retry", "--dag-id", run.dag_id, "--run-id", run.run_id, "--task-id", task_id)


def test_a_task_from_its_log_to_nothing_left(run_dag, shop, command, capfd, caplog):
    records = [{"id": number} for number in range(100)]
    records[5] = {"id": "five"}
    with DAG("retry_of_a_task", schedule=None) as dag:
        HttpDestinationOperator(
            task_id="deliver", http_conn_id="api", records=records, destination_schema=ITEM, record_key="id"
        )
    run = run_dag(dag)
    assert run.state("deliver") == "failed"
    said = "".join(capfd.readouterr()) + caplog.text
    xcom = run.xcom("deliver")
    for line in (
        "4 records not delivered: 1 invalid, 3 rejected. max_failures allows 0, so the task fails.",
        "  3 x rejected: 422 Unprocessable Entity: not for Bearer ***",
        "  record 5 (id=five): invalid: id: Input should be a valid integer (found 'five')",
        "  record 17 (id=17): rejected: 422 Unprocessable Entity: not for Bearer ***",
        xcom["failures_path"],
        f"airflow osmosdest retry {xcom['report_path']}",
    ):
        assert line in said
    assert xcom["reasons"][0] == {"reason": "rejected: 422 Unprocessable Entity: not for Bearer ***", "records": 3}
    assert xcom["error"].startswith("4 of 100 records were not delivered")
    kept = Path(xcom["report_path"]).read_text()
    assert TOKEN not in said + kept + json.dumps(xcom)
    about = json.loads(kept)["about"]
    assert (about["dag_id"], about["run_id"], about["task_id"]) == (run.dag_id, run.run_id, "deliver")
    assert (about["conn_id"], about["attempts"], about["map_index"]) == ("api", 1, -1)

    shop.mended = True
    shop.taken.clear()
    code, report, err = command(*words_of(run, "deliver"), "--only", "rejected", "--yes")
    assert (code, report["delivered"], tuple(shop.taken)) == (0, 3, UNWANTED)
    assert report["about"]["retry_of"] == xcom["report_path"]
    assert "so the task fails" not in err
    assert command(*words_of(run, "deliver"), "--only", "rejected", "--yes")[0] == 2
    assert tuple(shop.taken) == UNWANTED


def test_a_task_that_goes_on_by_itself_is_left_alone(run_dag, shop, command):
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with DAG("retry_of_a_task_at_work", schedule=None) as dag:
        HttpDestinationOperator(task_id="deliver", http_conn_id="api", records=[{"id": UNWANTED[0]}])
    run = run_dag(dag)
    with create_session() as session:
        session.execute(update(TaskInstance).where(TaskInstance.run_id == run.run_id).values(state="up_for_retry"))
    code, _, err = command(*words_of(run, "deliver"), "--yes")
    assert (code, shop.taken) == (2, [])
    assert "the task 'deliver' is up_for_retry, so it goes on with this delivery itself" in err


def test_what_the_next_attempt_sends_is_left_to_it(run_dag, set_connection, command):
    load_settings.cache_clear()
    with ScriptedServer(answer(401)) as server:
        set_connection("api", host=server.url)
        with DAG("retry_of_unsent", schedule=None) as dag:
            HttpDestinationOperator(task_id="deliver", http_conn_id="api", records=[{"id": 1}])
        run = run_dag(dag)
        code, _, err = command(*words_of(run, "deliver"), "--yes")
    assert code == 1
    assert "Left out: 1 unsent: the task's next attempt sends them, so clear it." in err
    load_settings.cache_clear()


def test_a_mapped_task(run_dag, shop, command):
    with DAG("retry_of_a_mapped_task", schedule=None) as dag:
        HttpDestinationOperator.partial(task_id="deliver", http_conn_id="api").expand(
            records=[[{"id": 1}], [{"id": 17}, {"id": 2}]]
        )
    run = run_dag(dag)
    shop.mended = True
    shop.taken.clear()
    code, _, err = command(*words_of(run, "deliver"), "--yes")
    assert code == 2
    assert "a mapped task needs --map-index" in err
    code, report, _ = command(*words_of(run, "deliver"), "--map-index", "1", "--yes")
    assert (code, report["delivered"], shop.taken) == (0, 1, [17])


def test_a_delivery_in_parts_by_its_merge(  # noqa: PLR0917 - fixtures
    run_dag, shop, command, tmp_path, capfd, caplog
):
    path = tmp_path / "items.ndjson"
    path.write_text("".join(f'{{"id": {number}}}\n' for number in range(3_000)))
    with DAG("retry_of_parts", schedule=None) as dag:
        deliver_in_parts("send", parts=2, records=str(path), http_conn_id="api", record_key="id")
    run = run_dag(dag)
    assert run.state("send.merge") == "failed"
    said = "".join(capfd.readouterr()) + caplog.text
    assert "  record 88 (id=88): rejected: 422 Unprocessable Entity" in said
    xcom = run.xcom("send.merge")
    assert said.count("airflow osmosdest retry") == said.count(f"airflow osmosdest retry {xcom['report_path']}")
    assert xcom["reasons"][0]["records"] == 3
    about = json.loads(Path(xcom["report_path"]).read_text())["about"]
    assert (about["task_id"], about["source"]["description"], about["attempts"]) == ("send.merge", str(path), 1)
    shop.mended = True
    shop.taken.clear()
    code, report, _ = command(*words_of(run, "send.merge"), "--yes")
    assert (code, report["delivered"], tuple(shop.taken)) == (0, 3, UNWANTED)


def test_a_publish(run_dag, set_connection, command, tmp_path):
    load_settings.cache_clear()
    extra = {"path": str(tmp_path / "mailbox"), "destination_schema": ITEM}
    set_connection("orders", conn_type="osmos_mailbox", extra=extra)
    with DAG("retry_of_a_publish", schedule=None) as dag:
        MailboxPublishOperator(task_id="publish", mailbox_conn_id="orders", records=[{"id": 1}, {"id": "two"}])
    run = run_dag(dag)
    words = words_of(run, "publish")
    code, report, err = command(*words, "--dry-run")
    assert (code, report["invalid"]) == (1, 1)
    code, _, err = command(*words, "--endpoint", "/x", "--yes")
    assert code == 2
    assert "endpoint: these records are published to a mailbox, which has none" in err
    extra["destination_schema"] = {"fields": [{"name": "id", "type": "string"}]}
    set_connection("orders", conn_type="osmos_mailbox", extra=extra)
    code, report, err = command(*words, "--yes")
    assert (code, report["delivered"]) == (0, 1)
    assert "The schema is another one than they failed under." in err
    lines = MailboxHook("orders").mailbox().read(None, limit=10, max_bytes=2**20).lines
    assert [json.loads(line) for line in lines.splitlines()] == [{"id": 1}, {"id": "two"}]
    load_settings.cache_clear()


def test_a_pull_says_what_it_was_and_is_not_retried(run_dag, set_connection, command, capfd, caplog):
    load_settings.cache_clear()
    with ScriptedServer(answer(200, b'[{"id": 1}, {"id": "two"}]')) as server:
        set_connection("api", host=server.url)
        with DAG("retry_of_a_pull", schedule=None) as dag:
            HttpSourceOperator(task_id="pull", http_conn_id="api", endpoint="/users", destination_schema=ITEM)
        run = run_dag(dag)
    said = "".join(capfd.readouterr()) + caplog.text
    assert "  record 1: invalid: id: Input should be a valid integer (found 'two')" in said
    assert "airflow osmosdest retry" not in said
    xcom = run.xcom("pull")
    assert (xcom["reasons"][0]["records"], xcom["error"] is None) == (1, False)
    about = json.loads(Path(xcom["report_path"]).read_text())["about"]
    assert (about["kind"], about["method"], about["url"]) == ("http_source", "GET", f"{server.url}/users")
    code, _, err = command(*words_of(run, "pull"))
    assert code == 2
    assert "is the report of a pull" in err
    load_settings.cache_clear()


def test_as_a_process_without_a_database(shop, tmp_path):
    (tmp_path / "in.csv").write_text("id\n1\n17\n2\n")
    (tmp_path / "schema.json").write_text(json.dumps(ITEM))
    environment = {
        **{name: value for name, value in os.environ.items() if name != "AIRFLOW__CORE__UNIT_TEST_MODE"},
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__OSMOSDEST__STORAGE_PATH": str(tmp_path / "storage"),
        "NO_PROXY": "127.0.0.1",
    }

    def airflow(*words):
        command = [sys.executable, "-m", "airflow", "osmosdest", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    code, report, err = airflow(
        "deliver",
        *("--conn-id", "api", "--records", str(tmp_path / "in.csv"), "--schema", str(tmp_path / "schema.json")),
    )
    assert (code, report["rejected"]) == (1, 1), err
    shop.mended = True
    code, report, err = airflow("retry", report["report_path"], "--yes")
    assert (code, report["delivered"], shop.taken) == (0, 1, [1, 2, 17]), err
