"""The recipes of docs/recipes.md: connection and DAG as they stand there, against the servers they are for."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from airflow_provider_osmosdest.testing.servers import ScriptedServer, free_port
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW
from tests.doc_pages import fenced, missing_line, section
from tests.integration.sources.servers import NPM, json_server, running
from tests.stack.services import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.testing.servers import Conversation

pytestmark = [*WARNINGS_OF_AIRFLOW, pytest.mark.system]

DIRECTUS_DIR = "DIRECTUS_DIR"
# Of what its packages compile when they are installed, this alone is needed with PostgreSQL.
INSTALL_DIRECTUS = "npm install --ignore-scripts directus@11, then npm rebuild isolated-vm"


class Recipe:
    """One recipe of the page: its connection leads to a server, and its DAG gets records."""

    def __init__(self, heading: str, run_dag: Any, set_connection: Any, command: Any, folder: Path) -> None:
        self._text = section("recipes.md", heading)
        self.connection = json.loads(fenced(self._text, "json")[0])
        self.error = fenced(self._text, "text")[0].splitlines()
        self._run_dag, self._set_connection, self._command, self._folder = run_dag, set_connection, command, folder

    def deliver(self, records: list[dict[str, Any]], host: str, **fields: Any) -> Any:
        """Run the DAG as it is on the page, but for host, secrets and records."""
        from airflow.dag_processing.dagbag import DagBag

        (self._folder / "recipe.py").write_text(fenced(self._text, "python")[0], "utf-8")
        (dag,) = DagBag(self._folder, bundle_path=self._folder, bundle_name="recipes").dags.values()
        task = dag.get_task("deliver")
        task.records = records
        self._set_connection(task.http_conn_id, **{**self.connection, "host": host, **fields})
        return self._run_dag(dag)

    def shows(self, run: Any) -> bool:
        """Whether the page shows the error of the one record that failed."""
        (failure,) = run.failures("deliver")
        assert missing_line(self.error, failure["error"]) is None, failure["error"]
        return True

    def retry(self, run: Any) -> Any:
        """Deliver the failures again, as the page says, and return the report."""
        (line,) = fenced(self._text, "sh")
        words = line.replace("REPORT", run.xcom("deliver")["report_path"]).split()
        assert words[:3] == ["airflow", "osmosdest", "retry"]
        return self._command(*words[2:], "--yes")[1]


@pytest.fixture
def recipe(run_dag, set_connection, command, tmp_path):
    return lambda heading: Recipe(heading, run_dag, set_connection, command, tmp_path)


def orders(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": each, "email": f"user{each}@example.org", "amount": each / 4} for each in numbers]


def ask(url: str, token: str = "", document: Any = None) -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    body = None if document is None else json.dumps(document).encode()
    with build_opener(ProxyHandler({})).open(Request(url, body, headers), timeout=60) as answer:
        return json.loads(answer.read() or b"null")


def test_datasette(recipe, tmp_path):
    shop = sqlite3.connect(tmp_path / "shop.db")
    shop.execute("create table orders (id integer primary key, email text, amount real)")
    shop.close()
    importer = {"id": "importer"}
    rights = {"databases": {"shop": {"permissions": {"insert-row": importer, "update-row": importer}}}}
    (tmp_path / "datasette.json").write_text(json.dumps(rights))
    port = free_port()
    command = [sys.executable, "-m", "datasette"]
    serve = [*command, "serve", "shop.db", "-c", "datasette.json", "--secret", "s", "--port", str(port)]
    make = [*command, "create-token", "importer", "--secret", "s"]
    token = subprocess.run(make, check=True, capture_output=True, text=True).stdout.strip()
    with running(serve, tmp_path, f"http://127.0.0.1:{port}", "/-/versions.json") as url:
        datasette = recipe("Datasette")
        whole = datasette.deliver(orders(*range(250)), f"{url}/shop", password=token)
        report = whole.xcom("deliver")
        assert (report["delivered"], report["requests"]) == (250, 3)
        edited = datasette.deliver([*orders(251, 252), {**orders(7)[0], "amount": 1}], f"{url}/shop", password=token)
        assert edited.xcom("deliver")["delivered"] == 2
        assert datasette.shows(edited)
        assert datasette.retry(edited)["delivered"] == 1
        assert ask(f"{url}/shop/orders/7.json?_shape=array")[0]["amount"] == 1
        assert ask(f"{url}/shop/orders.json?_size=1&_extra=count")["count"] == 252


def test_json_server(recipe, tmp_path):
    if NPM is None:
        pytest.skip("json-server is installed with npm, which is not on this machine")
    with json_server(tmp_path, {"orders": orders(1, 2)}) as url:
        shop = recipe("json-server")
        run = shop.deliver([{**each, "amount": 100} for each in orders(1, 2, 3)], url)
        assert (run.xcom("deliver")["delivered"], run.xcom("deliver")["rejected"]) == (2, 1)
        assert shop.shows(run)
        assert shop.retry(run)["delivered"] == 1
        assert [each["amount"] for each in ask(f"{url}/orders")] == [100, 100, 100]


@pytest.fixture
def directus() -> Iterator[tuple[str, str]]:
    """
    Serve Directus with a collection ``orders``, on PostgreSQL, and yield its URL and the token of its administrator.

    It is 1,000 packages, so it is not installed for this: see :data:`INSTALL_DIRECTUS`.
    """
    if not (folder := os.environ.get(DIRECTUS_DIR)):
        pytest.skip(f"{DIRECTUS_DIR} does not name a folder with Directus: in one, {INSTALL_DIRECTUS}")
    port, token = free_port(), "tok-administrator"
    command = ["node", str(Path(folder).resolve() / "node_modules/directus/cli.js")]
    with postgres() as database:
        environment = {
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "SECRET": "s" * 32,
            "DB_CLIENT": "pg",
            "DB_HOST": "127.0.0.1",
            "DB_PORT": database.rpartition(":")[2],
            "DB_DATABASE": "airflow",
            "DB_USER": "airflow",
            "DB_PASSWORD": "",
            "ADMIN_EMAIL": "admin@example.com",
            "ADMIN_PASSWORD": "recipes",
            "ADMIN_TOKEN": token,
            "TELEMETRY": "false",
        }
        bootstrap = [*command, "bootstrap"]
        subprocess.run(bootstrap, cwd=folder, env=environment, check=True, capture_output=True, timeout=300)
        with running([*command, "start"], Path(folder), f"http://127.0.0.1:{port}", "/server/ping", environment) as url:
            kinds = {"id": "integer", "email": "string", "amount": "float"}
            fields = [
                {"field": name, "type": kind, "schema": {"is_primary_key": name == "id"}, "meta": {}}
                for name, kind in kinds.items()
            ]
            ask(f"{url}/collections", token, {"collection": "orders", "schema": {}, "meta": {}, "fields": fields})
            yield url, token


def test_directus(recipe, directus):
    url, administrator = directus
    create = {"collection": "orders", "action": "create", "fields": ["*"]}
    policies = [{"policy": {"name": "importer", "permissions": [create]}}]
    ask(f"{url}/users", administrator, {"token": "tok-importer", "policies": policies})
    shop = recipe("Directus")

    def deliver(records):
        return shop.deliver(records, f"{url}/items", password="tok-importer")

    assert deliver(orders(*range(1, 251))).xcom("deliver")["delivered"] == 250
    run = deliver([*orders(251), {**orders(7)[0], "amount": 1}, {**orders(252)[0], "email": "e" * 300}])
    report = run.xcom("deliver")
    assert (report["delivered"], report["duplicate"], report["rejected"]) == (1, 1, 1)
    assert shop.shows(run)
    assert len(ask(f"{url}/items/orders?limit=-1", administrator)["data"]) == 251


def slack(talk: Conversation) -> None:
    """Answer as ``chat.postMessage`` does: https://docs.slack.dev/reference/methods/chat.postMessage."""
    message = json.loads(talk.read_body())
    if talk.request.headers.get("authorization") != b"Bearer xoxb-1":
        talk.reply(200, b'{"ok": false, "error": "invalid_auth"}')
    elif message["channel"] != "#shop":
        talk.reply(200, b'{"ok": false, "error": "channel_not_found"}')
    else:
        talk.reply(200, b'{"ok": true, "channel": "C1", "ts": "1.0"}')


def test_slack(recipe):
    messages = [{"channel": channel, "text": "An order has come."} for channel in ("#shop", "#nowhere")]
    calm = []

    def limited(talk: Conversation) -> None:
        if calm:
            slack(talk)
        else:
            calm.append(talk.read_body())
            talk.reply(429, b'{"ok": false, "error": "ratelimited"}', {"Retry-After": "1"})

    with ScriptedServer(limited) as server:
        chat = recipe("Slack")
        run = chat.deliver(messages, server.url, password="xoxb-1")
    report = run.xcom("deliver")
    assert (report["delivered"], report["rejected"], report["retries"]) == (1, 1, 1)
    assert chat.shows(run)
