"""The interface of a transport: requests in, responses out, one method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_osmosdest import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_osmosdest.core.errors import TransportError

__all__ = ["ANSWER_BYTES", "SLOWEST", "Body", "Request", "Response", "Transport", "request_headers", "seconds_for"]

ANSWER_BYTES = 64 * 1024
"""How much of an answer is kept by default, in bytes; the rest is read and dropped."""

SLOWEST = 100_000
"""Bytes a second below which sending a body counts as hanging."""


@dataclass(frozen=True, slots=True)
class Body:
    """
    A request's body as the pieces it is kept in, never joined.

    :param pieces: sent one after another
    :param length: bytes of all pieces together
    """

    pieces: Sequence[bytes | memoryview]
    length: int


@dataclass(slots=True)
class Request:
    """
    One request.

    :param body: bytes where they are few, else the pieces they are kept in
    :param key: the caller's own mark, handed back with the answer
    :param url: where to, if not the target's URL
    :param headers: headers for this request alone
    :param message_id: id of what is sent, the same each time it is sent
    :param fresh: on a connection of its own: the one before it broke, and others kept as long may be broken, too
    """

    body: bytes | Body
    key: Any = None
    url: str | None = None
    headers: Mapping[str, str] | None = None
    message_id: str = ""
    fresh: bool = False

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return self.body.length if isinstance(self.body, Body) else len(self.body)


@dataclass(slots=True)
class Response:
    """
    The result of one request: a whole answer, or an error that says how far the request got.

    :param status: the status code, ``None`` where no whole answer came
    :param body: the answer's first bytes, up to the transport's bound
    :param whole: whether ``body`` is all of it
    :param retry_after: seconds the server asked to wait
    :param error: why there was no whole answer
    :param location: where a redirect points to
    :param head: its status line and header lines as they came, those of interim answers before and trailers after it
    """

    request: Request
    status: int | None = None
    body: bytes = b""
    whole: bool = True
    retry_after: float | None = None
    error: TransportError | None = field(default=None)
    location: str | None = None
    head: Sequence[bytes] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The header lines of the answer itself, as names and values."""
        found: list[tuple[str, str]] = []
        for line in self.head:
            if line.startswith(b"HTTP/"):
                found = []
            name, colon, value = line.decode("latin-1").partition(":")
            if colon and not line.startswith(b"HTTP/"):
                found.append((name, value.strip()))
        return found


class Transport(Protocol):
    """
    Carry requests. Several may be in flight; one method starts and collects them.

    A transport never retries, follows only what :mod:`~.redirects` allows, and never raises for what happened on the
    wire: that stands in the answer's ``error``.
    """

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Response]:
        """
        Start these requests, then return the answers that are in.

        :param starting: requests to start now
        :param wait: seconds to wait at most when no answer is in yet
        :return: answers to requests started in this call or earlier, perhaps none
        """

    def close(self) -> None:
        """Give up what is in flight and close the connections."""


def seconds_for(timeout: float, length: int) -> float:
    """
    Return how long one request may take, from its start to the end of its answer, in seconds.

    :param timeout: the target's, which does not count the sending of a body
    :param length: bytes of the body
    """
    return timeout + length / SLOWEST


def request_headers(target: Mapping[str, str], more: Mapping[str, str], *, has_body: bool = True) -> dict[str, str]:
    """
    Return the headers of every request: the target's, and the defaults it does not name (case does not count).

    :param target: the connection's and the task's own headers, which win
    :param more: headers that come from write options, such as ``Content-Encoding``
    :param has_body: whether they describe a body
    """
    defaults = {
        **({"Content-Type": "application/json"} if has_body else {}),
        "Accept": "application/json, */*;q=0.5",
        "User-Agent": f"airflow-provider-osmosdest/{__version__}",
        **more,
    }
    given = {name.lower() for name in target}
    return {**target, **{name: value for name, value in defaults.items() if name.lower() not in given}}
