"""
A server, in a process of its own, that writes down every record it accepts: whatever dies, it knows.

``PUT /name`` with rules opens a book, ``PATCH /name`` changes some of them, ``POST /name`` delivers into it, and
``GET /name`` reads it; ``GET /name?arrivals`` says when each request came. Run as a script it says its port on standard
output and serves until it is killed.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CountingServer", "Rules", "serving"]


@dataclass(frozen=True, slots=True)
class Rules:
    """
    How a book is kept.

    :param honours: a request whose ``Idempotency-Key`` was answered before gets that answer and changes nothing
    :param poison: ids; a request with one of them is refused as a whole
    :param delay: seconds at most between a request's arrival and its acceptance, and from there to its answer
    :param refusal: status with which every request is refused
    """

    honours: bool = False
    poison: tuple[int, ...] = ()
    delay: float = 0.0
    refusal: int | None = None


@dataclass(slots=True)
class _Book:
    rules: Rules
    poison: frozenset[int] = frozenset()
    answers: dict[str, int] = field(default_factory=dict)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def decide(self, key: str, ids: list[int]) -> int:
        with self.lock:
            if self.rules.refusal is not None:
                return self.rules.refusal
            if self.rules.honours and key in self.answers:
                return self.answers[key]
            status = 422 if self.poison.intersection(ids) else 200
            self.answers[key] = status
            if status == 200:
                # The clock that all processes of a machine share.
                self.accepted.append({"at": time.monotonic(), "key": key, "ids": ids})
            return status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    books: dict[str, _Book] = {}  # noqa: RUF012 - the server's memory

    def do_PUT(self) -> None:
        rules = json.loads(self._body())
        self.books[self.path] = _Book(Rules(**rules), frozenset(rules["poison"]))
        self._answer(200, {})

    def do_PATCH(self) -> None:
        book = self.books[self.path]
        book.rules = replace(book.rules, **json.loads(self._body()))
        self._answer(200, {})

    def do_GET(self) -> None:
        name, _, which = self.path.partition("?")
        book = self.books[name]
        with book.lock:
            self._answer(200, book.arrivals if which == "arrivals" else book.accepted)

    def do_POST(self) -> None:
        body = self._body()
        book = self.books.get(self.path)
        if book is None:
            self._answer(404, {"error": "there is no such book"})
            return
        book.arrivals.append(time.monotonic())
        self._linger(book)
        found = json.loads(body)
        ids = [record["id"] for record in (found if isinstance(found, list) else [found])]
        status = book.decide(self.headers.get("Idempotency-Key", ""), ids)
        self._linger(book)
        self._answer(status, {} if status == 200 else {"error": "there is poison in it"})

    def _body(self) -> bytes:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            # The client died while it was sending.
            raise ConnectionResetError
        return body

    @staticmethod
    def _linger(book: _Book) -> None:
        if book.rules.delay:
            time.sleep(random.uniform(0, book.rules.delay))

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@dataclass(frozen=True, slots=True)
class CountingServer:
    """
    A running server.

    :param url: its base URL
    """

    url: str

    def open(self, name: str, rules: Rules) -> str:
        """Open a book; return the URL to deliver to."""
        self._ask("PUT", name, asdict(rules))
        return f"{self.url}/{name}"

    def hurry(self, name: str) -> None:
        """Let a book be kept without delay from now on."""
        self._ask("PATCH", name, {"delay": 0.0})

    def accepted(self, name: str) -> list[dict[str, Any]]:
        """Return the accepted requests of a book: ``at`` (monotonic seconds), ``key`` and ``ids`` of each."""
        return list(self._ask("GET", name))

    def arrivals(self, name: str) -> list[float]:
        """Return when each request to a book came, accepted or not, in monotonic seconds."""
        return list(self._ask("GET", f"{name}?arrivals"))

    def _ask(self, method: str, name: str, content: Any = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = Request(f"{self.url}/{name}", method=method, data=body)
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def serving() -> Iterator[CountingServer]:
    """Run the server as a process."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        try:
            yield CountingServer(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)  # noqa: T201 - how the parent learns of it
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
