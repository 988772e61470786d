"""The examples that pull, against live servers."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_osmosdest.testing.servers import ScriptedServer
from tests.airflow_fixtures import EXAMPLES, WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW


def order(number: int, minute: int) -> dict[str, Any]:
    return {
        "id": number,
        "updated_at": f"2026-03-01T{9 + minute // 60:02d}:{minute % 60:02d}:00Z",
        "amount": number / 2,
    }


@pytest.fixture
def shop(set_connection):
    """A shop that grows, with the connection ``shop_api`` that reaches it."""
    orders = [order(number, number // 5) for number in range(250)]
    customers = [
        {"customer_no": f"C{number}", "email": f"{number}@x.test", "name": f"N {number}"} for number in range(25)
    ]

    def script(talk):
        talk.read_body()
        path, query = urlsplit(talk.request.target).path, parse_qs(urlsplit(talk.request.target).query)
        if path == "/orders":
            found = [each for each in orders if each["updated_at"] >= query["updated_since"][0]]
            offset, limit = int(query["offset"][0]), int(query["limit"][0])
            body: Any = {"result": {"orders": found[offset : offset + limit], "total": len(found)}}
        else:
            page = int(query.get("page", ["0"])[0])
            more = f"/customers?page={page + 1}" if (page + 1) * 10 < len(customers) else None
            body = {"items": customers[page * 10 : page * 10 + 10], "links": {"next": more}}
        talk.reply(200, json.dumps(body).encode())

    with ScriptedServer(script) as server:
        set_connection("shop_api", host=server.url)
        server.orders = orders
        yield server


@pytest.fixture(scope="module")
def bag(airflow_db) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(EXAMPLES, bundle_path=EXAMPLES, bundle_name="examples")


def test_http_source(bag, run_dag, shop):
    run = run_dag(bag.dags["http_source"])
    report = run.xcom("pull_orders")
    assert (report["delivered"], report["pages"]) == (250, 3)
    assert run.xcom("look") == f"250 records in {report['records_path']}"
    # One is new, one was edited, and one was written late.
    shop.orders.extend([order(900, 70), order(901, 30)])
    shop.orders[249]["amount"] = 99
    report = run_dag(bag.dags["http_source"]).xcom("pull_orders")
    assert report["delivered"] == 3
    assert report["dropped"] == 249


def test_source_to_destination(bag, run_dag, shop, set_connection):
    taken = []

    def take(talk):
        taken.extend(json.loads(talk.read_body())["contacts"])
        talk.reply(200)

    with ScriptedServer(take) as crm:
        set_connection("crm_api", host=crm.url)
        run = run_dag(bag.dags["source_to_destination"])
    assert run.state("deliver_contacts") == "success"
    assert taken == [
        {"external_id": f"C{number}", "email": f"{number}@x.test", "full_name": f"N {number}"} for number in range(25)
    ]
