"""
Carry requests with libcurl's multi interface: one thread, many requests in flight.

Measured at 12-18 µs of processor time a request, against 480 for ``HttpHook.run`` (docs/benchmarks.md). libcurl also
reports how far a request got, which the verdict table needs; :mod:`~.curl_errors` reads it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import pycurl  # noqa: TID253 - this module is itself imported only when a delivery starts

from airflow_provider_osmosdest.core.errors import AmbiguousError
from airflow_provider_osmosdest.core.http.redirects import next_url
from airflow_provider_osmosdest.core.http.retry import parse_retry_after
from airflow_provider_osmosdest.core.http.transport import (
    ANSWER_BYTES,
    SLOWEST,
    Body,
    Request,
    Response,
    request_headers,
    seconds_for,
)
from airflow_provider_osmosdest.core.http.transports.curl_errors import status_stands, translated
from airflow_provider_osmosdest.core.http.transports.response_head import head_is_whole, header_of
from airflow_provider_osmosdest.core.http.urls import ascii_url, trusted_certificates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_osmosdest.core.errors import TransportError
    from airflow_provider_osmosdest.core.http.target import Target

__all__ = ["CurlTransport"]

_HTTPHEADER, _POSTFIELDS, _RESPONSE_CODE = pycurl.HTTPHEADER, pycurl.POSTFIELDS, pycurl.RESPONSE_CODE
"""What is set and asked for each request; a module's attribute is slower than a name."""

_USER_AGENT = b"user-agent: "
_TOO_LARGE = 413
_LONGEST = 2_000_000.0
"""Seconds that fit into libcurl's milliseconds: some 23 days."""


def _lines(headers: Mapping[str, str], ahead: Sequence[bytes] = ()) -> list[bytes]:
    """Return header lines as libcurl takes them, behind others: a header without a value ends in a semicolon."""
    lines = [*ahead]
    for name, value in headers.items():
        lines.append((f"{name}: {value}" if value else f"{name};").encode())
    return lines


