"""Tasks of a real Airflow that are killed, told to stop, marked as failed, timed out and cleared."""

from __future__ import annotations

import pytest

from tests.integration.kills.airflow_kills import DAG_ID, DAG_TEXT, airflow_plan, connection, killed_task
from tests.integration.kills.counting_server import serving
from tests.standalone import running_standalone, standalone_environment

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def airflow(home, server):
    (home / "dags").mkdir()
    (home / "dags" / "counted.py").write_text(DAG_TEXT)
    environment = {**standalone_environment(home), "AIRFLOW_CONN_COUNTING": connection(server)}
    with running_standalone(home, environment, {DAG_ID}) as api:
        yield api


@pytest.mark.parametrize("seed", [1, 4])
def test_a_task_survives_kill_9(airflow, server, tmp_path, seed):
    figures = killed_task(airflow_plan(seed), airflow, server, f"killed-{seed}", tmp_path / "run")
    assert figures.faults == []
    assert figures.kills >= 1
