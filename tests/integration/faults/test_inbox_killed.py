"""Our own inbox as the API: ``airflow osmosdest serve``, killed while a delivery posts to it and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import psutil
import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.core.mailbox.inbox.inbox import Inbox
from airflow_provider_osmosdest.core.mailbox.inbox.receipts import TAKEN_OVER_AFTER
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.mailbox.tokens import Access, new_token
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.testing.servers import free_port
from tests.integration.faults.book import agree
from tests.integration.faults.conftest import SCHEMA
from tests.standalone import until

pytestmark = pytest.mark.slow

COUNT = 2_500
OPENER = build_opener(ProxyHandler({}))
TOKEN = new_token("write")
ACCESS = Access.of(TOKEN, name="us", direction="write", created_at=datetime(2026, 1, 1, tzinfo=UTC))


class Serving:
    """``airflow osmosdest serve`` at a port that stays the same, as often as it is killed."""

    def __init__(self, folder, workers=1):
        self._workers = workers
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/osmos/v1/mailboxes/box/records"
        self.root = folder / "box"
        self.root.mkdir()
        self._log = folder / "serve.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTEST_"))},
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/at/all.db",
            "AIRFLOW_CONN_BOX": json.dumps(
                {"conn_type": "osmos_mailbox", "extra": {"path": f"file://{self.root}", "access": [ACCESS.to_dict()]}}
            ),
        }
        self._process = None

    def start(self):
        options = ["--port", str(self.port), "--workers", str(self._workers)]
        command = [sys.executable, "-m", "airflow", "osmosdest", "serve", *options]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=output, stderr=output, start_new_session=True
            )

    def kill(self):
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)

    def kill_and_start(self):
        """Kill the server and start it again, or one of its workers, which it replaces."""
        if self._workers == 1:
            self.kill()
            self.start()
            return
        deadline = time.monotonic() + 120
        while not (workers := self._worker_processes()):
            assert time.monotonic() < deadline, "no worker is there to be killed"
            time.sleep(0.1)
        workers[0].kill()

    def _worker_processes(self):
        workers = []
        for each in psutil.Process(self._process.pid).children():
            # One that was killed is a zombie until its supervisor has looked.
            with suppress(psutil.NoSuchProcess):
                if each.status() != psutil.STATUS_ZOMBIE and any("spawn_main" in part for part in each.cmdline()):
                    workers.append(each)
        return workers

    @property
    def in_progress(self):
        """How many requests were answered with 409."""
        return self._log.read_text().count('" 409')

    @property
    def mailbox(self):
        return Mailbox(Store(self.root), MailboxSettings("box", access=(ACCESS,)))

    def post(self, body, key):
        headers = {
            "Authorization": f"Bearer {TOKEN}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        try:
            with OPENER.open(Request(self.url, body, headers), timeout=30) as answer:
                return answer.status, answer.headers, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, error.headers, json.load(error)

    def answers(self):
        assert self._process.poll() is None, self._log.read_text()[-5000:]
        try:
            return self.post(b"[]", "probe")[0] == 202
        except OSError:
            return False

    def committed(self):
        """Return how often each record is in the mailbox, by its id."""
        page = self.mailbox.read(None, limit=10**6, max_bytes=10**9)
        return Counter(json.loads(line)["id"] for line in page.lines.splitlines())


@pytest.fixture(params=[1, 2], ids=["alone", "two workers"])
def serving(request, tmp_path):
    served = Serving(tmp_path, request.param)
    served.start()
    try:
        until("server", 240, served.answers)
        yield served
    finally:
        served.kill()


@contextmanager
def killed_at(serving, receipts):
    """Kill the server, or a worker of it, and have it started again whenever so many receipts are there."""
    over = threading.Event()
    kills = []

    def watch():
        for number in receipts:
            while sum(1 for _ in (serving.root / "receipts").iterdir()) < number:
                if over.wait(0.002):
                    return
            serving.kill_and_start()
            kills.append(number)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield kills
    finally:
        over.set()
        watcher.join()


def deliver_to(serving, folder, **options):
    options = {"timeout": 20, "backoff": 0.1, "max_backoff": 2, "max_retries": 100, "max_failures": COUNT, **options}
    options = DeliveryOptions(**options)
    target = Target(serving.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=options.timeout)
    source = open_source([{"id": index, "text": "t"} for index in range(COUNT)])
    result = deliver(Delivery(target, options, SCHEMA, folder), source, CurlTransport, lambda line: None)
    lines = [json.loads(line) for path in folder.glob("failures-*.ndjson") for line in path.read_bytes().splitlines()]
    agree(result.report, lines, SimpleNamespace(commits=serving.committed(), had=()), COUNT)
    print(f"{serving.in_progress} requests were answered with 409")  # noqa: T201 - beside the report
    return result


@pytest.mark.parametrize(
    ("mode", "receipts"),
    [
        ({"write_mode": "record", "concurrency": 16}, (350, 850, 1_350, 1_850)),
        ({"batch_size": 25}, (20, 40, 60, 80)),
    ],
    ids=["record", "batch"],
)
def test_every_record_is_there_once_and_the_report_says_so(serving, tmp_path, mode, receipts):
    with killed_at(serving, receipts) as kills:
        result = deliver_to(serving, tmp_path / "delivery", **mode)
    assert len(kills) == 4
    assert result.error is None
    assert result.report.delivered == COUNT


def test_at_most_once_over_several_attempts(serving, tmp_path):
    options = {"write_mode": "record", "concurrency": 16, "guarantee": "at_most_once"}
    with killed_at(serving, (350, 850)) as kills:
        for _ in range(10):
            # What is in doubt is never sent again, and many of those in a row end an attempt.
            report = deliver_to(serving, tmp_path / "delivery", max_failures=0, **options).report
            if not report.unsent:
                break
    assert len(kills) == 2
    assert report.delivered + report.unknown == COUNT
    assert report.unknown


class _Died(BaseException):
    """The server's process has died here."""


@pytest.mark.parametrize("serving", [1], indirect=True)
@pytest.mark.parametrize("died", ["before", "after"])
def test_a_sender_that_waits_as_it_is_told_has_its_answer(serving, monkeypatch, died):
    """A server died over the key, before it published or after, and never closed the receipt."""
    publish = Mailbox.publish

    def dying(self, *args, **options):
        if died == "after":
            publish(self, *args, **options)
        raise _Died

    body = b'[{"id":1},{"id":2}]'
    with monkeypatch.context() as patched:
        patched.setattr(Mailbox, "publish", dying)
        begun = time.monotonic()
        with pytest.raises(_Died):
            Inbox(serving.mailbox).take("application/json", body, sender="token:us", key="k")
    status, headers, said = serving.post(b'[{"id":3}]', "k")
    assert (status, said["type"]) == (422, "urn:osmosdest:problem:idempotency-key-reused")
    assert said["title"] == "Idempotency-Key is already used"
    asked = 0
    while (came := serving.post(body, "k"))[0] == 409:
        _, headers, said = came
        assert said["type"] == "urn:osmosdest:problem:idempotency-key-in-progress"
        assert said["title"] == "A request is outstanding for this Idempotency-Key"
        assert 1 <= int(headers["Retry-After"]) <= 5
        time.sleep(int(headers["Retry-After"]))
        asked += 1
    status, _, said = came
    assert (status, said["accepted"]) == (202, 2)
    assert asked <= 3
    assert time.monotonic() - begun >= TAKEN_OVER_AFTER - 1
    assert serving.post(body, "k")[2] == said
    assert serving.committed() == {1: 1, 2: 1}
