"""Servers from outside this project, as processes on free ports, each with records that only it made up."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_osmosdest.testing.servers import free_port
from tests.standalone import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["NPM", "datasette", "items", "json_server", "running"]

NPM = shutil.which("npm")


def items(count: int) -> list[dict[str, Any]]:
    """Return records."""
    return [{"id": number, "name": f"item {number}", "price": number / 4} for number in range(1, count + 1)]


@contextmanager
def datasette(folder: Path, count: int) -> Iterator[str]:
    """Serve ``shop.db`` with a table ``items`` by Datasette."""
    connection = sqlite3.connect(folder / "shop.db")
    connection.execute("create table items (id integer primary key, name text, price real)")
    connection.executemany("insert into items values (:id, :name, :price)", items(count))
    connection.commit()
    connection.close()
    port = free_port()
    command = [sys.executable, "-m", "datasette", "serve", "shop.db", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, folder, f"http://127.0.0.1:{port}", "/-/versions.json") as url:
        yield url


@contextmanager
def json_server(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Serve tables of records by json-server 0.17, installed into a folder."""
    assert NPM is not None
    install = [NPM, "install", "--no-audit", "--no-fund", "--loglevel=error", "json-server@0.17"]
    done = subprocess.run(install, cwd=folder, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm cannot provide json-server: {done.stderr.strip()[-300:]}")
    (folder / "db.json").write_text(json.dumps(tables))
    port = free_port()
    command = ["node_modules/.bin/json-server", "--host", "127.0.0.1", "--port", str(port), "--quiet", "db.json"]
    with running(command, folder, f"http://127.0.0.1:{port}", f"/{next(iter(tables))}/1") as url:
        yield url


@contextmanager
def running(
    command: Sequence[str], folder: Path, url: str, path: str, env: dict[str, str] | None = None
) -> Iterator[str]:
    """Run a server until the end of the block, and yield its URL once a path of it can be fetched."""
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ready() -> bool:
        assert process.poll() is None, f"{command[0]} has ended"
        try:
            with opener.open(url + path, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    try:
        until("server", 240, ready)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)
