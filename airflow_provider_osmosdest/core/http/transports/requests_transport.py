"""
Carry requests with a ``requests`` session and a few threads.

For what libcurl cannot carry: custom ``AuthBase`` classes, mounted adapters, and ``requests-mock`` in tests. It costs
some 20 times the processor time a request (docs/architecture/delivery.md, Fast).
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError, TransportError
from airflow_provider_osmosdest.core.http.redirects import next_url
from airflow_provider_osmosdest.core.http.retry import parse_retry_after
from airflow_provider_osmosdest.core.http.transport import (
    ANSWER_BYTES,
    Request,
    Response,
    request_headers,
    seconds_for,
)
from airflow_provider_osmosdest.core.http.transports.body_reader import BodyReader
from airflow_provider_osmosdest.core.http.transports.response_head import read_strictly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from requests import Response as RequestsResponse
    from requests import Session

    from airflow_provider_osmosdest.core.http.target import Target

__all__ = ["RequestsTransport"]

_STANDS = 300
"""The first status that is an answer even where its body is missing; a success may announce one that did not come."""


class _Exchange:
    """One request under way, shared by the thread that carries it and the one that waits for its answer."""

    __slots__ = ("carried", "deadline", "given_up", "kept", "reader", "request", "response")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.reader = BodyReader(request.body)
        self.response: RequestsResponse | None = None
        self.kept = bytearray()
        self.deadline = float("inf")
        self.given_up = False
        self.carried = False


class RequestsTransport:
    """
    Carry requests with a ``requests`` session.

    :param target: where to, and how
    :param session: the session to send with, its auth, adapters, certificates and proxies included
    :param in_flight: requests in flight at most
    :param headers: headers for every request beside the target's, which win
    :param answer_bytes: how much of an answer is kept, in bytes
    :param may_repeat: makes no difference: this transport never sends a request again by itself
    """

    def __init__(
        self,
        target: Target,
        session: Session,
        *,
        in_flight: int = 1,
        headers: Mapping[str, str] | None = None,
        answer_bytes: int = ANSWER_BYTES,
        may_repeat: bool = True,  # noqa: ARG002 - this one never does
    ) -> None:
        self._target = target
        self._session = session
        # A session looks for the next address of a redirect even where it may not follow, and raises many
        # kinds of errors for one that is no URL.
        session.get_redirect_target = _nowhere  # type: ignore[assignment,method-assign]
        read_strictly(session)
        self._headers = request_headers(target.headers, headers or {})
        self._limit = answer_bytes
        self._queue: queue.SimpleQueue[_Exchange | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[_Exchange, Response]] = queue.SimpleQueue()
        self._busy: set[_Exchange] = set()
        self._threads = 0
        self._lock = threading.Lock()
        self._in_flight = in_flight

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Response]:
        """Start these requests, then return the answers that are in; see :class:`~.transport.Transport`."""
        for request in starting:
            exchange = _Exchange(request)
            exchange.deadline = time.monotonic() + self._seconds(request)
            self._busy.add(exchange)
            if self._threads < min(len(self._busy), self._in_flight):
                self._add_thread()
            self._queue.put(exchange)
        if not self._busy:
            time.sleep(wait)
            return []
        until = time.monotonic() + wait
        while True:
            now = time.monotonic()
            due = min(exchange.deadline for exchange in self._busy)
            answers = self._collect(max(0.0, min(until, due) - now))
            answers += [
                self._give_up(exchange) for exchange in list(self._busy) if exchange.deadline <= time.monotonic()
            ]
            if answers or time.monotonic() >= until:
                return answers

    def close(self) -> None:
        """Give up what is in flight, and close the session's connections."""
        for exchange in self._busy:
            exchange.given_up = True
            exchange.reader.cut()
        self._busy.clear()
        for _ in range(self._threads):
            self._queue.put(None)
        self._session.close()

    def _seconds(self, request: Request) -> float:
        return seconds_for(self._target.timeout, request.length)

    def _add_thread(self) -> None:
        # A daemon: one that a server keeps busy must not keep the process from its end.
        threading.Thread(target=self._work, name="osmosdest-http", daemon=True).start()
        self._threads += 1

    def _work(self) -> None:
        while (exchange := self._queue.get()) is not None:
            with self._lock:
                exchange.carried = not exchange.given_up
            if not exchange.carried:
                continue
            self._answers.put((exchange, self._send(exchange)))
            with self._lock:
                exchange.carried = False
                if exchange.given_up:
                    # Another thread took this one's place.
                    return

    def _collect(self, wait: float) -> list[Response]:
        """Return the answers that are in, after waiting for the first of them."""
        answers: list[Response] = []
        try:
            came = self._answers.get(timeout=wait) if wait > 0 else self._answers.get_nowait()
            while True:
                exchange, answer = came
                if exchange in self._busy:
                    self._busy.remove(exchange)
                    answers.append(answer)
                came = self._answers.get_nowait()
        except queue.Empty:
            return answers

    def _give_up(self, exchange: _Exchange) -> Response:
        """
        Stop waiting for an answer whose time is over, even where the server still sends it bit by bit.

        ``requests`` only takes a time-out for each single read. Its thread is left running: it ends when
        the body is to be read on, or with the connection.
        """
        with self._lock:
            exchange.given_up = True
            self._threads -= exchange.carried
        exchange.reader.cut()
        self._busy.remove(exchange)
        response = exchange.response
        if response is not None:
            with suppress(Exception):  # what an adapter's response can do is not known
                response.raw.shutdown()
            if response.status_code >= _STANDS:
                return self._answered(exchange, response, whole=False)
        text = f"no whole answer within {self._seconds(exchange.request):g} seconds"
        return Response(exchange.request, error=_by_progress(text, exchange))

    def _send(self, exchange: _Exchange) -> Response:
        import requests

        request = exchange.request
        url = request.url or self._target.url
        followed = 0
        while True:
            try:
                answer = self._request(exchange, url)
            except requests.exceptions.RequestException as error:
                return Response(request, error=_translated(error, exchange))
            except Exception as error:  # noqa: BLE001 - an adapter or auth class may raise anything, at any time
                return Response(request, error=_by_progress(f"{type(error).__name__}: {error}", exchange))
            there = next_url(answer.status or 0, answer.location, url, followed)
            if there is None:
                return answer
            url, followed = there, followed + 1

    def _request(self, exchange: _Exchange, url: str) -> Response:
        target = self._target
        exchange.response = None
        exchange.reader.rewind()
        response = self._session.request(
            target.method,
            url,
            data=exchange.reader,
            headers=_encoded({**self._headers, **(exchange.request.headers or {})}),
            # Passed again, as the environment's bundle would win over the session's.
            verify=self._session.verify,
            timeout=(target.connect_timeout, target.timeout),
            allow_redirects=False,
            stream=True,
        )
        with response:
            exchange.kept = bytearray()
            exchange.response = response
            return self._answer(exchange, response)

    def _answer(self, exchange: _Exchange, response: RequestsResponse) -> Response:
        from requests.exceptions import ContentDecodingError, RequestException

        whole = True
        try:
            for data in response.iter_content(64 * 1024):
                exchange.kept += data
                if exchange.given_up:
                    break
                if len(exchange.kept) > self._limit:
                    whole = False
                    if response.status_code >= _STANDS:
                        # Unlike libcurl's, this connection is not worth keeping for the price of reading the rest.
                        break
                    # A success counts only if its body comes to its end.
                    del exchange.kept[self._limit :]
        except RequestException as error:
            # The status came whole, whatever became of the rest: a refusal stands.
            if response.status_code < _STANDS and not isinstance(error, ContentDecodingError):
                raise
            whole = False
        return self._answered(exchange, response, whole=whole)

    def _answered(self, exchange: _Exchange, response: RequestsResponse, *, whole: bool) -> Response:
        return Response(
            exchange.request,
            response.status_code,
            bytes(exchange.kept[: self._limit]),
            whole=whole,
            retry_after=parse_retry_after(response.headers.get("Retry-After")),
            location=response.headers.get("Location"),
            head=[f"{name}: {value}".encode("latin-1", errors="replace") for name, value in response.headers.items()],
        )


