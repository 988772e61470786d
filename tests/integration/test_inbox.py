"""
The inbox on a live server, posted to by processes that are not ours.

Run as a script, this file is the server: ``test_inbox.py FOLDER HTTP``, with uvicorn's ``h11`` or ``httptools``.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.mailbox.tokens import Access

MIB = 2**20
TOKEN = "osmos_w_" + "0" * 38
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = MailboxSettings(
    "box",
    access=(Access.of(TOKEN, name="partner", direction="write", created_at=datetime(2026, 1, 1, tzinfo=UTC)),),
    signing_secrets=(SECRET,),
)
PATH = "/v1/mailboxes/box/records"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
LIMIT = SETTINGS.max_body_bytes

SIGNER = """
import sys, urllib.request
from datetime import UTC, datetime
from standardwebhooks import Webhook
url, secret, message_id, body = sys.argv[1:]
now = datetime.now(UTC)
headers = {
    "Content-Type": "application/json",
    "webhook-id": message_id,
    "webhook-timestamp": str(int(now.timestamp())),
    "webhook-signature": Webhook(secret).sign(message_id, now, body),
}
with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers)) as answer:
    print(answer.status, answer.read().decode())
"""


def serve(folder, protocol):
    import uvicorn

    from airflow_provider_osmosdest.core.mailbox.inbox import receipts
    from airflow_provider_osmosdest.web.app import create_app

    # What a killed server has left open is taken over soon, so that a test need not wait for it.
    receipts.TAKEN_OVER_AFTER = 0.5
    mailbox = Mailbox(Store(Path(folder)), SETTINGS)
    app = create_app({"box": mailbox}.get)
    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, http=protocol, log_level="warning")).run(sockets=[listening])


class Server:
    def __init__(self, folder, protocol="httptools"):
        command = [sys.executable, __file__, str(folder), protocol]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}{PATH}"

    def memory(self, name):
        """Return a figure of its memory in MiB: VmRSS, or VmHWM for the most it ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1024

    @contextmanager
    def connection(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            yield connection
        finally:
            connection.close()

    def post(self, body, headers=None):
        with self.connection() as connection:
            connection.request("POST", PATH, body, {**HEADERS, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture(params=["httptools", "h11"])
def server(request, tmp_path):
    running = Server(tmp_path, request.param)
    yield running
    running.stop()


def records(folder):
    mailbox = Mailbox(Store(folder), SETTINGS)
    page = mailbox.read(None, limit=10**6, max_bytes=10**9)
    return [json.loads(line) for line in page.lines.splitlines()]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_curl(server, tmp_path):
    def curl(body, *options):
        command = ["curl", "-sS", "-H", f"Authorization: Bearer {TOKEN}", "--data-binary", "@-", *options, server.url]
        answer = subprocess.run(command, input=body, capture_output=True, check=True)
        return json.loads(answer.stdout)

    assert curl(b'{"a":1}', "-H", "Content-Type: application/json")["accepted"] == 1
    csv = ("-H", "Content-Type: text/csv", "-H", "Content-Encoding: gzip")
    assert curl(gzip.compress(b"a\n2\n3\n"), *csv)["accepted"] == 2
    lines = b"".join(b'{"a":%d}\n' % number for number in range(4, 100_004))
    ndjson = ("-H", "Content-Type: application/x-ndjson", "-H", "Transfer-Encoding: chunked")
    assert curl(lines, *ndjson)["accepted"] == 100_000
    # curl asks before it sends a large body, and is told no before it does.
    refused = curl(bytes(LIMIT + 1), "-H", "Content-Type: application/json")
    assert refused["status"] == 413
    assert [each["a"] for each in records(tmp_path)] == [1, "2", "3", *range(4, 100_004)]


def test_the_package_of_standard_webhooks(server, tmp_path):
    def send(message_id):
        command = [sys.executable, "-c", SIGNER, server.url, SECRET, message_id, '{"name":"Zoë"}']
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    first = send("msg_1")
    assert first.startswith("202 ")
    assert '"accepted":1' in first
    assert send("msg_1") == first
    assert send("msg_2") != first
    assert records(tmp_path) == [{"name": "Zoë"}] * 2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_bodies_too_large_are_answered_and_take_no_memory(server, tmp_path):
    bomb = gzip.compress(bytes(1024 * MIB), 1)
    assert len(bomb) < LIMIT

    def refused():
        # The client looks for an answer only after it has sent everything.
        assert server.post(b" " * (40 * MIB))[0] == 413
        assert server.post(b" " * MIB for _ in range(60))[0] == 413
        assert server.post(bomb, {"Content-Encoding": "gzip"})[0] == 413
        assert server.post(b'[{"a":' + b"[" * (LIMIT - 100))[0] == 422

    assert server.post(b"{}")[0] == 202
    before = server.memory("VmHWM")
    refused()
    first = server.memory("VmHWM")
    # The body as it came and as it is read, and its text while it is checked.
    assert first - before < 4 * LIMIT / MIB
    for _ in range(3):
        refused()
    # A body of each kind that stayed would be twelve by now.
    assert server.memory("VmHWM") - first < 2 * LIMIT / MIB
    assert len(records(tmp_path)) == 1


def test_a_body_that_never_ends_holds_no_thread(server, tmp_path):
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    try:
        for each in slow:
            each.sendall(f"{head}\r\n[".encode())
        assert server.post(b"{}")[0] == 202
        # It did not wait for them to be refused: they were slow.
        for each in slow[:3]:
            each.sendall(b'{"b":1}]')
            assert each.recv(65536).startswith(b"HTTP/1.1 202 ")
    finally:
        for each in slow:
            each.close()
    assert len(records(tmp_path)) == 4


def test_a_body_cut_short_is_not_taken(server, tmp_path):
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n{head}\r\n{{}}".encode())
    assert server.post(b'{"after":1}')[0] == 202
    assert records(tmp_path) == [{"after": 1}]


class Partner(threading.Thread):
    """Posts one record after another, each until it is acknowledged."""

    def __init__(self, servers, name):
        super().__init__()
        self.servers = servers
        self.keys = [f"{name}-{number}" for number in range(40)]
        self.answers = {}
        self.refusals = []

    def run(self):
        for key in self.keys:
            while key not in self.answers and not self.refusals:
                try:
                    status, answer = self.servers[0].post(json.dumps({"key": key}), {"Idempotency-Key": key})
                except (OSError, http.client.HTTPException):
                    time.sleep(0.02)
                    continue
                if status == 202:
                    self.answers[key] = answer
                elif status == 409:
                    time.sleep(0.1)
                else:
                    self.refusals.append(answer)


def test_two_servers_and_many_senders_take_each_key_once(tmp_path):
    servers = [Server(tmp_path), Server(tmp_path)]
    # Each key comes from four senders, two at each server.
    partners = [Partner([servers[number % 2]], "same") for number in range(4)]
    try:
        for each in partners:
            each.start()
        for each in partners:
            each.join(60)
    finally:
        for each in servers:
            each.stop()
    assert [each.refusals for each in partners] == [[]] * 4
    assert all(each.answers == partners[0].answers for each in partners)
    assert sorted(each["key"] for each in records(tmp_path)) == sorted(partners[0].keys)


def test_a_server_that_is_killed_loses_and_doubles_nothing(tmp_path):
    servers = [Server(tmp_path)]
    partners = [Partner(servers, name) for name in "abcd"]

    def acknowledged():
        return sum(len(each.answers) for each in partners)

    for each in partners:
        each.start()
    try:
        for kill in range(1, 7):
            while acknowledged() < kill * 20 and any(each.is_alive() for each in partners):
                time.sleep(0.002)
            servers[0].stop(signal.SIGKILL)
            servers[0] = Server(tmp_path)
    finally:
        for each in partners:
            each.join(60)
        servers[0].stop()
    assert [each.refusals for each in partners] == [[]] * 4
    assert acknowledged() == 160
    assert sorted(each["key"] for each in records(tmp_path)) == sorted(key for each in partners for key in each.keys)


if __name__ == "__main__":
    serve(*sys.argv[1:])
