"""``airflow standalone`` for tests: a whole Airflow in processes of its own, seen through its REST API."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from airflow_provider_osmosdest.testing.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Api", "running_for", "running_standalone", "standalone_environment", "until"]

START_SECONDS = 120
RUN_SECONDS = 90


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
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)

    def get(self, path: str) -> Any:
        return self("GET", path)

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Trigger a DAG and return the path of its run."""
        body = {"logical_date": None, "conf": conf or {}}
        run_id = self("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"]
        return f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"

    def wait(self, run: str) -> str:
        """Wait for the end of a run and return its state."""
        state = until(f"end of {run}", RUN_SECONDS, lambda: self._ended(run))
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


def standalone_environment(home: Path) -> dict[str, str]:
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
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


@contextmanager
def running_standalone(home: Path, environment: dict[str, str], dag_ids: set[str]) -> Iterator[Api]:
    """
    Run ``airflow standalone`` until the end of the block.

    :param home: the ``AIRFLOW_HOME``, with its DAGs
    :param environment: see :func:`standalone_environment`
    :param dag_ids: DAGs that must be parsed before it counts as ready
    """
    log = home / "standalone.log"
    api = Api(environment["AIRFLOW__API__BASE_URL"])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ready() -> bool:
        assert process.poll() is None, "airflow standalone has ended"
        try:
            if api.get("/api/v2/monitor/health")["scheduler"]["status"] != "healthy":
                return False
            api.token = api.get("/auth/token")["access_token"]
            dags = {dag["dag_id"] for dag in api.get("/api/v2/dags")["dags"]}
        except (HTTPError, URLError, ConnectionError, TimeoutError):
            return False
        return dags >= dag_ids

    try:
        until("Airflow that has parsed the DAGs", START_SECONDS, ready)
        yield api
    except BaseException as error:
        error.add_note(log.read_text(errors="replace")[-20_000:])
        raise
    finally:
        _stop(process, home)


def _stop(process: subprocess.Popen[bytes], home: Path) -> None:
    """Ask Airflow to end, then kill whatever is left of it: with some of its processes that is always needed."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in running_for(home):
        os.kill(child, signal.SIGKILL)


def running_for(home: Path) -> list[int]:
    """Return the processes whose environment names this Airflow home; only Linux lets us look."""
    mark = f"AIRFLOW_HOME={home}".encode() + b"\0"
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
