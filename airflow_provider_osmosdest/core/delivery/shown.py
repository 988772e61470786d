"""Show a request and a response: first line, headers and the start of the body, secrets masked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.http.target import SHORTEST_SECRET
from airflow_provider_osmosdest.core.http.transport import Body, request_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_osmosdest.core.http.target import Target
    from airflow_provider_osmosdest.core.http.transport import Request, Response

__all__ = ["ShownRequest", "ShownResponse", "show_request", "show_response"]

_EXCERPT = 2_000
"""How much of a body is shown, in bytes."""

# What AuthorizingTransport makes for one request, so that no connection holds it.
_MADE = frozenset({"authorization", "webhook-signature"})


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """
    A request, fit to be shown.

    :param body: its start, or what it is where that is no text
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: str

    def __str__(self) -> str:
        """Return it as it goes over the wire."""
        return _text(f"{self.method} {self.url} HTTP/1.1", self.headers.items(), self.body)


@dataclass(frozen=True, slots=True)
class ShownResponse:
    """
    A response, fit to be shown.

    :param headers: in the order they came in; a name may come twice
    :param body: its start
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    def __str__(self) -> str:
        """Return it as it came over the wire."""
        return _text(f"HTTP/1.1 {self.status}", self.headers, self.body)


def show_request(target: Target, headers: Mapping[str, str], request: Request) -> ShownRequest:
    """
    Return a request without its secrets.

    :param target: where it goes
    :param headers: those of every request beside the target's
    """
    start = b""
    for piece in request.body.pieces if isinstance(request.body, Body) else [request.body]:
        start += bytes(piece[: _EXCERPT - len(start)])
    sent = {
        **request_headers({name: _hidden(value) for name, value in target.headers.items()}, headers),
        **{name: "***" if name.lower() in _MADE else value for name, value in (request.headers or {}).items()},
        "Content-Length": str(request.length),
    }
    if "Content-Encoding" in headers:
        body = f"({request.length:,} bytes, {headers['Content-Encoding']})"
    else:
        body = _cut(start.decode(errors="replace"), request.length - len(start))
    return ShownRequest(
        target.method,
        target.redact(request.url or target.url),
        {name: target.redact(value) for name, value in sent.items()},
        target.redact(body),
    )


def show_response(target: Target, request: Request, response: Response) -> ShownResponse | None:
    """
    Return a response without secrets, which it may echo; ``None`` where none came.

    :param target: where the request went
    :param request: as it was sent, authorization included
    """
    if response.status is None:
        return None
    made = [value.rpartition(" ")[2] for name, value in (request.headers or {}).items() if name.lower() in _MADE]

    def redact(text: str) -> str:
        for secret in made:
            text = text.replace(secret, "***")
        return target.redact(text)

    body = redact(response.body.decode(errors="replace"))
    headers = ((name, "***" if name.lower() == "set-cookie" else redact(value)) for name, value in response.headers)
    return ShownResponse(response.status, tuple(headers), _cut(body[:_EXCERPT], len(body) - _EXCERPT))


def _hidden(value: str) -> str:
    """Return a header's value without what is too short for :meth:`~.target.Target.redact`."""
    scheme, blank, secret = value.rpartition(" ")
    return value if len(secret) >= SHORTEST_SECRET else f"{scheme}{blank}***"


def _cut(start: str, more: int) -> str:
    return f"{start}… ({more:,} more bytes)" if more > 0 else start


def _text(first: str, headers: Iterable[tuple[str, str]], body: str) -> str:
    return "\n".join([first, *(f"{name}: {value}" for name, value in headers), "", body])
