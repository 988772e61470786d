"""Storage as users set it up: Airflow's own connections, and the file systems of Airflow's own providers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from upath import UPath

from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
from airflow_provider_osmosdest.testing.store_contract import StoreContract
from airflow_provider_osmosdest.triggers.mailbox import MailboxTrigger
from tests.airflow_providers import PROVIDERS, provider_connections
from tests.integration.kills.killing import SCHEMA, Plan, check, read_out
from tests.mailbox_servers import BUCKET
from tests.object_stores import GCSFS_WARNS

pytestmark = [GCSFS_WARNS, pytest.mark.filterwarnings("ignore:::airflow.providers")]

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("storage_worker.py")
STORES = {"aws_default": "s3", "google_cloud_default": "gs"}
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def connected(providers, s3, gcs):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in provider_connections(s3, gcs).items():
            patch.setenv(name, value)
        yield {"s3": s3, "gs": gcs}


@pytest.fixture(params=STORES)
def storage(request, connected, monkeypatch):
    """Set storage up with a connection; its path, as a process without Airflow opens it."""
    protocol = STORES[request.param]
    url = f"{protocol}://{BUCKET}/storage-{next(_NUMBERS)}"
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", url)
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_CONN_ID", request.param)
    return UPath(url, **connected[protocol])


class TestAwsDefault(StoreContract):
    @pytest.fixture
    def root(self, connected):
        from airflow.sdk import ObjectStoragePath

        return ObjectStoragePath(f"s3://aws_default@{BUCKET}/airflow-{next(_NUMBERS)}")

    def test_it_signs(self, store):
        store.put("data/x", b"bytes")
        assert store.sign("data/x", 60).startswith("http://127.0.0.1:")


class TestGoogleCloudDefault(StoreContract):
    @pytest.fixture
    def root(self, connected):
        from airflow.sdk import ObjectStoragePath

        return ObjectStoragePath(f"gs://google_cloud_default@{BUCKET}/airflow-{next(_NUMBERS)}")


def test_a_mailbox_in_the_storage_of_the_settings(storage, set_connection):
    set_connection("orders", conn_type="osmos_mailbox")
    assert not MailboxHook("orders").mailbox().publish([b'{"id":1}\n', b'{"id":2}\n'], batch_id="one").already
    # Its own process, and so its own connection to the store; in the triggerer, whose loop is running.
    assert MailboxHook("orders").mailbox().read(None, limit=10, max_bytes=10**6).lines == b'{"id":1}\n{"id":2}\n'
    event = asyncio.run(_first(MailboxTrigger("orders", "billing", min_records=2)))
    assert event.payload == {"mailbox": "orders", "consumer": "billing", "records": 2}
    assert [each.name for each in (storage / "mailboxes").iterdir()] == ["orders"]


async def _first(trigger):
    async with contextlib.aclosing(trigger.run()) as events:
        return await anext(events)


@pytest.fixture(scope="module")
def worker(connected, counting_server):
    """Run a worker whose Airflow has the providers installed; what gives it a task."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, PROVIDERS))),
        "AIRFLOW_CONN_COUNTING": json.dumps({"conn_type": "osmos_http", "host": counting_server.url}),
    }
    reading, writing = os.pipe()
    with tempfile.TemporaryFile("w+") as log, os.fdopen(reading) as answers:
        process = subprocess.Popen(
            [sys.executable, WORKER, str(writing)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[writing],
            text=True,
            bufsize=1,
        )
        os.close(writing)

        def line():
            if text := answers.readline():
                return int(text)
            log.seek(0)
            raise AssertionError(log.read())

        def begin(**task):
            process.stdin.write(f"{json.dumps(task)}\n")
            return line(), line

        yield begin
        process.stdin.close()
        process.wait(60)


@pytest.mark.parametrize("write_mode", ["batch", "record"])
def test_a_killed_task_resumes(storage, worker, counting_server, tmp_path, write_mode):
    options = {"write_mode": write_mode, "max_failures": "100%"}
    options |= {"batch_size": 50, "concurrency": 2} if write_mode == "batch" else {"concurrency": 8}
    marked = frozenset({3, 300}), frozenset({7, 401})
    plan = Plan((write_mode, "at_least_once", True), 600, *marked, 0.02, options, ())
    plan.write_records(tmp_path / "in.ndjson")
    book = storage.name
    counting_server.open(book, plan.rules)
    settings = {name: value for name, value in os.environ.items() if "OSMOSDEST" in name}
    task = {
        # As on several machines, where a ledger on one machine's disk is refused.
        "environment": {**settings, "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"},
        "instance": {"dag_id": "storage", "run_id": "one", "task_id": "deliver", "map_index": -1, "max_tries": 2},
        "parameters": {
            "http_conn_id": "counting",
            "records": str(tmp_path / "in.ndjson"),
            "endpoint": book,
            "destination_schema": SCHEMA,
            **options,
        },
    }
    killed = []
    for enough in (plan.count // 4, plan.count // 2):
        pid, ended = worker(**task)
        deadline = time.monotonic() + 60
        while sum(len(request["ids"]) for request in counting_server.accepted(book)) < enough:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        assert ended() == -signal.SIGKILL
        killed.append(time.monotonic())
    _, ended = worker(**task)
    assert ended() == 0
    folder = storage.joinpath("deliveries", "storage", "one", "deliver", "-1")
    assert json.loads((folder / "ledger.json").read_bytes())["attempts"] == 3
    figures = check(plan, *read_out(folder), counting_server.accepted(book), killed)
    assert (figures.faults, figures.twice, figures.lost) == ([], 0, 0)
