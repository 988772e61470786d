"""Encode URLs for the wire, mask them for the log, and find the certificates to trust."""

from __future__ import annotations

import os
from urllib.parse import quote, urlsplit, urlunsplit

__all__ = ["ascii_url", "masked_url", "trusted_certificates"]

_URL_MARKS = "%:/?#[]@!$&'()*+,;=~"
"""What stands in a URL for itself, RFC 3986 section 2, and what is percent-encoded already."""


def ascii_url(url: str) -> str:
    """Return a URL as it goes over the wire: libcurl takes no other letters than ASCII's."""
    if url.isascii():
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return quote(urlunsplit(parts._replace(netloc=user + at + host.encode("idna").decode())), safe=_URL_MARKS)


def trusted_certificates() -> str:
    """Return the certificates to trust, from where ``requests`` takes them."""
    import certifi  # comes with requests; the wheel's libcurl looks where its build machine had certificates

    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()


def masked_url(url: str) -> str:
    """Return a URL without what may be secret in it: user, password and query."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "***" if parts.query else "", ""))
    except ValueError:
        return "(not a URL)"
