"""The operator in Airflow's own task runner, against a real server."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.sdk import DAG, Asset

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator
from airflow_provider_osmosdest.operators.http_source import HttpSourceOperator
from airflow_provider_osmosdest.testing.servers import ScriptedServer
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW

ITEM = {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "name", "type": "string"}]}
ITEMS = [{"id": number, "name": f"item {number}"} for number in range(25)]
NEW = {"cursor_path": "id", "param": "since", "initial_value": 0}
OFFSET = {"type": "offset", "limit": 10, "total_path": "total"}


def paging(talk):
    """Serve ITEMS by offset and limit."""
    talk.read_body()
    asked = {name: value[0] for name, value in parse_qs(urlsplit(talk.request.target).query).items()}
    offset, limit = int(asked.get("offset", 0)), int(asked.get("limit", 10))
    found = ITEMS[offset : offset + limit]
    if "since" in asked:
        found = [item for item in ITEMS if item["id"] >= int(asked["since"])][offset : offset + limit]
    talk.reply(200, json.dumps({"items": found, "total": len(ITEMS)}).encode())


@pytest.fixture
def server(set_connection):
    with ScriptedServer(paging) as running:
        set_connection("api", host=running.url, login="ada", password="secret-9b1f")
        yield running


@pytest.fixture
def pull(run_dag, request):
    """Run a DAG of one pull with these parameters, and return how it ended."""

    def run(**parameters: Any):
        settings = {"endpoint": "/items", "data_selector": "items", "paginator": OFFSET, **parameters}
        with DAG(f"dag_{abs(hash(request.node.nodeid))}", schedule=None, params={"limit": 3}) as dag:
            HttpSourceOperator(task_id="pull", http_conn_id="api", **settings)
        return run_dag(dag)

    return run


def records_of(path: str) -> list[Any]:
    folder = Path(path).parent
    return [json.loads(line) for part in sorted(folder.glob("*.ndjson")) for line in part.read_text().splitlines()]


class TestFile:
    def test_all_records_and_a_report(self, pull, server, osmos_home):
        run = pull(destination_schema=ITEM)
        assert run.state("pull") == "success"
        report = run.xcom("pull")
        assert (report["read"], report["delivered"], report["pages"], report["requests"]) == (25, 25, 3, 3)
        assert records_of(report["records_path"]) == ITEMS
        folder = osmos_home / "deliveries" / run.dag_id / run.run_id / "pull" / "-1"
        assert json.loads((folder / "report.json").read_text())["records_path"] == report["records_path"]
        # The pages themselves are not kept twice.
        assert list((folder / "pages").iterdir()) == []

    def test_the_dags_own_params_are_not_sent(self, pull, server):
        pull(query={"color": "red"})
        assert {frozenset(parse_qs(urlsplit(each.target).query)) for each in server.received} == {
            frozenset({"color", "offset", "limit"})
        }

    def test_invalid_records_fail_the_task(self, pull, server):
        schema = {"fields": [{"name": "id", "type": "integer", "constraints": {"maximum": 22}}, ITEM["fields"][1]]}
        run = pull(destination_schema=schema)
        assert run.state("pull") == "failed"
        assert [failure["index"] for failure in run.failures("pull")] == [23, 24]
        assert run.xcom("pull")["records_path"] is None
        assert pull(destination_schema=schema, max_failures=2).state("pull") == "success"

    def test_a_source_chained_to_a_destination(self, run_dag, server, set_connection):
        taken = []

        def take(talk):
            taken.extend(json.loads(talk.read_body()))
            talk.reply(200)

        with ScriptedServer(take) as destination:
            set_connection("there", host=destination.url)
            with DAG("chained", schedule=None) as dag:
                source = HttpSourceOperator(
                    task_id="pull", http_conn_id="api", endpoint="/items", data_selector="items", paginator=OFFSET
                )
                HttpDestinationOperator(task_id="deliver", http_conn_id="there", records=source.output["records_path"])
            run = run_dag(dag)
        assert run.state("deliver") == "success"
        assert taken == ITEMS

    def test_no_records_are_a_file_without_records(self, run_dag, server):
        with DAG("none", schedule=None) as dag:
            source = HttpSourceOperator(
                task_id="pull",
                http_conn_id="api",
                endpoint="/items",
                data_selector="items",
                query={"since": 99},
                paginator={"type": "offset", "limit": 10},
            )
            HttpDestinationOperator(task_id="deliver", http_conn_id="api", records=source.output["records_path"])
        run = run_dag(dag)
        assert run.xcom("pull")["delivered"] == 0
        assert run.state("deliver") == "success"


class TestXCom:
    def test_the_records_are_the_result(self, pull, server):
        run = pull(output_as="xcom")
        assert run.xcom("pull") == ITEMS

    def test_too_many_for_it(self, pull, server, monkeypatch):
        monkeypatch.setattr("airflow_provider_osmosdest.operators.http_source.XCOM_BYTES", 100)
        plain = {"paginator": {"type": "offset", "limit": 10}, "incremental": NEW}
        assert pull(**plain, output_as="xcom").state("pull") == "failed"
        # No task has read them, so they are new to the next run.
        assert pull(**plain).xcom("pull")["delivered"] == 25


class TestIncremental:
    def test_the_second_run_takes_what_is_new(self, pull, server, monkeypatch):
        plain = {"paginator": {"type": "offset", "limit": 10}, "incremental": NEW}
        assert pull(**plain).xcom("pull")["delivered"] == 25
        monkeypatch.setattr(f"{__name__}.ITEMS", [*ITEMS, {"id": 25, "name": "new"}])
        server.received.clear()
        report = pull(**plain).xcom("pull")
        assert "since=24" in server.received[0].target
        assert (report["delivered"], report["dropped"]) == (1, 1)
        assert records_of(report["records_path"]) == [{"id": 25, "name": "new"}]

    def test_it_is_kept_in_the_state_of_the_one_asset(self, run_dag, server, osmos_home):
        orders = Asset("orders_of_the_shop")

        def run():
            with DAG("with_asset", schedule=None) as dag:
                HttpSourceOperator(
                    task_id="pull",
                    http_conn_id="api",
                    endpoint="/items",
                    data_selector="items",
                    paginator={"type": "offset", "limit": 10},
                    incremental=NEW,
                    outlets=[orders],
                )
            return run_dag(dag).xcom("pull")["delivered"]

        assert (run(), run()) == (25, 0)
        assert not (osmos_home / "sources").exists()


class TestDeduplicating:
    def test_what_an_earlier_run_brought_is_left_out(self, pull, server, monkeypatch):
        plain = {"paginator": {"type": "offset", "limit": 10}, "deduplicate": "records"}
        # A run that fails has brought nothing.
        failed = pull(**plain, max_pages=2)
        assert (failed.state("pull"), failed.xcom("pull")["delivered"]) == ("failed", 20)
        assert pull(**plain).xcom("pull")["delivered"] == 25
        monkeypatch.setattr(f"{__name__}.ITEMS", [{"id": 1, "name": "edited"}, *ITEMS, ITEMS[0]])
        report = pull(**plain).xcom("pull")
        assert (report["delivered"], report["duplicate"]) == (1, 26)
        assert records_of(report["records_path"]) == [{"id": 1, "name": "edited"}]
        # By another key they are other things.
        assert pull(**plain, record_key="id").xcom("pull")["delivered"] == 25

    def test_within_one_run(self, pull, server, monkeypatch):
        monkeypatch.setattr(f"{__name__}.ITEMS", ITEMS + ITEMS[:5])
        for _ in range(2):
            report = pull(paginator={"type": "offset", "limit": 10}, deduplicate="in_file").xcom("pull")
            assert (report["delivered"], report["duplicate"]) == (25, 5)


class TestWrongSettings:
    def test_fail_at_once(self, pull, server):
        for wrong in (
            {"output_as": "table"},
            {"paginator": "pages"},
            {"array_as": "rows"},
            {"deduplicate": "files"},
            {"endpoint": 5},
        ):
            run = pull(**wrong)
            assert (run.state("pull"), run.tries["pull"]) == ("failed", 1)
        assert server.received == []

    def test_a_page_that_shows_a_next_one(self, pull, server):
        run = pull(paginator=None)
        assert run.state("pull") == "failed"
        report = json.loads(Path(run.xcom("pull")["report_path"]).read_text())
        assert "'total_path': 'total'" in report["error"]


def test_lineage_leads_from_the_api_to_the_records(server, osmos_home):
    operator = HttpSourceOperator(
        task_id="pull", http_conn_id="api", endpoint="/items?key=k", data_selector="items", paginator=OFFSET
    )
    ti = SimpleNamespace(
        dag_id="dag", run_id="run", task_id="pull", map_index=-1, max_tries=0, xcom_push=lambda key, value: None
    )
    assert operator.get_openlineage_facets_on_complete(None) is None
    operator.execute({"ti": ti})
    lineage = operator.get_openlineage_facets_on_complete(None)
    (source,), (records,) = lineage.inputs, lineage.outputs
    assert (source.namespace, source.name) == (server.url, "/items")
    assert records.name == str(osmos_home / "deliveries/dag/run/pull/-1/records/*.ndjson")
    assert records.outputFacets["outputStatistics"].rowCount == 25
