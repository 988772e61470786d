"""
Read the head of an answer more strictly than libcurl and ``http.client`` do.

Both take a connection that closes among the headers for the end of an answer without a body. ``http.client``, which
``requests`` stands on, also takes a length that is no number for none, and any interim answer but 100 for the answer.
Each of them would settle records as delivered or refused before the API has answered.
"""

from __future__ import annotations

from functools import cache
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from io import BufferedReader

    from requests import Session

__all__ = ["head_is_whole", "header_of", "read_strictly"]

_SWITCHING = 101
_SUCCESS = 200
_STANDS = 300
"""The first status that is an answer even where the rest of it is missing."""


def head_is_whole(lines: Iterable[bytes]) -> bool:
    """
    Whether the head of an answer came to its end, which is an empty line.

    :param lines: status lines and header lines as they came, those of interim answers before and trailers after it
    """
    whole = False
    for line in lines:
        if line.startswith(b"HTTP/"):
            whole = False
        elif not line.strip(b"\r\n"):
            whole = True
    return whole


def header_of(lines: Iterable[bytes], name: bytes) -> str | None:
    """
    Return the last value of a header; libcurl does not say where a redirect that breaks off leads.

    :param lines: header lines as they came
    :param name: in lower case
    """
    value = None
    for line in lines:
        found, colon, rest = line.partition(b":")
        if colon and found.lower() == name:
            value = rest.strip().decode("latin-1")
    return value


def read_strictly(session: Session) -> None:
    """
    Have a session's adapters read heads strictly.

    :param session: adapters of it that do not stand on urllib3's connection pools stay as they are
    """
    for adapter in session.adapters.values():
        if (choose := getattr(adapter, "get_connection_with_tls_context", None)) is not None:
            adapter.get_connection_with_tls_context = _strict(choose)  # type: ignore[attr-defined]


def _strict(choose: Callable[..., Any]) -> Callable[..., Any]:
    def chosen(*args: Any, **named: Any) -> Any:
        pool = choose(*args, **named)
        pool.ConnectionCls = _reading_strictly(pool.ConnectionCls)
        return pool

    return chosen


@cache
def _reading_strictly(connection: type) -> type:
    if getattr(connection, "response_class", None) is _StrictResponse:
        return connection
    return type(connection.__name__, (connection,), {"response_class": _StrictResponse})


class _Lines:
    """The lines of a head, the last of which is kept."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        """Return the next line."""
        self.last = self._file.readline(limit)
        return self.last


class _StrictResponse(HTTPResponse):
    def begin(self) -> None:
        """Read the head, past interim answers."""
        ahead = self.headers is None
        while ahead:
            self._begin()
            ahead = self.status < _SUCCESS
            if ahead:
                self.headers = None  # type: ignore[assignment]

    def _begin(self) -> None:
        file, lines = self.fp, _Lines(self.fp)
        self.fp = lines  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            self.fp = file
        if self.status >= _STANDS:
            return
        if lines.last.strip(b"\r\n") or not lines.last:
            raise HTTPException(f"the answer {self.status} broke off in its headers")
        if self.status == _SWITCHING:
            raise HTTPException("the answer is 101, and nothing was asked to be switched")
        length = self.headers.get("Content-Length")
        if length and self.length is None and not self.chunked:
            raise HTTPException(f"the answer {self.status} has a Content-Length that is none: {length[:100]!r}")
