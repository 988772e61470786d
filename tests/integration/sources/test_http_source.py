"""
Pulls from servers outside this project, as tasks of a whole Airflow that are killed mid-way and retried by it.

The Airflow that runs the tasks is one of the servers: its own REST API has what it pulls.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sources.servers import NPM, datasette, items, json_server
from tests.standalone import until

pytestmark = pytest.mark.system

VARIABLES = 60
COUNT = 300


class Puller:
    """Run the DAG, and look at what it leaves behind."""

    def __init__(self, api: Any, home: Path) -> None:
        self._api = api
        self._home = home

    def connect(self, name: str, host: str, **more: Any) -> None:
        body = {"connection_id": name, "conn_type": "osmos_http", "host": host, **more}
        self._api("POST", "/api/v2/connections", body)

    def __call__(self, *, kill_at: int, **conf: Any) -> tuple[list[Any], dict[str, Any], int]:
        """Return records, report and tries of a run whose task is killed once it has kept so many pages."""
        run = self._api.trigger("pulling", {"selector": None, "query": None, **conf})
        pages = self._home / "osmosdest" / "deliveries" / "pulling" / run.rpartition("/")[2] / "pull/-1/pages"
        until("kept pages", 240, lambda: len(list(pages.glob("*"))) >= kill_at)
        os.kill(self._api.get(f"{run}/taskInstances/pull")["pid"], signal.SIGKILL)
        assert self._api.wait(run) == "success", self._api.log(run, "pull", 2)
        report = self._api.xcom(run, "pull")
        folder = Path(report["records_path"]).parent
        lines = [line for part in sorted(folder.iterdir()) for line in part.read_text().splitlines()]
        return [json.loads(line) for line in lines], report, self._api.get(f"{run}/taskInstances/pull")["try_number"]


@pytest.fixture
def pull(airflow, airflow_home):
    return Puller(airflow, airflow_home)


def test_airflows_own_rest_api_by_offset_with_a_bearer_token(airflow, pull):
    names = [f"variable_{number:03d}" for number in range(VARIABLES)]
    for name in names:
        airflow("POST", "/api/v2/variables", {"key": name, "value": f"value of {name}"})
    pull.connect("airflow_api", airflow.url, password=airflow.token, extra=json.dumps({"auth": "bearer"}))
    records, report, tries = pull(
        kill_at=3,
        connection="airflow_api",
        endpoint="/api/v2/variables",
        query={"order_by": "key"},
        selector="variables",
        paginator={"type": "offset", "limit": 4, "total_path": "total_entries"},
        rate=5,
    )
    assert [record["key"] for record in records] == names
    assert (report["delivered"], report["pages"], tries) == (VARIABLES, VARIABLES / 4, 2)


def test_datasette_by_next_url(pull, tmp_path):
    with datasette(tmp_path, COUNT) as url:
        pull.connect("datasette", url)
        records, report, tries = pull(
            kill_at=5,
            connection="datasette",
            endpoint="/shop/items.json",
            query={"_shape": "objects", "_size": 10},
            selector="rows",
            paginator={"type": "json_link", "next_url_path": "next_url"},
            rate=5,
        )
    assert records == items(COUNT)
    assert (report["delivered"], report["pages"], tries) == (COUNT, COUNT / 10, 2)


@pytest.fixture(scope="module")
def items_url(tmp_path_factory):
    if NPM is None:
        pytest.skip("json-server is installed with npm, which is not on this machine")
    with json_server(tmp_path_factory.mktemp("json-server"), {"items": items(COUNT)}) as url:
        yield url


def test_json_server_by_link_header(pull, items_url):
    pull.connect("json_server", items_url)
    records, report, tries = pull(
        kill_at=5,
        connection="json_server",
        endpoint="/items",
        query={"_page": 1, "_limit": 10},
        paginator="header_link",
        rate=5,
    )
    assert records == items(COUNT)
    assert (report["delivered"], report["pages"], tries) == (COUNT, COUNT / 10, 2)


def test_json_server_by_page_number(pull, items_url):
    pull.connect("json_server_pages", items_url)
    records, report, tries = pull(
        kill_at=5,
        connection="json_server_pages",
        endpoint="/items",
        query={"_limit": 10},
        paginator={"type": "page_number", "base_page": 1, "page_param": "_page"},
        rate=5,
    )
    assert records == items(COUNT)
    # One page more, which is empty, tells that there are no more.
    assert (report["delivered"], report["pages"], tries) == (COUNT, COUNT / 10 + 1, 2)
