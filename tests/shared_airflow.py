"""
The Airflow that a process of tests starts once, shared by all of its tests that need a whole one.

Its DAGs and connections are those of all these tests, whichever of them are run: an Airflow takes half a minute to
start, and what it does not use costs it nothing. The tests of one Airflow run one after the other, in two lanes with an
Airflow each (tests/lanes.py): on SQLite its scheduler may end with an error where several tests write at a time.
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_osmosdest.core.mailbox.tokens import Access, new_token
from airflow_provider_osmosdest.testing.servers import ScriptedServer, self_signed
from tests.airflow_fixtures import EXAMPLES, TOKEN, serving_receiver
from tests.integration.kills import airflow_kills, secret_deliveries
from tests.integration.kills.counting_server import serving
from tests.standalone import airflow_environment, running_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.kills.counting_server import CountingServer
    from tests.standalone import Api

EXAMPLE_DAGS = ("deliver_flights", "inbox_to_pipeline", "mailbox_publish")
TEST_DAGS = ("pulling", "wrong_token")

WRONG_TOKEN = secrets.token_hex(12)
READ, WRITE = new_token("read"), new_token("write")
SIGNING_SECRET = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


@pytest.fixture(scope="session")
def flights_receiver() -> Iterator[Any]:
    """Serve the examples' receiver."""
    with serving_receiver() as server:
        yield server


@pytest.fixture(scope="session")
def counting_server() -> Iterator[CountingServer]:
    """Run the server that counts; who uses it opens books of their own."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def echoing() -> Iterator[ScriptedServer]:
    """Serve what says back whatever it is sent."""
    with ScriptedServer(secret_deliveries.echo) as server:
        yield server


@pytest.fixture(scope="session")
def secret_connections(echoing: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Connections with secrets of every kind, as environment variables."""
    context, certificate = self_signed(tmp_path_factory.mktemp("certificate"), "127.0.0.1")
    with ScriptedServer(secret_deliveries.echo, tls=context) as tls:
        yield secret_deliveries.connections(echoing.url, tls.url, certificate)


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``AIRFLOW_HOME`` of the shared Airflow, with its DAGs."""
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    dags.mkdir()
    for name in EXAMPLE_DAGS:
        shutil.copy(EXAMPLES / f"{name}.py", dags)
    for name in TEST_DAGS:
        shutil.copy(Path(__file__).parent / "dags" / f"{name}.py", dags)
    (dags / "counted.py").write_text(airflow_kills.DAG_TEXT)
    (dags / "secret.py").write_text(secret_deliveries.DAG_TEXT)
    return home


@pytest.fixture(scope="session")
def shared_environment(
    airflow_home: Path, flights_receiver: Any, counting_server: CountingServer, secret_connections: dict[str, str]
) -> dict[str, str]:
    """What the processes of the shared Airflow see, with all connections."""
    receiver = f"http://127.0.0.1:{flights_receiver.server_port}"
    return {
        **airflow_environment(airflow_home),
        "AIRFLOW_CONN_FLIGHTS_API": _with_token(receiver, TOKEN),
        "AIRFLOW_CONN_WRONG_TOKEN": _with_token(receiver, WRONG_TOKEN),
        "AIRFLOW_CONN_ORDERS_INBOX": _mailbox(airflow_home / "orders_inbox"),
        "AIRFLOW_CONN_FLIGHTS_MAILBOX": _mailbox(airflow_home / "flights_mailbox"),
        **airflow_kills.connections(counting_server),
        **secret_connections,
    }


@pytest.fixture(scope="session")
def airflow(airflow_home: Path, shared_environment: dict[str, str]) -> Iterator[Api]:
    """Run the Airflow that this process's tests share."""
    dag_ids = {
        *EXAMPLE_DAGS,
        *TEST_DAGS,
        airflow_kills.DAG_ID,
        airflow_kills.FOLDER_DAG_ID,
        airflow_kills.TIMED_DAG_ID,
        secret_deliveries.DAG_ID,
    }
    with running_airflow(airflow_home, shared_environment, dag_ids) as api:
        yield api


def _with_token(host: str, token: str) -> str:
    extra = {"headers": {"Authorization": f"Bearer {token}"}}
    return json.dumps({"conn_type": "osmos_http", "host": host, "extra": extra})


def _mailbox(path: Path) -> str:
    now = datetime.now(UTC)
    access = [
        Access.of(READ, name="reader", direction="read", created_at=now).to_dict(),
        Access.of(WRITE, name="writer", direction="write", created_at=now).to_dict(),
    ]
    extra = {"path": str(path), "access": access}
    return json.dumps({"conn_type": "osmos_mailbox", "password": SIGNING_SECRET, "extra": extra})
