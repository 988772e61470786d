"""``airflow osmosdest serve`` and clients that send too much, or half of it, that wait, or ask for its health."""

from __future__ import annotations

import json
import resource
import select
import signal
import threading
from contextlib import ExitStack, suppress

import pytest
from sqlalchemy import create_engine

from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.mailbox.tokens import new_token
from airflow_provider_osmosdest.web.http.protocol import Bounds
from tests.serving import READ, orders, serving
from tests.standalone import until

pytestmark = pytest.mark.slow

HALF = b"GET /osmos/v1/mailboxes/orders/records HTTP/1.1\r\nHost: x\r\n"
LONG = 3600.0


@pytest.fixture
def mailbox(tmp_path):
    (tmp_path / "box").mkdir()
    found = Mailbox(Store(tmp_path / "box"), MailboxSettings("orders"))
    found.publish([b'{"id":%d}\n' % number for number in range(100)], batch_id="b1")
    return found


def page(served):
    with served.get("/records?limit=100") as answer:
        return len(json.load(answer)["records"])


def everything(sock):
    """Return all that comes until the connection's end."""
    with sock, suppress(ConnectionError):
        return b"".join(iter(lambda: sock.recv(65_536), b""))
    return b""


def problem(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    document = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % document["status"])
    assert b"content-type: application/problem+json" in head
    return document


def test_an_endless_header_ends_and_holds_nobody_up(tmp_path, mailbox):
    with serving(tmp_path) as served:
        pages, going = [], threading.Event()

        def read():
            going.wait()
            pages.extend(page(served) for _ in range(5))

        reader = threading.Thread(target=read)
        reader.start()
        sock = served.raw(HALF + b"X-Endless: ")
        with suppress(ConnectionError):
            for sent in range(64):
                sock.sendall(b"x" * 2**20)
                if sent == 0:
                    going.set()
        going.set()
        sock.close()
        reader.join()
        assert pages == [100] * 5
        # Who stops sending in time reads why.
        refused = problem(everything(served.raw(HALF + b"X: " + b"x" * 20_000)))
        assert refused["status"] == 431
        assert "16,384 bytes" in refused["detail"]


def test_a_header_that_stalls_is_ended(tmp_path, mailbox):
    with serving(tmp_path, bounds=Bounds(header_seconds=0.2, idle_seconds=0.2)) as served:
        assert problem(everything(served.raw(HALF)))["status"] == 408
        assert everything(served.raw()) == b""
        with served.connect("/records?limit=1") as asked:
            assert everything(asked).startswith(b"HTTP/1.1 200 OK\r\n")
        assert page(served) == 100


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine lets a process open {hard} files, and 1,500 connections need more")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted) if soft != resource.RLIM_INFINITY else soft, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_1500_half_sent_requests_crowd_nobody_out(tmp_path, mailbox):
    # No time limit ends them here: only what makes room for others does.
    with serving(tmp_path, bounds=Bounds(header_seconds=LONG)) as served, ExitStack() as stack:
        halves = [stack.enter_context(served.raw(HALF)) for _ in range(1500)]
        assert page(served) == 100
        poller = select.poll()
        for sock in halves:
            poller.register(sock, select.POLLIN)
        until("end of those that waited longest", 30, lambda: len(poller.poll(0)) >= 1000)
        assert len(poller.poll(0)) <= 1002
        # Those that are left may still go on.
        halves[-1].sendall(b"Authorization: Bearer %s\r\nConnection: close\r\n\r\n" % READ.encode())
        assert everything(halves[-1]).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one", "two workers"])
def test_sigterm_ends_waiting_polls_with_204(tmp_path, mailbox, options):
    with serving(tmp_path, *options) as served:
        cursor = mailbox.cursor_text(Position(2))
        waiting = [served.connect(f"/records?cursor={cursor}&wait=30") for _ in range(50)]
        idle = served.raw(HALF)
        # Who came after them has been answered, so theirs were read.
        assert [page(served) for _ in range(5)] == [100] * 5
        served.process.send_signal(signal.SIGTERM)
        answers = [everything(sock) for sock in waiting]
        assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 204 No Content"}
        assert all(cursor.encode() in answer for answer in answers)
        assert everything(idle) == b""
        assert served.process.wait(timeout=20) == 0
    log = served.log.read_text()
    assert "Traceback" not in log
    assert "timeout graceful shutdown exceeded" not in log


def test_a_token_that_is_revoked_while_its_poll_waits_opens_nothing(tmp_path, mailbox):
    connections = tmp_path / "connections.json"

    def allow(*tokens):
        new = tmp_path / "new.json"
        new.write_text(json.dumps({"orders": orders(tmp_path, *tokens)}))
        new.replace(connections)

    allow(READ)
    environment = {
        "AIRFLOW_CONN_ORDERS": None,
        "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(connections)}),
    }
    with serving(tmp_path, environment=environment) as served:
        cursor = mailbox.cursor_text(Position(2))
        waiting = [served.connect(f"/records?cursor={cursor}&wait=30") for _ in range(5)]
        assert page(served) == 100
        allow(new_token("read"))
        until("end of the token", 20, lambda: served.status("/records") == 401)
        mailbox.publish([b'{"id":"for others"}\n'], batch_id="b2")
        for sock in waiting:
            with sock, sock.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
                fields = dict(iter(lambda: tuple(answer.readline().rstrip().lower().partition(b": ")[::2]), (b"", b"")))
                assert b"for others" not in answer.read(int(fields[b"content-length"]))


def test_it_tells_how_it_is(tmp_path, mailbox):
    from airflow.models.connection import Connection

    url = f"sqlite:///{tmp_path}/airflow.db"
    engine = create_engine(url)
    Connection.__table__.create(engine)
    engine.dispose()
    with serving(tmp_path, environment={"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}) as served:
        until("good word", 30, lambda: served.health()[0] == 200)
        assert served.health()[1] == {"status": "ok", "database": "ok", "store": "ok"}
        (tmp_path / "box").rename(tmp_path / "elsewhere")
        until("word of the store", 20, lambda: served.health()[0] == 503)
        assert served.health()[1]["detail"] == "no answer from the store"
        (tmp_path / "elsewhere").rename(tmp_path / "box")
        until("good word", 20, lambda: served.health()[0] == 200)
        with engine.begin() as database:
            Connection.__table__.drop(database)
        engine.dispose()
        until("word of the database", 20, lambda: served.health()[0] == 503)
        found = served.health()[1]
        assert (found["database"], found["store"]) == ("unavailable", "ok")
        assert str(tmp_path) not in json.dumps(found)


def test_where_there_is_no_database_it_is_not_asked(tmp_path, mailbox):
    with serving(tmp_path) as served:
        assert served.health()[1]["database"] == "unavailable"
    with serving(tmp_path, "--without-database") as served:
        until("good word", 30, lambda: served.health()[0] == 200)
