"""``airflow osmosdest test`` and Airflow's own test as processes, against an HTTP server of another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# An API that wants a token, and keeps what it is posted in a file.
SERVER = """
import http.server, pathlib, sys

class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        allowed = self.headers.get("Authorization") == "Bearer the-right-token"
        if allowed and self.command == "POST":
            with open(sys.argv[1], "ab") as file:
                file.write(body + b"\\n")
        said = body if self.command == "POST" else b""
        self.send_response(201 if allowed else 403)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_OPTIONS = do_HEAD = answer

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def api(tmp_path):
    """Run the server; return its URL and the path of what it was posted."""
    taken = tmp_path / "taken.ndjson"
    taken.touch()
    words = [sys.executable, "-c", SERVER, str(taken)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}", taken
        finally:
            process.kill()


@pytest.fixture
def airflow(tmp_path, api):
    """Run an ``airflow`` command with a connection to the server, which has only URL, token and what is given."""

    def run(*words, **fields):
        connection = {"conn_type": "osmos_http", "host": f"{api[0]}/v1", "password": "the-right-token", **fields}
        environment = {
            **{name: value for name, value in os.environ.items() if name != "AIRFLOW__CORE__UNIT_TEST_MODE"},
            "AIRFLOW_HOME": str(tmp_path / "home"),
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__OSMOSDEST__STORAGE_PATH": str(tmp_path / "storage"),
            "AIRFLOW_CONN_API": json.dumps(connection),
            "NO_PROXY": "127.0.0.1",
        }
        return subprocess.run(
            [sys.executable, "-m", "airflow", *words], env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_a_token_without_auth_is_sent_and_one_record_arrives(airflow, api, tmp_path):
    records = tmp_path / "in.csv"
    records.write_text("id,note\n1,one\n2,two\n")
    extra = {"envelope": "data", "method": "POST"}
    done = airflow("osmosdest", "test", "--conn-id", "api", "--records", str(records), extra=extra)
    assert done.returncode == 0, done.stderr
    assert Path(api[1]).read_text() == '{"data":[{"id":"1","note":"one"}]}\n'
    assert json.loads(done.stdout)["outcome"] == "delivered"
    # The first line is ours: neither a short setting nor the connection's type is remarked on.
    assert done.stderr.startswith("Sending one record to connection 'api'")
    assert "the-right-token" not in done.stdout + done.stderr
    assert not list((tmp_path / "storage").glob("**/*"))


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({}, 0, "answered 201 to OPTIONS. Authorization went along."),
        ({"password": "wrong"}, 1, "answered 403 to OPTIONS: check auth, the password or token, and headers"),
        ({"extra": {"batch_size": 0}}, 2, "error: connection 'api': batch_size: found 0"),
        ({"login": "ada", "password": ""}, 2, "error: connection 'api': auth is empty, and there is a login without"),
        ({"extra": {"auth": "none"}}, 2, "there is a password, which would not be sent"),
    ],
)
def test_nothing_is_sent_without_records(airflow, api, fields, code, says):
    done = airflow("osmosdest", "test", "--conn-id", "api", **fields)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "too short" not in done.stderr
    assert Path(api[1]).read_text() == ""


def test_airflow_s_own_command_tests_the_same(airflow):
    done = airflow("connections", "test", "api", extra={"envelope": '{"data": 1}'})
    assert "envelope: found" in done.stdout + done.stderr
