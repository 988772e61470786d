"""
Deliver five records with the package that is installed in an environment: ``python tests/one_delivery.py .venv-floor``.

It is done as a user does it, by ``airflow osmosdest deliver``, outside the checkout and in an Airflow home of its own,
to an API that takes batches and refuses one of the records. Needs nothing but Python's standard library.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["deliver_with"]

_RECORDS = "id,amount\n1,10.5\n2,much\n3,30\n4,40\n5,50\n"
_SCHEMA = {
    "fields": [
        {"name": "id", "type": "integer", "nullable": False},
        {"name": "amount", "type": "number", "nullable": False},
    ]
}
_REFUSED = 3
_EXPECTED = {"read": 5, "delivered": 3, "invalid": 1, "rejected": 1, "unknown": 0, "unsent": 0}
_SECONDS = 180


class _Api(BaseHTTPRequestHandler):
    taken: list[int]

    def do_POST(self) -> None:
        ids = [record["id"] for record in json.loads(self.rfile.read(int(self.headers["Content-Length"])))]
        if _REFUSED in ids:
            self.send_response(422)
        else:
            self.taken += ids
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        pass


def deliver_with(environment: Path) -> str:
    """
    Deliver, and return in a line what came of it.

    :param environment: a virtual environment with Airflow and this package
    :raises SystemExit: when something else became of the records than should
    """
    api = type("Api", (_Api,), {"taken": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), api) as server, tempfile.TemporaryDirectory() as folder:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            done = _deliver(environment.absolute(), Path(folder), f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
    if done.returncode != 1:
        raise SystemExit(f"{done.stderr}\nairflow osmosdest deliver: found exit code {done.returncode}, expected 1")
    report = json.loads(done.stdout)
    counts = {name: report[name] for name in _EXPECTED}
    if counts != _EXPECTED or sorted(api.taken) != [1, 4, 5]:
        raise SystemExit(
            f"{done.stderr}\nfound {counts}, and the API has {api.taken}; expected {_EXPECTED}, and 1, 4, 5"
        )
    return f"delivered {counts['delivered']} of {counts['read']} records, 1 invalid and 1 rejected, as it should be"


def _deliver(environment: Path, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    (folder / "records.csv").write_text(_RECORDS, encoding="utf-8")
    (folder / "schema.json").write_text(json.dumps(_SCHEMA), encoding="utf-8")
    words = "osmosdest deliver --conn-id shop_api --records records.csv --schema schema.json --endpoint /orders"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    return subprocess.run(
        [environment / "bin" / "airflow", *words.split()],
        cwd=folder,
        env=kept
        | {
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW_CONN_SHOP_API": json.dumps({"conn_type": "osmos_http", "host": url}),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )


if __name__ == "__main__":
    print("==> delivering five records with", sys.argv[1])
    print(deliver_with(Path(sys.argv[1])))
