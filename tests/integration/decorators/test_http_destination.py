"""``@task.http_destination`` in Airflow's own task runner, against a real server."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import DAG, task

from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW

ITEM = {"fields": [{"name": "id", "type": "integer", "nullable": False}]}


@pytest.fixture
def server(set_connection):
    with ScriptedServer(answer(200, b"{}")) as running:
        set_connection("api", host=running.url)
        yield running


def sent(server: ScriptedServer):
    return [record for request in server.received for record in json.loads(request.body)]


def test_a_list(run_dag, server):
    with DAG("decorated_list", schedule=None) as dag:

        @task.http_destination(http_conn_id="api", destination_schema=ITEM, endpoint="/{{ dag.dag_id }}")
        def deliver():
            return [{"id": 1}, {"id": 2}]

        deliver()
    run = run_dag(dag)
    assert run.state("deliver") == "success"
    assert run.xcom("deliver")["delivered"] == 2
    assert sent(server) == [{"id": 1}, {"id": 2}]
    assert server.received[0].target == "/decorated_list"


def test_a_generator_is_read_as_it_goes(run_dag, server):
    with DAG("decorated_generator", schedule=None) as dag:

        @task.http_destination(http_conn_id="api", destination_schema=ITEM, batch_size=1000)
        def deliver(count):
            # The first batches are sent before the last records are made.
            for number in range(count):
                yield {"id": number + len(server.received)}

        deliver(5_000)
    run = run_dag(dag)
    assert run.xcom("deliver")["delivered"] == 5_000
    assert max(record["id"] for record in sent(server)) > 5_000 - 1


def test_a_generator_that_raises(run_dag, server, capfd):
    with DAG("decorated_raises", schedule=None) as dag:

        @task.http_destination(http_conn_id="api", destination_schema=ITEM)
        def deliver():
            yield {"id": 1}
            raise LookupError("no more rows")

        deliver()
    run = run_dag(dag)
    assert run.state("deliver") == "failed"
    assert run.xcom("deliver")["delivered"] == 1
    assert "no more rows" in "".join(capfd.readouterr())


def test_a_path(run_dag, server, tmp_path):
    (tmp_path / "items.csv").write_text("id\n1\n2\n")
    with DAG("decorated_path", schedule=None) as dag:

        @task.http_destination(http_conn_id="api", destination_schema=ITEM)
        def deliver():
            return str(tmp_path / "items.csv")

        deliver()
    assert run_dag(dag).xcom("deliver")["delivered"] == 2
    assert sent(server) == [{"id": 1}, {"id": 2}]


def test_arguments_context_and_upstream_xcom(run_dag, server):
    with DAG("decorated_arguments", schedule=None) as dag:

        @task
        def extract():
            return [{"id": 1, "name": "{{ 1 / 0 }}"}]

        @task.http_destination(http_conn_id="api")
        def deliver(rows, more, *, dag_run=None):
            return [{**row, "run": dag_run.run_id, "more": more} for row in rows]

        deliver(extract(), more="{{ dag.dag_id }}")
    run = run_dag(dag)
    # What is templated is what the DAG's author wrote, never what upstream data holds.
    assert sent(server) == [{"id": 1, "name": "{{ 1 / 0 }}", "run": run.run_id, "more": "decorated_arguments"}]


def test_mapped(run_dag, server):
    with DAG("decorated_mapped", schedule=None) as dag:

        @task.http_destination(http_conn_id="api", destination_schema=ITEM)
        def deliver(first):
            return [{"id": first}, {"id": first + 1}]

        deliver.expand(first=[10, 20])
    run = run_dag(dag)
    assert [run.xcom("deliver", index)["delivered"] for index in (0, 1)] == [2, 2]
    assert sorted(record["id"] for record in sent(server)) == [10, 11, 20, 21]


def test_nothing_returned(run_dag, server, capfd):
    with DAG("decorated_none", schedule=None) as dag:

        @task.http_destination(http_conn_id="api")
        def deliver():
            pass

        deliver()
    assert run_dag(dag).state("deliver") == "failed"
    assert "records: found None" in "".join(capfd.readouterr())
    assert server.received == []


def test_its_report_may_go_on(run_dag, server):
    with DAG("decorated_chain", schedule=None) as dag:

        @task.http_destination(http_conn_id="api")
        def deliver():
            return [{"id": 1}]

        @task
        def after(report):
            return report["delivered"] * 100

        after(deliver())
    assert run_dag(dag).xcom("after") == 100


def test_records_come_from_the_function_alone():
    with DAG("decorated_twice", schedule=None):

        @task.http_destination(http_conn_id="api", records=[{"id": 1}])
        def deliver():
            return []

        with pytest.raises(TypeError, match="records"):
            deliver()
