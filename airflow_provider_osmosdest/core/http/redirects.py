"""Decide which redirects a request with records and credentials may follow."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

__all__ = ["next_url"]

# 307 and 308 keep method and body (RFC 9110 sections 15.4.8 and 15.4.9); the others would turn a POST into a GET.
_KEEPING = frozenset({307, 308})
_MOST = 5
_PORTS = {"http": 80, "https": 443}


def next_url(status: int, location: str | None, here: str, followed: int) -> str | None:
    """
    Return where a request goes from here, ``None`` where the redirect is not followed.

    Only on the same scheme, host and port: no other server may get headers and body.

    :param status: of the answer
    :param location: where it points to
    :param here: the URL that answered
    :param followed: how many redirects the request has followed already
    """
    if status not in _KEEPING or not location or followed >= _MOST:
        return None
    try:
        there = urljoin(here, location)
        return there if _origin(there) == _origin(here) else None
    except ValueError:
        # A location that is no URL leads nowhere.
        return None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