def _encoded(headers: Mapping[str, str]) -> dict[str, str | bytes]:
    """Return headers as they go over the wire: ``requests`` itself encodes no letters beyond Latin-1."""
    return {name: value if value.isascii() else value.encode() for name, value in headers.items()}


def _translated(error: Exception, exchange: _Exchange) -> TransportError:
    """Return the error that says whether the API can have received any of the body, whatever ``requests`` raised."""
    import requests

    reason = getattr(error.args[0], "reason", None) if error.args else None
    # The exception of requests quotes the URL with its query, which may be secret.
    text = f"{type(error).__name__}: {reason or error}"
    came = _by_progress(text, exchange)
    if isinstance(came, NotSentError) and isinstance(error, requests.exceptions.SSLError):
        return TlsError(text)
    return came


def _by_progress(text: str, exchange: _Exchange) -> TransportError:
    """
    Return the error that says whether any of the body can have left.

    urllib3 reads it only once connected, TLS and the proxy's tunnel agreed on, and the headers sent. An adapter that
    answers without reading it has sent it all the same; an empty one, requests does not read.
    """
    taken, length = exchange.reader.taken, exchange.request.length
    if length and exchange.response is None and not exchange.reader.begun:
        return NotSentError(text)
    return AmbiguousError(f"{text} (after {taken:,} of {length:,} bytes)" if 0 < taken < length else text)


def _nowhere(_: RequestsResponse) -> None:
    return None
