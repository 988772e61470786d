"""A response as paginators and selectors read it: headers, links, and JSON that is decoded once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.errors import PagingError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PageResponse", "keys_of"]

_SHOWN_BYTES = 200
_SHOWN_KEYS = 20


class PageResponse:
    """
    A whole response, with what dlt's paginators use of a ``requests.Response``: ``json()``, ``headers`` and ``links``.

    :param status: the status code
    :param headers: values by name, whatever the case of the names
    :param body: all of it, unpacked
    :param name: what errors call it, such as ``page 3 of GET https://api.example.com/orders``
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, name: str = "the answer") -> None:
        self.status = status
        self.headers = headers
        self.body = _as_utf8(body, headers.get("Content-Type") or "")
        self.name = name
        self._decoded = False
        self._document: Any = None

    @property
    def is_empty(self) -> bool:
        """Whether it says itself that it has no content (RFC 9110 section 15.3.5)."""
        return self.status == 204 and not self.body  # noqa: PLR2004 - No Content

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """The ``Link`` header (RFC 8288) by relation, as ``requests`` has it."""
        from requests.utils import parse_header_links

        header = self.headers.get("Link")
        found = parse_header_links(header) if header else []
        return {link.get("rel") or link.get("url") or "": link for link in found}

    def json(self) -> Any:
        """
        Return the document.

        :raises PagingError: when it is not JSON
        """
        if not self._decoded:
            self._document = None if self.is_empty else self.decode(self.body, msgspec.json.decode)
            self._decoded = True
        return self._document

    def decode(self, data: Any, decoder: Any) -> Any:
        """
        Decode a part of the body.

        :raises PagingError: when it is not JSON, with the status and the first bytes
        """
        try:
            return decoder(data)
        except msgspec.ValidationError:
            if decoder is not msgspec.json.decode:
                raise
            # A number beyond what a float holds; no paginator uses one.
            return json.loads(bytes(data))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self.not_json(error) from None

    def not_json(self, error: Exception) -> PagingError:
        """Return the error for a body that is not JSON."""
        kind = self.headers.get("Content-Type") or "no Content-Type"
        return PagingError(
            f"{self.name}: answered {self.status} with what is not JSON ({error}). It is {len(self.body):,} bytes "
            f"({kind}) and begins with {self.head}. Check the endpoint, and whether the API wants an Accept header."
        )

    @property
    def head(self) -> str:
        """The first bytes, as they may be shown once secrets are out of them."""
        return repr(self.body[:_SHOWN_BYTES].decode("utf-8", errors="replace"))


def keys_of(document: Any) -> str:
    """List the keys of a document, so that a user can find the right path into it."""
    if isinstance(document, list):
        return f"an array of {len(document):,}"
    if not isinstance(document, dict):
        return "nothing" if document is None else f"a {type(document).__name__}"
    shown = []
    for name, value in list(document.items())[:_SHOWN_KEYS]:
        inside = f" (array of {len(value):,})" if isinstance(value, list) else ""
        if isinstance(value, dict) and value:
            inside = f" (object with {', '.join(list(value)[:_SHOWN_KEYS])})"
        shown.append(f"{name}{inside}")
    return f"an object with the keys {', '.join(shown)}" if shown else "an object without keys"


def _as_utf8(body: bytes, content_type: str) -> bytes:
    """Return JSON as RFC 8259 section 8.1 has it; other encodings that some servers send are converted."""
    if body.isascii():
        # Without a zero byte; UTF-16 of plain letters is ASCII, too.
        if b"\0" not in body[:4]:
            return body
    elif body.startswith(b"\xef\xbb\xbf"):
        return body[3:]
    encoding: str = json.detect_encoding(body)
    if encoding.startswith("utf-8"):
        from requests.utils import get_encoding_from_headers

        try:
            body.decode()
        except UnicodeDecodeError:
            encoding = get_encoding_from_headers({"content-type": content_type}) or encoding
        else:
            return body
    try:
        return body.decode(encoding).encode()
    except (LookupError, ValueError):
        return body
