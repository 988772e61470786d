"""Conditional responses: their bytes, the ETag of exactly these bytes, and 304."""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from airflow_provider_osmosdest.web.http.negotiation import coding_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from airflow_provider_osmosdest.web.http.negotiation import Coding

__all__ = ["CACHING", "Representation", "matches", "represent", "respond"]

CACHING = {"Cache-Control": "private, no-cache", "Vary": "Accept, Accept-Encoding"}
"""Headers of data with an ETag: its client may keep it, and revalidates it each time."""

_LEVEL = 1
_GZIP_WRAPPER = 31  # zlib's window of 15 bits, plus 16 for a gzip header and trailer
_DIGEST_BYTES = 16
_ETAG = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class Representation:
    """
    The body of a response.

    :param body: as they are sent
    :param media_type: of what they hold
    :param coding: their content coding
    :param etag: of these very bytes, quotes included
    """

    body: bytes
    media_type: str
    coding: Coding
    etag: str


def represent(content: bytes, media_type: str, coding: Coding) -> Representation:
    """
    Encode content; slow, so call it outside of the event loop.

    :param content: what to send
    :param media_type: its media type
    :param coding: its content coding
    """
    match coding:
        case "gzip":
            body = zlib.compress(content, _LEVEL, _GZIP_WRAPPER)
        case "zstd":
            import zstandard

            body = zstandard.ZstdCompressor(level=_LEVEL).compress(content)
        case _:
            body = content
    digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES, person=coding.encode())
    return Representation(body, media_type, coding, f'"{digest.hexdigest()}"')


def matches(request: Request, etag: str) -> bool:
    """
    Tell whether the client has this already (``If-None-Match``, RFC 9110, section 13.1.2).

    :param request: what it sent
    :param etag: what we would send
    """
    given = ",".join(request.headers.getlist("if-none-match")).strip()
    return given == "*" or etag in _ETAG.findall(given)


def respond(request: Request, representation: Representation, headers: Mapping[str, str]) -> Response:
    """
    Return the response, or 304 where the client has it already.

    :param request: the request
    :param representation: the bytes
    :param headers: further headers
    """
    every = {
        **CACHING,
        **headers,
        "ETag": representation.etag,
        **coding_header(representation.coding, request.headers.get("accept-encoding")),
    }
    if matches(request, representation.etag):
        return Response(None, 304, every)
    return Response(representation.body, 200, every, representation.media_type)
