"""``airflow osmosdest serve`` as a process of its own, and what only a real server shows."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.testing.servers import free_port
from airflow_provider_osmosdest.web.app import create_app
from tests.serving import READ, Serving, access, serving
from tests.standalone import until

pytestmark = pytest.mark.slow


@pytest.fixture
def mailbox(tmp_path):
    (tmp_path / "box").mkdir()
    found = Mailbox(Store(tmp_path / "box"), MailboxSettings("orders"))
    found.publish([b'{"id":%d}\n' % number for number in range(20_000)], batch_id="b1")
    return found


def test_it_serves_without_a_database_and_without_a_word_of_what_is_secret(tmp_path, mailbox):
    with serving(tmp_path, "--workers", "2") as served:
        ids, path = [], "/records?limit=5000"
        while True:
            with served.get(path, Accept_Encoding="gzip") as answer:
                assert "Server" not in answer.headers
                document = json.loads(gzip.decompress(answer.read()))
            ids += [record["id"] for record in document["records"]]
            if document["up_to_date"]:
                break
            path = f"/records?limit=5000&cursor={document['cursor']}"
        assert ids == list(range(20_000))
        # Connections of other types, or of none, are not there.
        assert [served.status("/records", box=box) for box in ("api", "nope")] == [401, 401]
        assert served.status("/records", token="osmos_r_wrong") == 401
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=20) == 0
    log = served.log.read_text()
    assert re.search(r'"GET /osmos/v1/mailboxes/orders/records HTTP/1.1" 200', log)
    assert READ not in log
    assert "osmos_r_wrong" not in log
    assert "cursor=" not in log
    assert "Traceback" not in log


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads where Linux shows them")
def test_a_hundred_wait_in_no_thread_and_all_hear_of_a_publish(tmp_path, mailbox):
    with serving(tmp_path) as served:
        with served.get("/records?limit=5000&wait=1") as answer:
            cursor = json.load(answer)["cursor"]
        for _ in range(3):
            with served.get(f"/records?limit=5000&cursor={cursor}") as answer:
                cursor = json.load(answer)["cursor"]
        waiting = [served.connect(f"/records?cursor={cursor}&wait=30") for _ in range(100)]
        # Half of them go.
        for sock in waiting[:50]:
            sock.close()
        # Who does not wait is answered meanwhile.
        assert served.status("/records?limit=1") == 200
        assert served.threads() < 40
        begun = time.monotonic()
        mailbox.publish([b'{"id":20000}\n'], batch_id="b2")
        for sock in waiting[50:]:
            with sock, sock.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
        # Long before the wait that each asked for is over.
        assert time.monotonic() - begun < 20


def test_it_ends_while_a_request_waits(tmp_path, mailbox):
    with serving(tmp_path) as served:
        with served.get("/batches") as answer:
            cursor = json.load(answer)["cursor"]
        with served.connect(f"/records?cursor={cursor}&wait=30"):
            served.process.send_signal(signal.SIGTERM)
            assert served.process.wait(timeout=20) == 0


def test_a_download_that_breaks_off_is_resumed(tmp_path, mailbox):
    noise = os.urandom(8 * 2**20).hex().encode()
    mailbox.publish([b'{"id":"%s"}\n' % noise[at : at + 1000] for at in range(0, len(noise), 1000)], batch_id="large")
    data = mailbox.store.get(mailbox.log.entry(2).data)
    with serving(tmp_path) as served:
        with served.connect("/batches/2/data") as sock:
            sock.recv(1000)
        with served.get("/batches/2/data", Accept_Encoding="gzip") as answer:
            etag = answer.headers["ETag"]
            half = answer.read(len(data) // 2)
        headers = {"Accept_Encoding": "gzip", "Range": f"bytes={len(half)}-", "If_Range": etag}
        with served.get("/batches/2/data", **headers) as answer:
            assert answer.status == 206
            assert half + answer.read() == data
        assert served.status("/records?limit=1") == 200


class Passing(BaseHTTPMiddleware):
    """Stands for the middleware that Airflow's API server has around its plugins."""

    async def dispatch(self, request, call_next):
        return await call_next(request)


@pytest.mark.parametrize("around", [[], [Middleware(GZipMiddleware, minimum_size=1024), Middleware(Passing)]])
def test_who_waits_and_goes_is_waited_for_no_longer(tmp_path, mailbox, around):
    settings = MailboxSettings("orders", access=(access("read", READ),))
    served = create_app(lambda _: Mailbox(Store(tmp_path / "box"), settings), prefix="/v1")
    app = Starlette(routes=[Mount("/osmos", served)], middleware=around)
    waiting = served.state.web.waiting
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until("server", 20, lambda: server.started)
        cursor = mailbox.cursor_text(Position(2))
        url = f"http://127.0.0.1:{server.config.port}"
        partner = Serving(None, url, tmp_path).connect(f"/records?cursor={cursor}&wait=30")
        until("waiter", 10, lambda: len(waiting) == 1)
        partner.close()
        until("end of the wait", 10, lambda: len(waiting) == 0)
    finally:
        server.should_exit = True
        thread.join()
