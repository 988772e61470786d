"""Where requests go: a frozen value made from the connection, all that a transport needs of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.core.http.urls import masked_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_osmosdest.core.http.oauth2 import ClientCredentials

__all__ = ["DEFAULT_TIMEOUT", "SHORTEST_SECRET", "Destination", "Target", "climbs", "join_url"]

DEFAULT_TIMEOUT = 60.0
"""Seconds to wait for an answer once the body is sent."""

SHORTEST_SECRET = 5
"""Characters below which a secret is not taken out of a text: it would match by chance."""

# RFC 9110 sections 5.1 and 5.5: a name is a token; a value has no control characters.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# A wrong one would have the server read another request than was sent.
_OURS = frozenset({"content-length", "transfer-encoding", "host"})
# RFC 3986 section 5.2.4; some servers take a backslash for a slash.
_DOTS = re.compile(r"(?:^|[/\\])\.\.?(?:$|[/\\])")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Destination(Protocol):
    """What the engine needs of a destination; its transport needs more."""

    @property
    def url(self) -> str:
        """The URL, perhaps with ``{field}`` templates; may be secret."""

    @property
    def described(self) -> str:
        """What the log and errors call it, without secrets."""

    @property
    def request_noun(self) -> str:
        """What the log calls the sending of one body, a noun in the singular."""

    @property
    def advice(self) -> str:
        """What to do when it cannot be reached: the end of a sentence."""

    @property
    def refuses(self) -> bool:
        """Whether it may refuse what is sent."""

    def redact(self, text: str) -> str:
        """Return ``text`` without the destination's secrets."""


@dataclass(frozen=True, slots=True)
class Target:
    """
    An endpoint and how to reach it.

    :param url: scheme, host, path and query; in ``record`` mode the path may hold ``{field}`` templates. Its query may
        be secret and never appears in ``repr``
    :param method: the HTTP method
    :param headers: what goes with every request; values may be secret and never appear in ``repr``
    :param verify: check the server's certificate: ``True``, ``False``, or the path of a CA bundle
    :param cert: path of a client certificate, or of certificate and key
    :param proxies: proxy URL by scheme, as ``requests`` has it
    :param timeout: seconds to wait for an answer once the body is sent
    :param connect_timeout: seconds to wait for a connection
    :param secrets: texts that :meth:`redact` takes out of a server's answers, which may echo them
    :param oauth2: how to get a bearer token for each request, ``None`` for no OAuth2
    :param signing_secret: signs each request's body, ``None`` for no signatures
    :raises ConnectorError: for a URL, method or header that cannot be sent
    """

    url: str = field(repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = DEFAULT_TIMEOUT
    connect_timeout: float = 30.0
    secrets: tuple[str, ...] = field(default=(), repr=False)
    oauth2: ClientCredentials | None = None
    signing_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check that URL, method and headers can be sent as they are."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"URL: found {masked_url(self.url)!r}, expected http:// or https:// and a host"
            raise ConnectorError(msg)
        if _CONTROL.search(self.url) or " " in self.url:
            msg = f"URL: {masked_url(self.url)!r} holds spaces or control characters"
            raise ConnectorError(msg)
        if not _TOKEN.fullmatch(self.method):
            msg = f"method: found {self.method!r}, expected an HTTP method like POST"
            raise ConnectorError(msg)
        for name, value in self.headers.items():
            if not _TOKEN.fullmatch(name):
                msg = f"headers: {name!r} cannot be the name of a header"
                raise ConnectorError(msg)
            if name.lower() in _OURS:
                msg = f"headers: {name} is made from the request itself and cannot be set"
                raise ConnectorError(msg)
            if _CONTROL.search(value):
                msg = f"headers: the value of {name} holds line breaks or other control characters"
                raise ConnectorError(msg)

    @property
    def public_url(self) -> str:
        """The URL without user, password and query: fit for logs and pages."""
        return masked_url(self.url)

    @property
    def described(self) -> str:
        """The method and the URL, as the log and errors have them."""
        return f"{self.method} {self.public_url}"

    @property
    def request_noun(self) -> str:
        """What the log calls the sending of one body."""
        return "request"

    @property
    def advice(self) -> str:
        """What to do when it cannot be reached."""
        return "check host, port and network, or try again when the API is back"

    @property
    def refuses(self) -> bool:
        """Whether it may refuse what is sent: an API may."""
        return True

    def redact(self, text: str) -> str:
        """Return ``text`` with every secret of this target replaced by ``***``."""
        # The longest first: one secret may be a part of another.
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def join_url(base: str, endpoint: str) -> str:
    """
    Put an endpoint behind a base URL, with one slash between them.

    :param base: a URL with scheme and host, and perhaps a path
    :param endpoint: a path below it, perhaps with a query; never another host
    :raises ConnectorError: when the endpoint would leave the base's host, or holds ``.`` or ``..``, which a server may
        take as a way out of the base's path
    """
    if not endpoint:
        return base
    if "://" in endpoint.split("?", 1)[0] or endpoint.startswith("//"):
        msg = f"endpoint: found {masked_url(endpoint)!r}, expected a path below the connection's base URL"
        raise ConnectorError(msg)
    parts = urlsplit(base)
    path, mark, query = endpoint.partition("?")
    # Servers and gateways may decode first: "%2e%2e" and "..%2f" climb as ".." does (RFC 3986 section 6.2.2.2).
    if climbs(unquote(path)):
        msg = (
            f"endpoint: found {masked_url(endpoint)!r}, which holds '.' or '..' between slashes: expected a path below "
            "the connection's base URL. To reach another, change the connection's host, or make another connection"
        )
        raise ConnectorError(msg)
    if path:
        path = f"{parts.path.rstrip('/')}/{path.lstrip('/')}"
    both = "&".join(text for text in (parts.query, query if mark else "") if text)
    return urlunsplit((parts.scheme, parts.netloc, path or parts.path, both, ""))


def climbs(path: str) -> bool:
    """Whether a path holds ``.`` or ``..`` between slashes, and so leads to another path than it seems to."""
    return "." in path and _DOTS.search(path) is not None
