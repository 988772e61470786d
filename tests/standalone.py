"""
A whole Airflow for tests, seen through its REST API: each component is a process, as in production.

``airflow standalone`` runs the same four, and leaves some of their children behind when it is told to end.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import psutil

from airflow_provider_osmosdest.testing.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["HEARTBEAT_TIMEOUT", "Api", "airflow_environment", "files_of", "running_airflow", "until"]

# Long enough for a machine that is busy with other things.
START_SECONDS = 240

HEARTBEAT_TIMEOUT = 15
"""Seconds after which Airflow takes a task for dead: fewer would have tests fail on a slow machine."""

STOP_SECONDS = 2
RUN_SECONDS = 300

# All logs are on this machine, and the API server reads them there.
COMPONENTS = (
    ("api-server",),
    ("scheduler", "--skip-serve-logs"),
    ("dag-processor",),
    ("triggerer", "--skip-serve-logs"),
)


def until(what: str, seconds: float, probe: Callable[[], Any]) -> Any:
    """Return the first truthy answer of a probe."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"after {seconds} s there is still no {what}"
        time.sleep(0.2)
    return found


@dataclass
class Api:
    """Airflow's REST API, as a person with a token uses it."""

    url: str
    token: str = ""

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        request = Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json",
                **({"Authorization": f"Bearer {self.token}"} if self.token else {}),
            },
        )
        # Whatever proxy this machine is set up with, Airflow is not behind it.
        with build_opener(ProxyHandler({})).open(request, timeout=120) as answer:
            return json.load(answer)

    def get(self, path: str) -> Any:
        return self("GET", path)

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Trigger a DAG and return the path of its run."""
        body = {"logical_date": None, "conf": conf or {}}
        run_id = self("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"]
        return f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"

    def wait(self, run: str, seconds: float = RUN_SECONDS) -> str:
        """Wait for the end of a run and return its state."""
        state = until(f"end of {run}", seconds, lambda: self._ended(run))
        return str(state)

    def run(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Trigger a DAG, wait for its end, and return the path of its run."""
        run = self.trigger(dag_id, conf)
        self.wait(run)
        return run

    def _ended(self, run: str) -> str | None:
        state = self.get(run)["state"]
        return state if state in ("success", "failed") else None

    def log(self, run: str, task_id: str, number: int = 1) -> list[dict[str, Any]]:
        """Return the lines of a task's log."""
        lines = self.get(f"{run}/taskInstances/{task_id}/logs/{number}?full_content=true")["content"]
        return [line if isinstance(line, dict) else {"event": line} for line in lines]

    def xcom(self, run: str, task_id: str) -> Any:
        """Return what a task pushed as its result."""
        value = self.get(f"{run}/taskInstances/{task_id}/xcomEntries/return_value?stringify=false")["value"]
        return json.loads(value) if isinstance(value, str) else value


def airflow_environment(home: Path) -> dict[str, str]:
    """Return what Airflow's processes see: nothing of another Airflow, nothing of pytest's."""
    port = free_port()
    api = f"http://127.0.0.1:{port}"
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTEST_"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": api,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{api}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Workers that are stopped take no other task.
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        # How soon a task learns that somebody marked it, in seconds.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # On a busy machine the API server takes longer than the five seconds for which a worker waits by itself.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # How soon a task whose worker is silent is tried again.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
        # What a test waits for is noticed soon: seconds between two looks.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


@contextmanager
def running_airflow(
    home: Path, environment: dict[str, str], dag_ids: set[str], python: str = sys.executable
) -> Iterator[Api]:
    """
    Run a whole Airflow until the end of the block.

    :param home: the ``AIRFLOW_HOME``, with its DAGs; what the components print is in ``airflow.log``
    :param environment: see :func:`airflow_environment`
    :param dag_ids: DAGs that must be parsed before it counts as ready
    :param python: which runs it
    """
    log = home / "airflow.log"
    api = Api(environment["AIRFLOW__API__BASE_URL"])
    components: list[subprocess.Popen[bytes]] = []

    def ready() -> bool:
        for each in components:
            assert each.poll() is None, f"{each.args!r} has ended with {each.returncode}"
        try:
            health = api.get("/api/v2/monitor/health")
            if any(health[each]["status"] != "healthy" for each in ("scheduler", "triggerer", "dag_processor")):
                return False
            api.token = api.get("/auth/token")["access_token"]
            dags = {dag["dag_id"] for dag in api.get("/api/v2/dags")["dags"]}
        except (HTTPError, URLError, ConnectionError, TimeoutError):
            return False
        return dags >= dag_ids

    with log.open("ab") as output:

        def start(*words: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [python, "-m", "airflow", *words],
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A process group of its own, by which it is ended with all that it has started.
                start_new_session=True,
            )

        try:
            assert start("db", "migrate").wait(START_SECONDS) == 0, "airflow db migrate has failed"
            components.extend(start(*words) for words in COMPONENTS)
            until("Airflow that has parsed the DAGs", START_SECONDS, ready)
            yield api
        except BaseException as error:
            error.add_note(log.read_text(errors="replace")[-20_000:])
            raise
        finally:
            _stop(components)


def _stop(components: list[subprocess.Popen[bytes]]) -> None:
    """Ask each component to end, then kill whatever is left of it: with some of them that is always needed."""
    # Not all of them are in the group: a task has one of its own.
    descendants = [child for each in components for child in _children(each.pid)]
    for each in components:
        each.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for each in components:
        with suppress(subprocess.TimeoutExpired):
            each.wait(max(0.0, deadline - time.monotonic()))
    for each in components:
        # The group keeps the number of the process it began with, also once that one has ended.
        with suppress(ProcessLookupError):
            os.killpg(each.pid, signal.SIGKILL)
        each.wait()
    for child in descendants:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def files_of(home: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield each file below a folder with its content, but for those that a running Airflow has just taken away."""
    for path in home.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):
            yield path, path.read_bytes()