class _Handle:
    """One easy handle, kept for many requests, with the buffers its callbacks write to."""

    __slots__ = (
        "_agent",
        "_begun",
        "_connected",
        "_fresh",
        "_head",
        "_limit",
        "_may_repeat",
        "_offset",
        "_piece",
        "_plain",
        "_repeated",
        "_target",
        "_timeout",
        "_unusual",
        "curl",
        "extra",
        "followed",
        "kept",
        "request",
        "size",
        "url",
    )

    def __init__(self, target: Target, lines: Sequence[bytes], agent: bytes, limit: int, *, may_repeat: bool) -> None:
        self.curl = pycurl.Curl()
        self.request: Request | None = None
        self.url = target.url
        self.extra: Mapping[str, str] | None = None
        self.kept: list[bytes] = []
        self.size = 0
        self.followed = 0
        self._agent = agent
        self._limit = limit
        self._piece = 0
        self._offset = 0
        self._plain = True
        self._unusual = False
        self._timeout = 0
        self._may_repeat = may_repeat
        self._fresh = False
        self._connected = False
        self._begun = False
        self._repeated = False
        self._head: list[bytes] = []
        self._target = target
        self._configure(target, lines)

    def _configure(self, target: Target, lines: Sequence[bytes]) -> None:
        curl = self.curl
        curl.setopt(pycurl.URL, ascii_url(target.url))
        curl.setopt(pycurl.POST, 1)
        if target.method != "POST":
            curl.setopt(pycurl.CUSTOMREQUEST, target.method)
        if target.method == "HEAD":
            # RFC 9110 section 9.3.2: no body comes, whatever the length says.
            curl.setopt(pycurl.NOBODY, 1)
        curl.setopt(pycurl.HTTPHEADER, list(lines))
        curl.setopt(pycurl.NOSIGNAL, 1)
        # How much of a body left is known from byte counts, which only HTTP/1.1 keeps per request.
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        self._fresh = not self._may_repeat
        if self._fresh:
            curl.setopt(pycurl.FRESH_CONNECT, 1)
            curl.setopt(pycurl.FORBID_REUSE, 1)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.UPLOAD_BUFFERSIZE, 512 * 1024)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(target.connect_timeout * 1000))
        # Some servers compress unasked; libcurl decompresses only where it has asked for it.
        curl.setopt(pycurl.ENCODING, "gzip, deflate")
        curl.setopt(pycurl.SOCKOPTFUNCTION, self._may_connect)
        curl.setopt(pycurl.PREREQFUNCTION, self._may_send)
        curl.setopt(pycurl.HEADERFUNCTION, self._head.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._write)
        self._timeout = self._milliseconds(SLOWEST)
        curl.setopt(pycurl.TIMEOUT_MS, self._timeout)
        if self._agent:
            # A line that libcurl keeps; it writes those of HTTPHEADER anew for each request.
            curl.setopt(pycurl.USERAGENT, self._agent)
        if target.verify is False:
            curl.setopt(pycurl.SSL_VERIFYPEER, 0)
            curl.setopt(pycurl.SSL_VERIFYHOST, 0)
        else:
            trusted = target.verify if isinstance(target.verify, str) else trusted_certificates()
            curl.setopt(pycurl.CAPATH if Path(trusted).is_dir() else pycurl.CAINFO, trusted)
        if target.cert is not None:
            cert, key = (target.cert, None) if isinstance(target.cert, str) else target.cert
            curl.setopt(pycurl.SSLCERT, cert)
            if key is not None:
                curl.setopt(pycurl.SSLKEY, key)
        proxy = target.proxies.get(urlsplit(target.url).scheme) or target.proxies.get("all")
        if proxy is not None:
            curl.setopt(pycurl.PROXY, proxy)
        elif not getproxies_environment():
            # Else libcurl would look through the environment for each request.
            curl.setopt(pycurl.PROXY, "")
            curl.setopt(pycurl.NOPROXY, "")

    def load(self, request: Request, lines: Sequence[bytes]) -> None:
        """Make the handle ready for a request."""
        curl, body, headers = self.curl, request.body, request.headers
        self.request, self.size = request, 0
        self._connected = self._begun = self._repeated = False
        self.kept.clear()
        self._head.clear()
        if self._unusual or request.url or request.fresh or isinstance(body, Body) or len(body) > SLOWEST:
            self._adapt(request, lines)
        if headers is not self.extra:
            curl.setopt(_HTTPHEADER, _lines(headers or {}, lines))
            self.extra = headers
        if isinstance(body, Body):
            self._piece = self._offset = 0
            curl.setopt(pycurl.POSTFIELDSIZE_LARGE, body.length)
        else:
            curl.setopt(_POSTFIELDS, body)

    def _adapt(self, request: Request, lines: Sequence[bytes]) -> None:
        """Set what is seldom different from one request to the next: kind of body, connection, URL and time-out."""
        in_pieces = isinstance(request.body, Body)
        if in_pieces is self._plain:
            self._change_kind(lines)
        fresh = request.fresh or not self._may_repeat
        if fresh is not self._fresh:
            self.curl.setopt(pycurl.FRESH_CONNECT, fresh)
            self._fresh = fresh
        url = request.url or self._target.url
        if url != self.url:
            self.curl.setopt(pycurl.URL, ascii_url(url))
            self.url = url
        timeout = self._milliseconds(request.length if in_pieces else max(request.length, SLOWEST))
        if timeout != self._timeout:
            self.curl.setopt(pycurl.TIMEOUT_MS, timeout)
            self._timeout = timeout
        self._unusual = bool(in_pieces or request.url or request.fresh or request.length > SLOWEST)

    def _change_kind(self, lines: Sequence[bytes]) -> None:
        """Switch from bodies in one piece to bodies in many, or back; connections stay open."""
        self.curl.reset()
        self.url, self.extra = self._target.url, None
        self._configure(self._target, lines)
        self._plain = not self._plain
        if not self._plain:
            self.curl.setopt(pycurl.READFUNCTION, self._read)

    def _milliseconds(self, length: int) -> int:
        return int(min(seconds_for(self._target.timeout, length), _LONGEST) * 1000)

    def _read(self, size: int) -> bytes:
        """Hand libcurl the next bytes of a body that is kept in pieces."""
        pieces = self.request.body.pieces  # type: ignore[union-attr]
        while self._piece < len(pieces):
            piece = pieces[self._piece]
            if self._offset < len(piece):
                data = bytes(piece[self._offset : self._offset + size])
                self._offset += len(data)
                return data
            self._piece += 1
            self._offset = 0
        return b""

    def _may_connect(self, *_: object) -> int:
        """
        Note that a connection is opened for this request, and refuse a second one once the request has begun.

        Where a kept connection closes without an answer, libcurl sends the request again on another. What it counts
        as uploaded starts at zero then, so how much of the body the first connection took cannot be known: to send
        it again is not the transport's to decide.
        """
        if self._begun:
            self._repeated = True
            return pycurl.SOCKOPT_ERROR
        self._connected = True
        return pycurl.SOCKOPT_OK

    def _may_send(self, *_: object) -> int:
        """Allow the request to go out once; the second connection may be one that was kept, too."""
        if self._begun:
            self._repeated = True
            return pycurl.PREREQFUNC_ABORT
        self._begun = True
        return pycurl.PREREQFUNC_OK

    def _sent(self) -> int | None:
        """
        Return how many bytes of the body left at most, ``None`` where that cannot be known.

        libcurl counts what ``send()`` or ``SSL_write()`` took. Where a TLS write blocks half-way, records of it have
        left and nothing is counted yet (lib/vtls/openssl.c: no partial writes).
        """
        proxies = {**getproxies_environment(), **self._target.proxies}.values()
        tls = any(urlsplit(url).scheme == "https" for url in (self.url, *proxies))
        if tls or not self._connected:
            return None
        return int(self.curl.getinfo(pycurl.SIZE_UPLOAD_T))

    def _write(self, data: bytes) -> None:
        if self.size < self._limit:
            self.kept.append(data)
        self.size += len(data)

    def answer(self, code: int = 0, reason: str = "") -> Response:
        """Return the response that the handle received, or the error it ended with."""
        request, self.request = self.request, None
        assert request is not None
        curl = self.curl
        status: int = curl.getinfo(_RESPONSE_CODE)
        if code and not status_stands(code, status, begun=self._begun):
            return Response(request, error=self._error(code, reason, status, request.length))
        body = b"".join(self.kept)[: self._limit]
        if 200 <= status < 300:  # noqa: PLR2004 - success needs no more of the headers
            if not self.size and not head_is_whole(self._head):
                return Response(request, error=AmbiguousError(f"the answer {status} broke off in its headers"))
            return Response(request, status, body, not code and self.size <= self._limit, head=tuple(self._head))
        return Response(
            request,
            status,
            body,
            whole=not code and self.size <= self._limit,
            # libcurl's own reading of it ends at six hours.
            retry_after=parse_retry_after(header_of(self._head, b"retry-after")),
            location=curl.getinfo(pycurl.REDIRECT_URL) or header_of(self._head, b"location"),
            head=tuple(self._head),
        )

    def _error(self, code: int, reason: str, status: int, length: int) -> TransportError:
        # A body in pieces cannot be rewound, on purpose: libcurl would do so only to send it again.
        if self._repeated or code == pycurl.E_SEND_FAIL_REWIND:
            reason = "the server closed a kept connection without an answer"
        number = self.curl.getinfo(pycurl.OS_ERRNO)
        return translated(code, reason, status, begun=self._begun, sent=self._sent(), length=length, os_errno=number)


