"""The services that a distributed Airflow needs, as processes with folders and ports of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.testing.servers import free_port
from tests.stack.processes import spawn
from tests.standalone import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["missing_packages", "nginx", "postgres", "redis"]

START_SECONDS = 60

# Debian keeps them off the PATH, for there may be several versions.
POSTGRES_FOLDERS = "/usr/lib/postgresql"


def missing_packages() -> list[str]:
    """Return the Debian packages that the stack needs and this machine lacks."""
    found = {"postgresql": _postgres_program("initdb"), "redis-server": shutil.which("redis-server")}
    return [package for package, program in found.items() if program is None]


@contextmanager
def postgres() -> Iterator[str]:
    """Run PostgreSQL with an empty database ``airflow`` of a user of that name; yield its address."""
    # It refuses to run as root, and its user must be able to reach the folder.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="osmosdest-postgres-", ignore_cleanup_errors=True) as folder:
        if user:
            shutil.chown(folder, user, user)
        data, port = f"{folder}/data", free_port()
        # Nothing of it has to outlast the machine.
        options = {
            "fsync": "off",
            "full_page_writes": "off",
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "synchronous_commit": "off",
            "unix_socket_directories": "",
        }

        def run(program: str, *words: str) -> None:
            command = [str(_postgres_program(program)), *words]
            group = {"user": user, "group": user, "extra_groups": []} if user else {}
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **group)
            assert done.returncode == 0, f"{program} has failed: {done.stderr}"

        run("initdb", "--pgdata", data, "--username=airflow", "--auth=trust", "--encoding=UTF8", "--no-sync")
        server = [str(_postgres_program("postgres")), "-D", data]
        server += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        # At once, without waiting for those who are connected.
        with _running(server, port, Path(folder), signal.SIGQUIT, user=user):
            until("PostgreSQL that answers", START_SECONDS, lambda: _succeeds("pg_isready", port))
            run("createdb", "--host=127.0.0.1", f"--port={port}", "--username=airflow", "airflow")
            yield f"127.0.0.1:{port}"


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run Redis, which keeps nothing; yield its address."""
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with _running(command, port, folder, signal.SIGTERM):
        yield f"127.0.0.1:{port}"


@contextmanager
def nginx(folder: Path, port: int, config: str) -> Iterator[None]:
    """Run nginx on a port that its configuration names."""
    (folder / "nginx.conf").write_text(config)
    globally = f"daemon off; pid {folder}/nginx.pid; error_log stderr;"
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", globally]
    with _running(command, port, folder, signal.SIGTERM):
        yield


@contextmanager
def _running(
    command: Sequence[str], port: int, folder: Path, end: signal.Signals, user: str | None = None
) -> Iterator[None]:
    log = folder / f"{Path(command[0]).name}.log"
    # What this machine is set up with is for other servers than these.
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    process = spawn(command, log=log, environment=environment, cwd=folder, user=user)

    def listens() -> bool:
        assert process.poll() is None, f"{command[0]} has ended: {log.read_text()[-3000:]}"
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(f"{command[0]} that listens", START_SECONDS, listens)
        yield
    finally:
        process.send_signal(end)
        process.wait(START_SECONDS)


def _succeeds(program: str, port: int) -> bool:
    command = [str(_postgres_program(program)), "--host=127.0.0.1", f"--port={port}", "--quiet"]
    return subprocess.run(command, check=False).returncode == 0


def _postgres_program(name: str) -> str | None:
    """Return the path of a program of the newest PostgreSQL there is."""
    versions = sorted(Path(POSTGRES_FOLDERS).glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    return str(versions[-1]) if versions else shutil.which(name)
