"""``airflow osmosdest serve`` as a process of its own, and how to ask it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from airflow_provider_osmosdest.core.mailbox.tokens import Access, new_token
from airflow_provider_osmosdest.testing.servers import free_port
from tests.standalone import until

if TYPE_CHECKING:
    from airflow_provider_osmosdest.web.http.protocol import Bounds

__all__ = ["READ", "Serving", "access", "orders", "serving"]

OPENER = build_opener(ProxyHandler({}))
READ = new_token("read")

WITH_BOUNDS = """
import os, sys
os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
from airflow_provider_osmosdest.web.http.protocol import Bounds
from airflow_provider_osmosdest.web.serving import serve
serve("127.0.0.1", int(sys.argv[1]), 1, bounds=eval(sys.argv[2]))
"""


@dataclass
class Serving:
    """The process, what it has said, and how to ask it."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def open(self, path, **headers):
        return OPENER.open(Request(f"{self.url}/osmos/v1{path}", headers=headers), timeout=30)

    def get(self, path, token=READ, box="orders", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Authorization"] = f"Bearer {token}"
        return self.open(f"/mailboxes/{box}{path}", **named)

    def status(self, path, **kwargs):
        try:
            with self.get(path, **kwargs) as answer:
                return answer.status
        except HTTPError as error:
            error.close()
            return error.code

    def health(self):
        """Return the status and the document of what it says of itself, to whoever asks."""
        try:
            with self.open("/health") as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def raw(self, sent=b""):
        """Connect, send some bytes, and leave what comes to whoever wants it."""
        parts = urlsplit(self.url)
        sock = socket.create_connection((parts.hostname, parts.port), timeout=30)
        sock.sendall(sent)
        return sock

    def connect(self, path):
        """Send a request and leave its answer to whoever wants it."""
        line = f"GET /osmos/v1/mailboxes/orders{path} HTTP/1.1"
        return self.raw(f"{line}\r\nHost: x\r\nAuthorization: Bearer {READ}\r\n\r\n".encode())

    def threads(self):
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))


def orders(tmp_path, *tokens):
    """Return the connection of the mailbox that is served."""
    extra = {"path": f"file://{tmp_path}/box", "access": [access("read", token).to_dict() for token in tokens]}
    return {"conn_type": "osmos_mailbox", "extra": extra}


@contextmanager
def serving(tmp_path, *options, bounds: Bounds | None = None, environment=None):
    """
    Run the command without a database: the connections are in its environment.

    :param options: of the command
    :param bounds: of what clients may take, in place of the command's own
    :param environment: variables besides
    """
    box = orders(tmp_path, READ)
    log = tmp_path / "serve.log"
    around = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTEST_"))},
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/at/all.db",
        "AIRFLOW_CONN_ORDERS": json.dumps(box),
        "AIRFLOW_CONN_API": json.dumps({**box, "conn_type": "osmos_http", "host": "https://example.com"}),
        **(environment or {}),
    }

    def start() -> Serving:
        port = free_port()
        command = ["-m", "airflow", "osmosdest", "serve", "--port", str(port), *options]
        if bounds is not None:
            command = ["-c", WITH_BOUNDS, str(port), repr(bounds)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                env={name: value for name, value in around.items() if value is not None},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return Serving(process, f"http://127.0.0.1:{port}", log)

    served = start()

    def ready():
        nonlocal served
        if served.process.poll() is not None:
            # Another process has taken the port since it was found free.
            assert "Address already in use" in log.read_text(), log.read_text()
            served = start()
        with suppress(URLError, ConnectionError):
            return served.status("/batches") == 200
        return False

    try:
        until("server", 240, ready)
        yield served
    except BaseException as error:
        error.add_note(log.read_text()[-5000:])
        raise
    finally:
        if served.process.poll() is None:
            served.process.send_signal(signal.SIGTERM)
        served.process.wait(timeout=30)


def access(direction, token):
    return Access.of(token, name=direction, direction=direction, created_at=datetime.now(UTC))