class CurlTransport:
    """
    Carry requests with libcurl.

    :param target: where to, and how
    :param in_flight: requests in flight at most; more are refused by :meth:`exchange`
    :param headers: headers for every request beside the target's, which win
    :param answer_bytes: how much of an answer is kept, in bytes
    :param may_repeat: let requests go out on kept connections, which may turn out to be closed, so that the caller has
        to send them again; without it every request has a connection of its own
    """

    def __init__(
        self,
        target: Target,
        *,
        in_flight: int = 1,
        headers: Mapping[str, str] | None = None,
        answer_bytes: int = ANSWER_BYTES,
        may_repeat: bool = True,
    ) -> None:
        lines = _lines(request_headers(target.headers, headers or {}))
        agent = next((line for line in lines if line.lower().startswith(_USER_AGENT)), b"")
        # libcurl would wait a second for "100 Continue" before every large body.
        self._lines = [*(line for line in lines if line is not agent), b"Expect:"]
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, in_flight)
        agent = agent[len(_USER_AGENT) :]
        self._handles = [
            _Handle(target, self._lines, agent, answer_bytes, may_repeat=may_repeat) for _ in range(in_flight)
        ]
        self._free = list(self._handles)
        self._busy: dict[Any, _Handle] = {}
        self._wary = False

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Response]:
        """Start these requests, then return the answers that are in; see :class:`~.transport.Transport`."""
        multi = self._multi
        for request in starting:
            self._start(request, 0)
        if not self._busy:
            time.sleep(wait)
            return []
        multi.perform()
        answers = self._collect()
        deadline = 0.0 if answers else time.monotonic() + wait
        while not answers:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            # libcurl has timers of its own (time-outs, connection attempts): never sleep through them.
            due = multi.timeout()
            multi.select(left if due < 0 else min(left, max(due, 1) / 1000))
            multi.perform()
            answers = self._collect()
        return answers

    def _collect(self) -> list[Response]:
        answers: list[Response] = []
        multi, free = self._multi, self._free
        more = 1
        while more:
            more, done, failed = multi.info_read(256)
            for curl, code, reason in [*[(curl, 0, "") for curl in done], *failed]:
                handle = self._busy.pop(curl)
                multi.remove_handle(curl)
                free.append(handle)
                answer = handle.answer(code, reason)
                if answer.status == _TOO_LARGE:
                    # Servers close the connection on which they refused a body for its size, and seldom say so.
                    self._wary = True
                if answer.location is None or not self._follow(handle, answer):
                    answers.append(answer)
        return answers

    def _follow(self, handle: _Handle, answer: Response) -> bool:
        """Send a request on to where it is redirected, if it may go there."""
        url = next_url(answer.status or 0, answer.location, handle.url, handle.followed)
        if url is None:
            return False
        self._start(replace(answer.request, url=url), handle.followed + 1)
        return True

    def _start(self, request: Request, followed: int) -> None:
        handle = self._free.pop()
        if self._wary:
            request.fresh, self._wary = True, False
        handle.load(request, self._lines)
        handle.followed = followed
        self._busy[handle.curl] = handle
        self._multi.add_handle(handle.curl)

    def close(self) -> None:
        """Give up what is in flight and close the connections."""
        for curl in self._busy:
            self._multi.remove_handle(curl)
        self._busy.clear()
        self._multi.close()
        for handle in self._handles:
            handle.curl.close()
