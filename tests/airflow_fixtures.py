"""Fixtures for tests that run DAGs: Airflow's database, the examples' receiver, and a run that can be looked at."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from airflow.sdk import DAG

EXAMPLES = Path(__file__).parent.parent / "example_dags"
TOKEN = "tok-9f31c2e7a4"

# The marks of tests that run DAGs.
WARNINGS_OF_AIRFLOW = [
    # What Airflow warns itself of is none of our business; what it warns us of is.
    pytest.mark.filterwarnings("default"),
    # Whenever it looks for DAG files, it uses pathspec's pattern by a name that pathspec 1.0 calls deprecated.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),
    pytest.mark.filterwarnings("error:::airflow_provider_osmosdest"),
]


def load_example(name: str) -> ModuleType:
    """Import a file of ``example_dags`` anew."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Run:
    """A DAG run that has ended."""

    dag_id: str
    run_id: str
    states: dict[tuple[str, int], str]
    tries: dict[str, int]

    def state(self, task_id: str, map_index: int = -1) -> str:
        """Return how a task instance ended."""
        return self.states[task_id, map_index]

    def xcom(self, task_id: str, map_index: int = -1) -> Any:
        """Return what a task instance returned or pushed as its result."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            row = session.scalars(
                XComModel.get_many(
                    key="return_value",
                    run_id=self.run_id,
                    dag_ids=self.dag_id,
                    task_ids=task_id,
                    map_indexes=map_index,
                )
            ).first()
        return None if row is None else XComModel.deserialize_value(row)

    def failures(self, task_id: str, map_index: int = -1) -> list[dict[str, Any]]:
        """Return the lines of a delivery's failures file."""
        path = self.xcom(task_id, map_index)["failures_path"]
        return [] if path is None else [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Make the tables of this test run's own SQLite database."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()


@pytest.fixture
def run_dag(airflow_db: None, osmos_home: Path) -> Callable[[DAG], Run]:
    """Run a DAG as ``airflow dags test`` does: each task in Airflow's own task runner, with its XComs and templates."""

    def run(dag: DAG, conf: Mapping[str, Any] | None = None) -> Run:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

        bag = DagBag(osmos_home, bundle_path=osmos_home, bundle_name="dags-folder", collect_dags=False)
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        ended = dag.test(run_conf=dict(conf or {}))
        states = {(ti.task_id, ti.map_index): str(ti.state) for ti in ended.get_task_instances()}
        tries = {ti.task_id: ti.try_number for ti in ended.get_task_instances()}
        return Run(ended.dag_id, ended.run_id, states, tries)

    return run


@pytest.fixture
def osmos_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep this test's deliveries in a folder of its own."""
    home = tmp_path / "storage"
    home.mkdir()
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", str(home))
    return home


@pytest.fixture
def set_connection(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set up a connection as its JSON, by default one of type ``osmos_http``."""

    def set_up(conn_id: str, **fields: Any) -> None:
        value = json.dumps({"conn_type": "osmos_http", **fields})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", value)

    return set_up


@contextmanager
def serving_receiver() -> Iterator[Any]:
    """Serve the examples' receiver on a free port, with :data:`TOKEN`."""
    server = load_example("receiver").Receiver(("127.0.0.1", 0), TOKEN)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver(set_connection: Callable[..., None]) -> Iterator[Any]:
    """Serve the examples' receiver, with the connection ``flights_api`` that reaches it."""
    with serving_receiver() as server:
        set_connection(
            "flights_api",
            host=f"http://127.0.0.1:{server.server_port}",
            extra={"headers": {"Authorization": f"Bearer {TOKEN}"}},
        )
        yield server


@pytest.fixture
def command(
    airflow_db: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Any, Any, str]]:
    """Run a command as ``airflow osmosdest`` does; return its exit code, its document and its talk."""
    from airflow_provider_osmosdest.cli.definition import get_cli_commands

    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")

    def run(*words: str) -> tuple[Any, Any, str]:
        capfd.readouterr()
        node: Any
        node, rest = get_cli_commands()[0], list(words)
        while hasattr(node, "subcommands"):
            name = rest.pop(0)
            (node,) = (each for each in node.subcommands if each.name == name)
        parser = argparse.ArgumentParser()
        for arg in node.args:
            arg.add_to_parser(parser)
        code: Any = 0
        try:
            node.func(parser.parse_args(rest))
        except SystemExit as stop:
            code = stop.code
        out, err = capfd.readouterr()
        # Airflow's own remarks, which get past the descriptor to where pytest catches what is printed.
        out = re.sub(r"^\d{4}-.* \[warning .*\n", "", out, flags=re.MULTILINE)
        return code, json.loads(out) if out else None, err

    return run
