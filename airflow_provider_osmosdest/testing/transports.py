"""
A transport for tests: a function that answers each request, and nothing patched.

::

    def handler(request: Request) -> Response | TransportError:
        return Response(request, 422, b"no") if b'"bad"' in body_of(request) else Response(request, 200)

    deliver(delivery, source, HandlerTransport(handler).factory, print)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import TransportError
from airflow_provider_osmosdest.core.http.transport import Body, Request, Response

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_osmosdest.core.http.target import Target

__all__ = ["HandlerTransport", "answering", "body_of"]


def answering(status: int, body: bytes = b"", **more: Any) -> Callable[[Request], Response]:
    """Return a handler that answers every request alike; ``more`` are fields of the answer."""
    return lambda request: Response(request, status, body, **more)


def body_of(request: Request) -> bytes:
    """Return a request's body in one piece."""
    return b"".join(request.body.pieces) if isinstance(request.body, Body) else request.body


class HandlerTransport:
    """
    Answer requests with a function, at once and in order unless told otherwise.

    Waiting takes no time; how long was waited while nothing was in flight is added up in ``waited``.

    :param handler: takes a request and returns its answer, or the error for which there is none
    :param in_flight: requests in flight at most; more are a mistake of the caller
    :param shuffle: hand out answers late and in an order it picks, as a network does
    """

    def __init__(
        self,
        handler: Callable[[Request], Response | TransportError],
        *,
        in_flight: int = 1,
        shuffle: random.Random | None = None,
    ) -> None:
        self._handler = handler
        self._shuffle = shuffle
        self._pending: list[Response] = []
        self.in_flight = in_flight
        self.target: Target | None = None
        self.headers: Mapping[str, str] = {}
        self.answer_bytes: int | None = None
        self.requests: list[Request] = []
        self.waited = 0.0
        self.most_in_flight = 0
        self.closed = False

    def factory(
        self, target: Target, *, in_flight: int, headers: Mapping[str, str], answer_bytes: int, may_repeat: bool
    ) -> HandlerTransport:
        """Store the arguments of a transport factory and return this transport."""
        self.target, self.in_flight, self.headers, self.answer_bytes = target, in_flight, headers, answer_bytes
        self.may_repeat = may_repeat
        return self

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Response]:
        """Start these requests, then return the answers that are in; see :class:`~.transport.Transport`."""
        if self.closed:
            raise AssertionError("a transport was used after it was closed")
        for request in starting:
            self.requests.append(request)
            came = self._handler(request)
            self._pending.append(Response(request, error=came) if isinstance(came, TransportError) else came)
        self.most_in_flight = max(self.most_in_flight, len(self._pending))
        if len(self._pending) > self.in_flight:
            raise AssertionError(f"{len(self._pending)} requests in flight, where {self.in_flight} were asked for")
        if not self._pending:
            self.waited += wait
        count = len(self._pending)
        if self._shuffle is not None and count:
            self._shuffle.shuffle(self._pending)
            # Now and then nothing is in yet, which a caller must handle as well.
            count = self._shuffle.randint(0, count)
        answers, self._pending = self._pending[:count], self._pending[count:]
        return answers

    def close(self) -> None:
        """Drop what is in flight."""
        self._pending.clear()
        self.closed = True
