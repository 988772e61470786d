"""A wait that is longer than a worker slot should be held for goes to the triggerer, and the task goes on after it."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import DAG, Asset

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW


@pytest.mark.parametrize("write_mode", ["batch", "record"])
def test_a_long_wait_is_deferred_and_nothing_is_sent_twice(run_dag, set_connection, write_mode):
    asked = []

    def script(talk):
        asked.append(talk)
        if len(asked) == 2:
            answer(429, b"slow down", headers={"Retry-After": "2"})(talk)
        else:
            answer(200, b"{}")(talk)

    with ScriptedServer(script) as server:
        set_connection("api", host=server.url)
        with DAG(f"waiting_{write_mode}", schedule=None) as dag:
            HttpDestinationOperator(
                task_id="deliver",
                http_conn_id="api",
                records=[{"id": number} for number in range(6)],
                write_mode=write_mode,
                batch_size=2,
                concurrency=1,
                deferrable=True,
                defer_after=1,
                outlets=[Asset("api_records")],
            )
        run = run_dag(dag)
        assert run.state("deliver") == "success"
        report = run.xcom("deliver")
        assert (report["read"], report["delivered"]) == (6, 6)
        bodies = [json.loads(request.body) for request in server.received]
        taken = [body for number, body in enumerate(bodies) if number != 1]
        ids = [record["id"] for body in taken for record in (body if isinstance(body, list) else [body])]
        assert sorted(ids) == list(range(6))
        keys = [request.headers["idempotency-key"] for request in server.received]
        assert keys[1] == keys[2], "what was asked to wait goes again under its key"
