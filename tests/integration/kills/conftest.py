"""A server that counts, and an Airflow that delivers to it, until the end of the module that asked for them."""

from __future__ import annotations

import pytest

from airflow_provider_osmosdest.testing.servers import ScriptedServer, self_signed
from tests.integration.kills import secret_deliveries
from tests.integration.kills.airflow_kills import counting_airflow
from tests.integration.kills.counting_server import serving


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def echoing():
    with ScriptedServer(secret_deliveries.echo) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(home, server, echoing, tmp_path_factory):
    (home / "dags").mkdir()
    (home / "dags" / "secret.py").write_text(secret_deliveries.DAG_TEXT)
    context, certificate = self_signed(tmp_path_factory.mktemp("certificate"), "127.0.0.1")
    with ScriptedServer(secret_deliveries.echo, tls=context) as tls:
        connections = secret_deliveries.connections(echoing.url, tls.url, certificate)
        with counting_airflow(home, server, connections) as api:
            yield api
