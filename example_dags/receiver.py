"""
A small HTTP API that takes records, for the examples and the demo to deliver to. It needs nothing but Python.

::

    RECEIVER_TOKEN=anything python receiver.py --port 8900
    curl http://127.0.0.1:8900/stats
    export AIRFLOW_CONN_FLIGHTS_API='{"conn_type": "osmos_http", "host": "http://127.0.0.1:8900",
      "password": "anything"}'

It takes one JSON object or an array of them at any path, and counts what it took by the path's first part
(``/flights``, ``/airports/JFK`` counts as ``airports``). Two rules of its own:

- every request but ``GET /stats`` needs the header ``Authorization: Bearer <token>``;
- an array of flights is taken whole or not at all, and a flight without ``air_time`` is not taken.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Books", "Receiver", "exit_with_stdin", "main"]

# Together they tell one flight from every other.
_FLIGHT_KEY = ("carrier", "flight", "time_hour", "origin", "dest")
_RULE = "a flight without air_time is not taken, and an array is taken whole or not at all"


class Books:
    """What was taken and what was refused, by collection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unauthorized = 0
        self._collections: dict[str, dict[str, int]] = {}
        self._seen: dict[str, set[str]] = {}

    def turn_away(self) -> None:
        """Count a request without the right token."""
        with self._lock:
            self._unauthorized += 1

    def take(self, path: str, records: list[dict[str, Any]]) -> str | None:
        """
        Take records, all or none.

        :return: why they are refused, ``None`` when they are taken
        """
        collection = path.strip("/").partition("/")[0]
        lacking = sum(record.get("air_time") is None for record in records) if collection == "flights" else 0
        keys = {_key(path, record) for record in records}
        with self._lock:
            counts = self._collections.setdefault(
                collection, {"requests": 0, "requests_refused": 0, "taken": 0, "distinct": 0}
            )
            counts["requests"] += 1
            if lacking:
                counts["requests_refused"] += 1
                return _RULE
            seen = self._seen.setdefault(collection, set())
            seen |= keys
            counts["taken"] += len(records)
            counts["distinct"] = len(seen)
        return None

    def stats(self) -> dict[str, Any]:
        """Return the counts; records taken twice are ``taken`` minus ``distinct``."""
        with self._lock:
            return {"unauthorized": self._unauthorized, **{name: dict(it) for name, it in self._collections.items()}}


def _key(path: str, record: dict[str, Any]) -> str:
    """Return what two deliveries of the same record have in common."""
    if all(name in record for name in _FLIGHT_KEY):
        return "|".join(str(record[name]) for name in _FLIGHT_KEY)
    return f"{path} {json.dumps(record, sort_keys=True)}"


class Receiver(ThreadingHTTPServer):
    """The HTTP server around the books."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], token: str) -> None:
        super().__init__(address, _Handler)
        self.token = token
        self.books = Books()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"  # one connection carries many requests
    disable_nagle_algorithm = True  # an answer is two small writes, and the second would wait for the peer

    def do_GET(self) -> None:
        if self.path == "/stats":
            self._answer(200, self.server.books.stats())
        else:
            self._answer(404, {"error": "there is GET /stats, and POST or PUT at any path"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self.server.books.turn_away()
            self._answer(401, {"error": "the bearer token is missing or wrong"})
            return
        try:
            value = json.loads(body)
        except ValueError as error:
            self._answer(400, {"error": f"not JSON: {error}"})
            return
        records = value if isinstance(value, list) else [value]
        if not all(isinstance(record, dict) for record in records):
            self._answer(400, {"error": "expected an object or an array of objects"})
            return
        refusal = self.server.books.take(self.path, records)
        if refusal:
            self._answer(422, {"error": refusal})
        else:
            self._answer(201, {"taken": len(records)})

    do_PUT = do_POST  # noqa: N815 - the names http.server looks for
    do_PATCH = do_POST  # noqa: N815

    def do_OPTIONS(self) -> None:
        self._answer(204, None)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a delivery that splits is thousands of requests."""

    def _answer(self, status: int, value: dict[str, Any] | None) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        if value is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def exit_with_stdin() -> None:
    """End this process when its stdin closes: when the process that started it has ended, however it did."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Take records over HTTP, and count them.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, is any free one")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started this one, however it ends"
    )
    args = parser.parse_args()
    token = os.environ.get("RECEIVER_TOKEN")
    if not token:
        parser.error("set RECEIVER_TOKEN to the token that requests shall carry")
    server = Receiver((args.host, args.port), token)
    if args.until_stdin_closes:
        exit_with_stdin()
    print(f"listening on http://{args.host}:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
