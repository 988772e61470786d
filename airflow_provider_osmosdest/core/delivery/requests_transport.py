"""
The other transport: a ``requests`` session and a few threads.

For what libcurl cannot carry: custom ``AuthBase`` classes, mounted adapters, and ``requests-mock`` in tests. It costs
some 20 times the processor time a request (docs/architecture.md, Fast).
"""

from __future__ import annotations

import queue
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.redirects import next_url
from airflow_provider_osmosdest.core.delivery.retry import parse_retry_after
from airflow_provider_osmosdest.core.delivery.transport import ANSWER_BYTES, Answer, Body, Request, request_headers
from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from requests import Response, Session

    from airflow_provider_osmosdest.core.delivery.target import Target

__all__ = ["RequestsTransport"]


class _Reader:
    """A request's body as the file object ``requests`` wants, which knows how far it was read."""

    def __init__(self, body: bytes | Body) -> None:
        self._pieces = list(body.pieces) if isinstance(body, Body) else [body]
        self._length = body.length if isinstance(body, Body) else len(body)
        self._piece = 0
        self._offset = 0
        self.taken = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> _Reader:  # requests takes only iterables for streams
        return self

    def __next__(self) -> bytes:
        if data := self.read(64 * 1024):
            return data
        raise StopIteration

    def read(self, size: int = -1) -> bytes:
        while self._piece < len(self._pieces):
            piece = self._pieces[self._piece]
            data = bytes(piece[self._offset :] if size < 0 else piece[self._offset : self._offset + size])
            if data:
                self._offset += len(data)
                self.taken += len(data)
                return data
            self._piece, self._offset = self._piece + 1, 0
        return b""


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
        # A session looks for the next address of a redirect even where it may not follow, and raises what it likes
        # for one that is none.
        session.get_redirect_target = _nowhere  # type: ignore[assignment,method-assign]
        self._headers = request_headers(target.headers, headers or {})
        self._limit = answer_bytes
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="osmosdest-http")
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._busy = 0

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Answer]:
        """Start these requests, then return the answers that are in; see :class:`~.transport.Transport`."""
        for request in starting:
            self._busy += 1
            self._pool.submit(self._run, request)
        if not self._busy:
            time.sleep(wait)
            return []
        answers: list[Answer] = []
        try:
            answers.append(self._answers.get(timeout=max(wait, 0.0)) if wait > 0 else self._answers.get_nowait())
            while True:
                answers.append(self._answers.get_nowait())
        except queue.Empty:
            pass
        self._busy -= len(answers)
        return answers

    def close(self) -> None:
        """Give up what has not started, and close the session's connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    def _run(self, request: Request) -> None:
        self._answers.put(self._send(request))

    def _send(self, request: Request) -> Answer:
        import requests

        url = request.url or self._target.url
        followed = 0
        while True:
            reader = _Reader(request.body)
            try:
                answer = self._ask(request, url, reader)
            except requests.exceptions.RequestException as error:
                return Answer(request, error=_translated(error, reader))
            except Exception as error:  # noqa: BLE001 - an adapter or auth class may raise anything, at any time
                text = f"{type(error).__name__}: {error}"
                return Answer(request, error=_by_progress(text, reader))
            there = next_url(answer.status or 0, answer.location, url, followed)
            if there is None:
                return answer
            url, followed = there, followed + 1

    def _ask(self, request: Request, url: str, reader: _Reader) -> Answer:
        target = self._target
        response = self._session.request(
            target.method,
            url,
            data=reader,
            headers=_encoded({**self._headers, **(request.headers or {})}),
            # Said again, as the environment's bundle would win over the session's.
            verify=self._session.verify,
            timeout=(target.connect_timeout, target.timeout),
            allow_redirects=False,
            stream=True,
        )
        with response:
            return self._answer(request, response)

    def _answer(self, request: Request, response: Response) -> Answer:
        from requests.exceptions import ContentDecodingError, RequestException

        kept = bytearray()
        whole = True
        try:
            for data in response.iter_content(64 * 1024):
                kept += data
                if len(kept) > self._limit:
                    # Unlike libcurl's, this connection is not worth keeping for the price of reading the rest.
                    whole = False
                    break
        except RequestException as error:
            # The status came whole, whatever became of the rest: a refusal stands.
            if response.status_code < 300 and not isinstance(error, ContentDecodingError):  # noqa: PLR2004
                raise
            whole = False
        return Answer(
            request,
            response.status_code,
            bytes(kept[: self._limit]),
            whole=whole,
            retry_after=parse_retry_after(response.headers.get("Retry-After")),
            location=response.headers.get("Location"),
        )


def _encoded(headers: Mapping[str, str]) -> dict[str, str | bytes]:
    """Return headers as they go over the wire: ``requests`` itself knows no letters beyond Latin-1."""
    return {name: value if value.isascii() else value.encode() for name, value in headers.items()}


def _translated(error: Exception, reader: _Reader) -> TransportError:
    """Tell from an exception of ``requests`` whether the API can have seen the whole request."""
    import requests
    from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    # The exception of requests quotes the URL with its query, which may be secret.
    text = f"{type(error).__name__}: {reason or error}"
    if isinstance(error, requests.exceptions.SSLError):
        return TlsError(text)
    never = (ConnectTimeoutError, NameResolutionError, NewConnectionError)
    if isinstance(error, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)) or isinstance(
        reason, never
    ):
        return NotSentError(text)
    return _by_progress(text, reader)


def _by_progress(text: str, reader: _Reader) -> TransportError:
    return AmbiguousError(text) if reader.taken >= len(reader) else NotSentError(text)


def _nowhere(_: Response) -> None:
    return None
