"""
A server with the habit that makes splitting necessary: an array is taken whole, or refused whole for one bad record.

``python atomic_server.py`` prints its port. ``GET /counts`` answers what came in since the last such question, and
whether each record that was taken was taken once.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

from data import MARKER, POISON

_ID = re.compile(MARKER.encode() + rb"(\d+)")
_POISON = f'"note":"{POISON}"'.encode()
REFUSAL = {"error": "the note is not acceptable"}


class State:
    """What came in."""

    def __init__(self) -> None:
        self.requests = self.records = self.body_bytes = 0
        self.taken: Counter[bytes] = Counter()

    def take(self) -> dict[str, int]:
        """Return the counts as a document, and begin anew."""
        document = {
            "requests": self.requests,
            "records": self.records,
            "body_bytes": self.body_bytes,
            "taken": len(self.taken),
            "taken_twice": sum(times > 1 for times in self.taken.values()),
        }
        self.__init__()  # type: ignore[misc]
        return document


STATE = State()


class Handler(BaseHTTPRequestHandler):
    """Take or refuse."""

    protocol_version = "HTTP/1.1"
    # Head and body in one packet: two small ones wait for each other (Nagle's algorithm).
    wbufsize = -1

    def do_GET(self) -> None:
        self._answer(200, STATE.take())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        ids = _ID.findall(body)
        STATE.requests += 1
        STATE.records += len(ids)
        STATE.body_bytes += len(body)
        if _POISON in body:
            self._answer(422, REFUSAL)
            return
        STATE.taken.update(ids)
        self._answer(200, {"accepted": len(ids)})

    def _answer(self, status: int, document: dict[str, object] | dict[str, int] | dict[str, str]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.command == "GET":
            # One connection at a time is served: the one that asks for counts must not keep its place.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: there are thousands of requests."""


def main() -> None:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
