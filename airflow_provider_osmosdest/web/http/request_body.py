"""Receive a body within limits of bytes and time, and close the connection cleanly where it is not read."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from starlette.responses import Response

from airflow_provider_osmosdest.web.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

__all__ = ["Bodies", "Incoming", "Room"]

_IDLE_SECONDS = 30.0
_LONGEST_SECONDS = 300.0
_ROOM_BYTES = 128 * 2**20
_UNTRUSTED_BYTES = 32 * 2**20
_UNTRUSTED = 500
_RETRY_SECONDS = 2

_LINGER_SECONDS = 5.0
_LINGER_BYTES = 64 * 2**20


class Room:
    """
    Bound the bytes of bodies in memory, over all requests.

    :param most: bytes
    :param bodies: how many bodies may be on their way at once; ``None`` for as many as fit
    """

    def __init__(self, most: int, bodies: int | None = None) -> None:
        self._most = most
        self._bodies = bodies
        self.held = 0
        self.holders = 0

    @contextlib.contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """
        Yield a function that reserves bytes for one request, and release them all at the end.

        :raises Problem: 503 when there is no room left, also from that function
        """
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if self.held + size > self._most:
                raise _full()
            self.held += size
            mine += size

        if self.holders == self._bodies:
            raise _full()
        self.holders += 1
        try:
            yield take
        finally:
            self.holders -= 1
            self.held -= mine


def _full() -> Problem:
    return Problem(
        503,
        "Too many bodies",
        f"other bodies are being taken now; send this one again in {_RETRY_SECONDS} s",
        headers={"Retry-After": str(_RETRY_SECONDS)},
    )


class Bodies:
    """Room for the bodies of an app; those of senders without a token cannot crowd out the others."""

    def __init__(self) -> None:
        self.trusted = Room(_ROOM_BYTES)
        self.untrusted = Room(_UNTRUSTED_BYTES, _UNTRUSTED)


class Incoming:
    """
    The body of one request.

    :param request: the request, whose body no other code may read
    :param idle: seconds the client may be silent
    :param longest: seconds the whole body may take
    """

    def __init__(self, request: Request, *, idle: float = _IDLE_SECONDS, longest: float = _LONGEST_SECONDS) -> None:
        self._receive: Receive = request.receive
        self._idle = idle
        self._longest = longest
        self._begun = False
        self._ended = False
        self._waits = request.headers.get("expect", "").lower() == "100-continue"
        length = request.headers.get("content-length", "")
        self._length = int(length) if length.isascii() and length.isdigit() else None
        self._empty = not self._length and "transfer-encoding" not in request.headers

    async def read(self, limit: int, too_large: Callable[[int], Exception], take: Callable[[int], None]) -> bytes:
        """
        Return the body.

        :param limit: the most bytes; a body that announces more is refused before any of it is read
        :param too_large: makes what is raised for more, from the limit
        :param take: reserves room in memory
        :raises Problem: 408 for a client that is silent or slow, 400 for one that disconnects in the middle
        """
        if self._length is not None and self._length > limit:
            raise too_large(limit)
        pieces: list[bytes] = []
        size = 0
        end = asyncio.get_running_loop().time() + self._longest
        while not self._ended:
            piece = await self._next(end)
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            take(len(piece))
            pieces.append(piece)
        return b"".join(pieces)

    def part(self, response: Response) -> Response:
        """
        Return a response that closes the connection if the body has not been read to its end.

        :param response: the response
        """
        if self._ended or self._empty:
            return response
        response.headers["Connection"] = "close"
        return _LastResponse(response, self)

    async def drain(self) -> None:
        """
        Drop what is received, for a while.

        Closing while the client is still sending resets the connection, which discards the response unread.
        """
        if self._waits and not self._begun:
            # It has not begun to send, and will not.
            return
        left = _LINGER_BYTES
        end = asyncio.get_running_loop().time() + _LINGER_SECONDS
        with contextlib.suppress(Problem):
            while left > 0 and not self._ended:
                left -= len(await self._next(end))

    async def _next(self, end: float) -> bytes:
        self._begun = True
        now = asyncio.get_running_loop().time()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, min(self._idle, end - now)))
        except TimeoutError:
            raise Problem(408, "Request timeout", "the body came too slowly, or not at all; send it again") from None
        if message["type"] == "http.disconnect":
            self._ended = True
            raise Problem(400, "Unreadable body", "the connection ended before the body did")
        self._ended = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body


class _LastResponse(Response):
    """A response after which the connection is closed, once the client has had the time to read it."""

    def __init__(self, response: Response, incoming: Incoming) -> None:
        super().__init__()
        self.status_code = response.status_code
        self.raw_headers = response.raw_headers
        self.body = response.body
        self._incoming = incoming

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, then drop what is received for a while."""
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await self._incoming.drain()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
