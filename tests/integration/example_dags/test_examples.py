"""Every example is loaded as Airflow loads it, and run against a live server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.airflow_fixtures import EXAMPLES, WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW

TASKS = {
    "deliver_flights": {"unpack_flights", "deliver"},
    "deliver_xcom": {"extract", "deliver"},
    "deliver_decorator": {"deliver_weather"},
    "deliver_in_parts": {"export", "notify.plan", "notify.probe", "notify.deliver", "notify.merge", "tell"},
    "http_source": {"pull_orders", "look"},
    "source_to_destination": {"pull_customers", "deliver_contacts"},
    "mailbox_publish": {"unpack_flights", "publish"},
    "inbox_to_pipeline": {"read", "total"},
    "morning_notifications": {"read_sheet", "notify", "tell"},
    "csv_folder": {"any_files", "deliver"},
    "customerio_messages": {"set_wording", "subscribers", "trigger_campaign", "receipts", "send_receipts"},
}

FLIGHTS = """\
year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour
2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,1525,1530,-5,1934,1805,NA,MQ,4525,N719MQ,LGA,XNA,NA,1147,15,30,2013-01-01T20:00:00Z
2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,N18120,EWR,RDU,NA,416,16,30,2013-01-01T21:00:00Z
2013,1,1,533,529,4,850,830,20,UA,1714,N24211,LGA,IAH,227,1416,5,29,2013-01-01T10:00:00Z
"""


@pytest.fixture(scope="module")
def bag(airflow_db) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(EXAMPLES, bundle_path=EXAMPLES, bundle_name="examples")


def test_the_folder_holds_these_dags_and_no_import_errors(bag):
    assert bag.import_errors == {}
    assert {dag_id: set(dag.task_ids) for dag_id, dag in bag.dags.items()} == TASKS
    # The receiver and the demo are no DAG files, and Airflow does not even look at them.
    assert {stat.file.rpartition("/")[2] for stat in bag.dagbag_stats} == {f"{dag_id}.py" for dag_id in TASKS}
    assert all(dag.doc_md for dag in bag.dags.values())


def test_deliver_flights(bag, run_dag, receiver, tmp_path):
    (tmp_path / "flights.csv").write_text(FLIGHTS)
    run = run_dag(bag.dags["deliver_flights"], {"csv": str(tmp_path / "flights.csv")})
    report = run.xcom("deliver")
    counts = {name: report[name] for name in ("read", "delivered", "invalid", "rejected", "unknown", "unsent")}
    assert counts == {"read": 4, "delivered": 2, "invalid": 1, "rejected": 1, "unknown": 0, "unsent": 0}
    # Half of four is more than 3 %.
    assert run.state("deliver") == "failed"
    invalid, rejected = sorted(run.failures("deliver"), key=lambda failure: failure["outcome"])
    assert (invalid["index"], invalid["outcome"], invalid["status"]) == (2, "invalid", None)
    assert invalid["error"].startswith("dep_time: ")
    assert (rejected["index"], rejected["outcome"], rejected["status"]) == (1, "rejected", 422)
    assert "air_time" in rejected["error"]
    assert rejected["record"]["arr_delay"] is None
    stats = receiver.books.stats()
    assert stats["flights"]["distinct"] == stats["flights"]["taken"] == 2
    assert stats["flights"]["requests"] == report["requests"]
    assert stats["unauthorized"] == 0


def test_deliver_xcom(bag, run_dag, receiver):
    run = run_dag(bag.dags["deliver_xcom"])
    assert run.state("deliver") == "success"
    assert run.xcom("deliver")["delivered"] == 3
    assert receiver.books.stats()["airports"] == {"requests": 3, "requests_refused": 0, "taken": 3, "distinct": 3}


def test_deliver_decorator(bag, run_dag, receiver):
    run = run_dag(bag.dags["deliver_decorator"])
    assert run.state("deliver_weather") == "success"
    assert run.xcom("deliver_weather")["delivered"] == 90 * 24
    assert receiver.books.stats()["weather"] == {"requests": 5, "requests_refused": 0, "taken": 2160, "distinct": 2160}


def test_deliver_in_parts(bag, run_dag, receiver, osmos_home, tmp_path):
    run = run_dag(bag.dags["deliver_in_parts"], {"folder": f"file://{tmp_path}/gates"})
    report = run.xcom("notify.merge")
    assert (report["read"], report["delivered"], report["parts"]) == (4_000, 4_000, 5)
    assert run.xcom("notify.probe")["delivered"] == 1_000
    assert sum(run.xcom("notify.deliver", index)["delivered"] for index in range(4)) == 3_000
    assert run.xcom("tell") == "4,000 of 4,000 gates delivered by 5 parts"
    assert receiver.books.stats()["gates"] == {"requests": 5, "requests_refused": 0, "taken": 4_000, "distinct": 4_000}
    reports = [json.loads(path.read_text()) for path in osmos_home.rglob("report.json")]
    assert len(reports) == 6
    assert {each["delivery_id"] for each in reports} == {report["delivery_id"]}
