"""What deliveries with secrets leave behind, searched for each of them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from tests.integration.kills.secret_deliveries import CONN_IDS, DAG_ID, ENDPOINTS, traces
from tests.standalone import files_of

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def run(airflow):
    run = airflow.trigger(DAG_ID)
    airflow.wait(run)
    return run


@pytest.mark.parametrize("conn_id", CONN_IDS)
def test_the_secrets_were_used(airflow, run, conn_id):
    reports = {endpoint: airflow.xcom(run, f"{conn_id}_{endpoint}") for endpoint in ENDPOINTS}
    if conn_id == "with_oauth2_wrong":
        assert [report["unsent"] for report in reports.values()] == [2, 2, 2]
        return
    assert (reports["accept"]["delivered"], reports["refuse"]["rejected"], reports["deny"]["unsent"]) == (2, 2, 2)


def test_the_server_saw_them(run, echoing):
    # Where the search below finds nothing, it is not because nothing was there.
    seen = b" ".join(
        value for request in echoing.received for value in (*request.headers.values(), request.target.encode())
    )
    everything = traces()
    for kind in ("bearer", "header", "api_key", "query", "access token", "basic in base64", "proxy in base64"):
        assert everything[kind] in seen


def test_nothing_that_is_left_behind_holds_one(run, airflow_home):
    written = dict(files_of(airflow_home))
    names = {path.name for path in written}
    assert {"report.json", "failures-00000.ndjson", "airflow.db"} <= names
    assert any(name.startswith("attempt=") for name in names), "task logs are among it"
    found = [
        f"{what} in {path.relative_to(airflow_home)}"
        for path, content in written.items()
        for what, trace in traces().items()
        if trace in content
    ]
    assert not found, found


def test_the_database_was_searched_too(run, airflow_home):
    # XCom, task state and rendered templates are in it, as text that a search of bytes finds.
    with closing(sqlite3.connect(f"file:{airflow_home / 'airflow.db'}?mode=ro", uri=True)) as database:
        (state,) = database.execute("select count(*) from task_state_store where key = 'osmosdest_ledger'").fetchone()
        (rendered,) = database.execute(
            "select rendered_fields from rendered_task_instance_fields where task_id = 'with_bearer_refuse'"
        ).fetchone()
    assert state >= len(CONN_IDS)
    assert "X-Copy" in json.dumps(rendered)
