"""
HTTP/1.1 as uvicorn and h11 speak it, within bounds of what a client may send, keep open and leave unread.

uvicorn bounds neither a header's size once it has come in one piece, nor the time it takes, nor how many connections
ask for nothing; everything else here is uvicorn's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from airflow_provider_osmosdest.web.http.problems import PROBLEM_TYPE, Problem, problem_response
from airflow_provider_osmosdest.web.long_poll import ON_SHUTDOWN

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

__all__ = ["BoundedProtocol", "Bounds", "Protocols"]

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 2**20
_RETRY_SECONDS = 2

_TITLES = {
    400: ("Bad request", "expected a request of HTTP/1.1 (RFC 9112), and this is none; mend what sends it"),
    408: ("Request timeout", "the header came too slowly; send the request again"),
    431: ("Request header fields too large", "expected at most {:,} bytes of request line and header together"),
    501: ("Not implemented", "expected no Transfer-Encoding other than chunked"),
}

_Phase = Literal["header", "idle"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    The limits of what the clients of one process may use.

    :param header_bytes: of a request line and header, together
    :param header_seconds: from a connection's beginning, or a request's first byte, to the end of its header
    :param idle_seconds: between two requests on one connection; longer than partners pause
    :param unread_seconds: in which a client must read something of a response that it has not read whole
    :param unasked: connections that wait for a whole header; above, the one that has waited longest is closed
    :param connections: connections; above, each request is answered with 503
    """

    header_bytes: int = 16 * 1024
    header_seconds: float = 10.0
    idle_seconds: float = 75.0
    unread_seconds: float = 60.0
    unasked: int = 500
    connections: int = 2500


class Protocols:
    """
    Make the protocol of each connection of one process; can be pickled, so that workers can be started with it.

    :param bounds: its limits
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.unasked: dict[BoundedProtocol, None] = {}

    def __call__(self, **kwargs: Any) -> BoundedProtocol:
        """Make one, as uvicorn does."""
        return BoundedProtocol(self, **kwargs)


class _Connection(h11.Connection):
    """
    Reject a header that is too large also where it comes in one piece, and keep what the response needs.

    :param most: bytes of a header
    """

    def __init__(self, most: int) -> None:
        super().__init__(h11.SERVER, most)
        self._most = most
        self.error_status = 400
        self.method = b""

    def next_event(self) -> Any:
        """Return the next event."""
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                self.method = event.method
                _check_size(event, self._most)
        except h11.RemoteProtocolError as error:
            self.error_status = error.error_status_hint
            raise
        return event


class BoundedProtocol(H11Protocol):
    """
    One connection.

    While the app works on a request, the app limits its time. Otherwise it is in one of two phases, each with a
    time limit that no byte prolongs: ``header``, when part of a request is here or its first one is due, and ``idle``.

    :param protocols: its bounds, and the connections it competes with
    """

    conn: _Connection
    cycle: RequestResponseCycle | None  # type: ignore[assignment]

    def __init__(self, protocols: Protocols, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._protocols = protocols
        self._bounds = protocols.bounds
        self.conn = _Connection(self._bounds.header_bytes)
        self._admitted = self.app
        self.app = self._admit
        self._phase: _Phase | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lingering: int | None = None
        self._unread = 0
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first header."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._unwatch()
        self._stop_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what was received, or drop it after a rejection."""
        if self._lingering is not None:
            self._lingering -= len(data)
            if self._lingering < 0:
                self.part()
            return
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        super().on_response_complete()
        self._watch()

    def shutdown(self) -> None:
        """Begin to shut down, and make the app end the requests that wait."""
        if (on_shutdown := self.app_state.get(ON_SHUTDOWN)) is not None:
            on_shutdown()
        if not self.transport.is_closing():
            super().shutdown()

    def pause_writing(self) -> None:
        """Limit the time until the client reads some of its response."""
        super().pause_writing()
        self._watch_unread()

    def resume_writing(self) -> None:
        """End that limit, as the client has read nearly all."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_unread()

    def send_400_response(self, msg: str) -> None:
        """Reject what is not HTTP, or too much of it."""
        del msg
        self._reject(self.conn.error_status)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.connections) <= self._bounds.connections:
            await self._admitted(scope, receive, send)
            return
        problem = Problem(
            503,
            "Too many connections",
            f"this server has too many connections open; send the request again in {_RETRY_SECONDS} s",
            headers={"Retry-After": str(_RETRY_SECONDS), "Connection": "close"},
        )
        await problem_response(problem)(scope, receive, send)

    def _watch(self) -> None:
        """Set the time limit of the phase that the connection is in; it stands until the phase ends."""
        if self._lingering is not None or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()
            return
        between = self.cycle is not None and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        phase: _Phase = "idle" if between else "header"
        if phase == self._phase:
            return
        self._unwatch()
        self._phase = phase
        seconds = self._bounds.idle_seconds if between else self._bounds.header_seconds
        self._timer = self.loop.call_later(seconds, self._time_is_up)
        unasked = self._protocols.unasked
        unasked[self] = None
        if len(unasked) > self._bounds.unasked:
            next(iter(unasked)).part()

    def _unwatch(self) -> None:
        self._phase = None
        self._protocols.unasked.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        if self.conn.trailing_data[0]:
            self._reject(408)
        else:
            self.part()

    def _reject(self, status: int) -> None:
        """Send an error, and drop what is received for a while: a reset would discard the error before it is read."""
        self._unwatch()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            # A response to this request was sent already, or half of one.
            self.part()
            return
        title, detail = _TITLES.get(status, _TITLES[400])
        problem = Problem(status, title, detail.format(self._bounds.header_bytes))
        body = msgspec.json.encode(problem.document)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", PROBLEM_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        to_head = self.conn.our_state is h11.SEND_RESPONSE and self.conn.method == b"HEAD"
        response = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES.get(status, b""))
        events = (response, h11.Data(data=b"" if to_head else body), h11.EndOfMessage())
        self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        if self.cycle is not None and not self.cycle.response_complete:
            # The app works on a request whose body turned out not to be HTTP; its own response would be a second one.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._lingering = _LINGER_BYTES
        self._protocols.unasked[self] = None
        self._timer = self.loop.call_later(_LINGER_SECONDS, self.part)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def part(self) -> None:
        """Close the connection, for the sake of others or because its time is up."""
        self._unwatch()
        if not self.transport.is_closing():
            self.transport.close()
            # Closing waits for the client to read what is left of its responses.
            if self.transport.get_write_buffer_size():
                self._watch_unread()

    def _watch_unread(self) -> None:
        self._stop_unread()
        self._unread = self.transport.get_write_buffer_size()
        self._unread_timer = self.loop.call_later(self._bounds.unread_seconds, self._still_unread)

    def _stop_unread(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _still_unread(self) -> None:
        if self.transport.get_write_buffer_size() >= self._unread:
            self.transport.abort()
        else:
            self._watch_unread()


def _check_size(request: h11.Request, most: int) -> None:
    """Reject a request line and header of more bytes than that, counted at their shortest."""
    size = len(request.method) + len(request.target) + len(b"  HTTP/1.1\r\n")
    size += sum(len(name) + len(value) + len(b": \r\n") for name, value in request.headers)
    if size > most:
        msg = f"found a header of {size} bytes, expected at most {most}"
        raise h11.RemoteProtocolError(msg, error_status_hint=431)
