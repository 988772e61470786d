"""The example of files that are dropped in a folder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer
from tests.airflow_fixtures import EXAMPLES, WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW

HEADER = "id,customer,amount,ordered_on\n"


@pytest.fixture
def dag(airflow_db) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(EXAMPLES, bundle_path=EXAMPLES, bundle_name="examples").dags["csv_folder"]


def test_each_file_is_delivered_once(dag, run_dag, set_connection, tmp_path):
    folder = tmp_path / "orders"
    with ScriptedServer(answer(202)) as server:
        set_connection("orders_api", host=server.url)

        def sent() -> list[int]:
            """Run the DAG; return the ids that arrived in it."""
            before = len(server.received)
            run = run_dag(dag, {"folder": str(folder)})
            assert run.state("deliver") in ("success", "skipped")
            bodies = [json.loads(each.body) for each in server.received[before:]]
            return [record["id"] for body in bodies for record in body]

        assert sent() == []
        folder.mkdir()
        assert sent() == []
        (folder / "monday.csv").write_text(HEADER + "1,Ada,12.50,2026-11-16\n2,Grace,8,\n")
        assert sent() == [1, 2]
        (folder / "tuesday.csv").write_text(HEADER + "3,Linus,1.00,2026-11-17\n")
        assert sent() == [3]
        (folder / "monday.csv").rename(folder / "old.csv")
        assert sent() == []
        (folder / "tuesday.csv").write_text(HEADER + "3,Linus,1.50,2026-11-17\n")
        assert sent() == [3]
