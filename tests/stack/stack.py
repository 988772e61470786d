"""
A distributed Airflow: what ``docker-compose.yaml`` describes, as processes on this machine.

PostgreSQL and Redis are Debian's, S3 is moto's, and the environment of Airflow's processes is the compose file's, with
addresses of this machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, Request, build_opener

from airflow_provider_osmosdest.testing.servers import free_port
from tests.mailbox_servers import s3_options, s3_server
from tests.stack.compose import environment_of, nginx_config
from tests.stack.machines import Machine
from tests.stack.processes import kill_tree, spawn
from tests.stack.services import missing_packages, nginx, postgres, redis
from tests.standalone import airflow_environment, running_airflow, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.standalone import Api

__all__ = ["BUCKET", "HEARTBEAT_TIMEOUT", "SLOTS", "Stack", "refusal", "running_stack", "stack_python"]

# Whatever proxy this machine is set up with, the stack is not behind it.
OPENER = build_opener(ProxyHandler({}))
CHECKOUT = Path(__file__).resolve().parents[2]
BUCKET = "osmosdest"
MACHINES = ("worker-1", "worker-2")
START_SECONDS = 120
UPLOAD_SECONDS = 60

HEARTBEAT_TIMEOUT = 30
"""Seconds after which a worker that says nothing is taken for dead."""

SLOTS = 6
"""How many tasks a worker runs at once."""

# As the compose file says: what tasks leave behind goes to S3, and rates are shared. Or with no setting of ours at all.
STORAGES: dict[str, dict[str, str]] = {
    "s3": {},
    "default": {
        "AIRFLOW__OSMOSDEST__REDIS_URL": "",
        "AIRFLOW__OSMOSDEST__STORAGE_CONN_ID": "",
        "AIRFLOW__OSMOSDEST__STORAGE_PATH": "",
    },
}


def stack_python() -> Path:
    """Return the Python of the environment that ``make stack-env`` makes, or of the one that is named."""
    return Path(os.environ.get("OSMOSDEST_STACK_PYTHON") or CHECKOUT / ".venv-stack" / "bin" / "python")


def refusal() -> str | None:
    """Return why the stack cannot run here, and what to do about it; ``None`` if it can."""
    if sys.platform != "linux":
        return f"the stack needs Linux, and this is {sys.platform}; use docker compose up --build"
    if packages := missing_packages():
        words = " ".join(packages)
        return (
            f"these Debian packages are missing: {words}\n       sudo apt-get install --no-install-recommends {words}"
        )
    if not stack_python().exists():
        return f"{stack_python()} is not there; make it with: make stack-env"
    return None


@dataclass(frozen=True)
class Stack:
    """
    A running stack.

    :param api: Airflow's REST API
    :param machines: the workers' machines by name
    :param s3: the address of the object store
    :param mailboxes: where ``airflow osmosdest serve`` answers, behind nginx if there is one
    :param environment: of Airflow's processes, on S3
    """

    api: Api
    machines: Mapping[str, Machine]
    s3: str
    mailboxes: str
    environment: Mapping[str, str]

    def worker(self, number: int) -> Machine:
        """Return the machine of worker 1 or 2."""
        return self.machines[f"worker-{number}"]

    def workers(self, *numbers: int, storage: str = "s3") -> None:
        """
        Have these workers run, and no others.

        One that runs with another storage is killed and started anew. Returns when those that were started take tasks.

        :param storage: ``s3``; or ``default``: the folder ``osmosdest`` in each worker's own ``AIRFLOW_HOME``, and
            rates that are not shared
        """
        wanted = [self.worker(number) for number in numbers]
        for machine in self.machines.values():
            if machine not in wanted or machine.storage != storage:
                machine.kill()
        started = [machine for machine in wanted if not machine.running]
        for machine in started:
            machine.start(str(stack_python()), {**self.environment, **STORAGES[storage]}, storage)
        for machine in started:
            until(f"{machine.name} that takes tasks", START_SECONDS, machine.takes_tasks)

    def worker_of(self, run: str, task_id: str, number: int = 1, map_index: int = -1) -> int | None:
        """Return which worker, 1 or 2, has run an attempt of a task; ``None`` if none has."""
        log = _log_of(run, task_id, number, map_index)
        name = next((name for name, machine in self.machines.items() if machine.has_log(log)), None)
        return None if name is None else int(name.removeprefix("worker-"))

    def said(self, run: str, task_id: str, number: int = 1) -> str:
        """Return the log of an attempt that came to its end: only then does its worker upload it."""

        def uploaded() -> str | None:
            text = "\n".join(str(line) for line in self.api.log(run, task_id, number))
            return None if "Could not read served logs" in text else text

        return str(until("uploaded log", UPLOAD_SECONDS, uploaded))

    @cached_property
    def files(self) -> Any:
        """The object store, as s3fs sees it; nothing that it says is remembered."""
        from s3fs import S3FileSystem

        return S3FileSystem(**s3_options(self.s3), skip_instance_cache=True, use_listings_cache=False)

    def put(self, key: str, content: bytes) -> str:
        """Put an object into the bucket; return the URL by which a task reads it."""
        self.files.pipe_file(f"{BUCKET}/{key}", content)
        return f"s3://aws_default@{BUCKET}/{key}"

    def read_delivery(self, run: str, task_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """
        Return the report of a delivery, and its failure records.

        On the workers' own disks those are of both; what worker 2 says of a record holds, as it goes on.
        """
        report = self.api.xcom(run, task_id)
        path = report["report_path"]
        if not path.startswith("s3://"):
            records = self._failures_on_disks(path.partition("/osmosdest/")[2])
            return report, list({each["index"]: each for each in records}.values())
        folder = re.sub(r"^s3://([^/@]+@)?", "", path).rpartition("/")[0]
        lines = (
            line
            for path in self.files.glob(f"{folder}/failures-*.ndjson")
            for line in self.files.cat_file(path).splitlines()
        )
        return report, [json.loads(line) for line in lines]

    def _failures_on_disks(self, report: str) -> Iterator[dict[str, Any]]:
        for machine in self.machines.values():
            for path in (machine.home / "osmosdest" / report).parent.glob("failures-*.ndjson"):
                for line in path.read_bytes().splitlines():
                    # Its worker may have been killed in the middle of it.
                    with suppress(ValueError):
                        yield json.loads(line)


@contextmanager
def running_stack(
    folder: Path,
    dags: Path,
    dag_ids: set[str],
    *,
    receiver: str,
    variables: Mapping[str, str],
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Stack]:
    """
    Run the stack until the end of the block, with no worker yet.

    :param folder: an empty one, for all but PostgreSQL's
    :param dags: the folder of DAGs
    :param dag_ids: those that must be parsed before it counts as ready
    :param receiver: ``host:port`` of what takes the place of the compose file's receiver
    :param variables: of the environment, besides the compose file's
    :param say: told what is done, in one line each
    """
    home = folder / "airflow"
    home.mkdir()
    mailboxes = free_port()
    with ExitStack() as stack:
        say("Starting PostgreSQL and Redis (Debian's), and moto for S3's protocol")
        addresses = {
            "postgres:5432": stack.enter_context(postgres()),
            "redis:6379": stack.enter_context(redis(folder)),
            "receiver:8900": receiver,
        }
        s3 = stack.enter_context(s3_server())
        _create_bucket(s3)
        around = airflow_environment(home)
        api = f"127.0.0.1:{around['AIRFLOW__API__PORT']}"
        addresses |= {"s3:9000": s3.removeprefix("http://"), "api-server:8080": api, "localhost:8080": api}
        environment = {
            **around,
            **environment_of("worker-1", addresses),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
            "AIRFLOW__CORE__PARALLELISM": "16",
            # Its port is one for the whole machine.
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
            "PATH": f"{stack_python().parent}{os.pathsep}{os.environ['PATH']}",
            **variables,
        }
        say("Starting Airflow: database, API server, scheduler, DAG processor, triggerer (half a minute)")
        running = running_airflow(home, environment, dag_ids, python=str(stack_python()))
        ask = stack.enter_context(running)
        with_proxy = shutil.which("nginx") is not None and os.geteuid() == 0
        say(f"Serving the mailboxes by airflow osmosdest serve{', behind nginx' if with_proxy else ''}")
        served = free_port() if with_proxy else mailboxes
        stack.enter_context(_serving(served, environment, home))
        if with_proxy:
            names = {"listen 8091": f"listen 127.0.0.1:{mailboxes}", "serve:8090": f"127.0.0.1:{served}"}
            stack.enter_context(nginx(folder, mailboxes, nginx_config(names)))
        shared = _outermost([folder, dags, CHECKOUT, stack_python().parent.parent])
        machines = {name: Machine(name, folder / "machines" / name, home, shared) for name in MACHINES}
        for machine in machines.values():
            stack.callback(machine.kill)
        yield Stack(ask, machines, s3, f"http://127.0.0.1:{mailboxes}", environment)


@contextmanager
def _serving(port: int, environment: dict[str, str], home: Path) -> Iterator[None]:
    command = [str(stack_python()), "-m", "airflow", "osmosdest", "serve", "--port", str(port)]
    process = spawn(command, log=home / "serve.log", environment=environment, cwd=home)

    def answers() -> bool:
        assert process.poll() is None, (home / "serve.log").read_text()[-5000:]
        with suppress(OSError), OPENER.open(f"http://127.0.0.1:{port}/osmos/v1/health", timeout=30):
            return True
        return False

    try:
        until("server of mailboxes", START_SECONDS, answers)
        yield
    finally:
        kill_tree(process)


def _log_of(run: str, task_id: str, number: int, map_index: int = -1) -> str:
    _, _, _, _, dag_id, _, run_id = run.split("/")
    mapped = "" if map_index < 0 else f"/map_index={map_index}"
    return f"dag_id={dag_id}/run_id={run_id}/task_id={task_id}{mapped}/attempt={number}.log"


def _create_bucket(s3: str) -> None:
    OPENER.open(Request(f"{s3}/{BUCKET}", method="PUT"), timeout=30).close()


def _outermost(folders: list[Path]) -> list[Path]:
    """Return the folders that lie in none of the others."""
    return [each for each in folders if not any(other in each.parents for other in folders)]
