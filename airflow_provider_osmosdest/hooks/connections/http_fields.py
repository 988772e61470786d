"""
Read the fields of an ``osmos_http`` connection, whichever way they were put there: form, JSON or URI.

Errors name the field; the hook adds the connection's id.
"""

from __future__ import annotations

import base64
import html
import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.core.http.oauth2 import ClientCredentials
from airflow_provider_osmosdest.core.http.target import DEFAULT_TIMEOUT, SHORTEST_SECRET
from airflow_provider_osmosdest.core.http.urls import masked_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "AUTHS",
    "NOT_SECRET",
    "SESSION_OPTIONS",
    "auth_of",
    "authorization",
    "base_url",
    "cert_of",
    "headers_of",
    "method_of",
    "proxies_of",
    "secrets_of",
    "timeout_of",
    "unread_of",
    "verify_of",
    "write_options",
]

AUTHS = ("none", "basic", "bearer", "oauth2", "signature")
"""The values of the connection's ``auth``."""

# What the login and the password are to each; what is not here, it does not send.
_SENDS: dict[str, dict[str, str]] = {
    "none": {},
    "basic": {"login": "the user", "password": "the user's password"},
    "bearer": {"password": "the token"},
    "oauth2": {"login": "the client id", "password": "the client secret"},
    "signature": {"password": "the signing secret"},
}
_ON_PURPOSE = (
    ". An API that wants one of the two empty (a key as login, or a token as password) takes it as a header: empty "
    'both, and set headers to {"Authorization": "Basic …"} with the base64 of login:password'
)
_OAUTH2_FIELDS = ("oauth2_url", "oauth2_scope", "oauth2_audience")

# The extras that HttpHook reads as options; it gets no others.
SESSION_OPTIONS = (
    "stream",
    "cert",
    "proxies",
    "proxy",
    "timeout",
    "verify",
    "verify_ssl",
    "allow_redirects",
    "max_redirects",
    "trust_env",
    "check_response",
    "srv_lookup",
)
"""Keys of the extra that are options of a session, as the HTTP provider has them."""

_READ = frozenset({"auth", *_OAUTH2_FIELDS, "method", "headers", "destination_schema", *SESSION_OPTIONS})

NOT_SECRET = frozenset(
    {"accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "content-type", "user-agent"}
)
"""Headers whose values are no secrets: masking them would blot words out of every log."""


def base_url(host: str | None, schema: str | None, port: int | None) -> str:
    """
    Return the base URL: the host field, which has a scheme and may have port and path.

    :raises ConnectorError: when there is no host
    """
    if not host:
        msg = "Base URL (host) is empty; expected one like https://api.example.com/v1"
        raise ConnectorError(msg)
    # As the HTTP provider has it: a scheme in its own field, for connections made of a URI.
    url = host if "://" in host else f"{schema or 'http'}://{host}"
    if port and urlsplit(url).port is None:
        parts = urlsplit(url)
        url = parts._replace(netloc=f"{parts.netloc}:{port}").geturl()
    return url


def headers_of(value: Any) -> dict[str, str]:
    """
    Read a ``headers`` field: a JSON object, or its text.

    :raises ConnectorError: when it is something else, or a value is not a text or a number
    """
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict):
        # The value itself is not shown: half a header is half a secret.
        msg = 'headers is not a JSON object; expected one like {"Authorization": "Bearer …"}'
        raise ConnectorError(msg)
    headers: dict[str, str] = {}
    for name, text in value.items():
        if isinstance(text, bool) or not isinstance(text, (str, int, float)):
            msg = f"the header {name} has a {type(text).__name__} for a value; expected a text"
            raise ConnectorError(msg)
        headers[name] = str(text)
    return headers


def auth_of(
    extra: Mapping[str, Any], login: str | None, password: str | None, *, elsewhere: bool = False
) -> tuple[str, ClientCredentials | None]:
    """
    Return the authentication of a connection, and the client credentials of an ``oauth2``.

    Where ``auth`` is empty, login and password make ``basic``, and a password alone makes ``bearer``. What was filled
    in is sent or refused, and never left out unsaid.

    :param elsewhere: an ``auth_type`` of the caller's, or a header, says who sends the requests, and an empty ``auth``
        sends nothing
    :raises ConnectorError: for an unknown one, one whose login or password is missing, and one that would not send
        the login, password or OAuth2 field that there is
    """
    given = {"login": bool(login and login.strip()), "password": bool(password and password.strip())}
    auth = extra.get("auth") or ("none" if elsewhere else _by_fields(**given))
    if auth not in AUTHS:
        msg = f"auth is {auth!r}; expected one of {', '.join(AUTHS)}"
        raise ConnectorError(msg)
    found = f"auth is {auth!r}" if extra.get("auth") else f"auth is empty, which means {auth!r} here,"
    sends = _SENDS[auth]
    if missing := [name for name in sends if not given[name]]:
        name = missing[0]
        msg = (
            f"{found} and the {name}, which holds {sends[name]}, is empty. Fill it in{_ON_PURPOSE * (auth == 'basic')}"
        )
        raise ConnectorError(msg)
    if unsent := [name for name, there in given.items() if there and name not in sends and not elsewhere]:
        fields = " and ".join(unsent)
        msg = f"{found} and there is a {fields}, which would not be sent. Empty the {fields}, or {_other(**given)}"
        raise ConnectorError(msg)
    if auth == "bearer" and (password or "").strip().lower().startswith("bearer "):
        msg = f"{found} and the password begins with 'Bearer ', which is put before the token anyway. Leave it out"
        raise ConnectorError(msg)
    oauth2 = {name: extra[name] for name in _OAUTH2_FIELDS if extra.get(name)}
    if auth == "oauth2":
        return auth, _credentials(oauth2, login or "", password or "")
    if oauth2:
        msg = f"{found} and there is {next(iter(oauth2))}. Set auth to oauth2, or empty {' and '.join(oauth2)}"
        raise ConnectorError(msg)
    return str(auth), None


def _by_fields(*, login: bool, password: bool) -> str:
    if login and not password:
        msg = (
            "auth is empty, and there is a login without a password. Fill in the password for basic, or move a token "
            f"from the login to the password for bearer{_ON_PURPOSE}"
        )
        raise ConnectorError(msg)
    return "basic" if login else "bearer" if password else "none"


def _other(*, login: bool, password: bool) -> str:
    """Return what else to do about a login or password that is not sent: the end of a sentence."""
    if login:
        both = "" if password else "fill in the password too and "
        return f"{both}set auth to basic or oauth2, which send both"
    return "set auth to bearer or signature"


def _credentials(fields: Mapping[str, Any], login: str, password: str) -> ClientCredentials:
    for name, value in fields.items():
        if not isinstance(value, str):
            msg = f"{name} is a {type(value).__name__}; expected a text"
            raise ConnectorError(msg)
    url = fields.get("oauth2_url", "")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        msg = f"oauth2_url: found {masked_url(url)!r}, expected the URL that gives out tokens, https://…"
        raise ConnectorError(msg)
    return ClientCredentials(
        url=url,
        client_id=login,
        client_secret=password,
        scope=fields.get("oauth2_scope"),
        audience=fields.get("oauth2_audience"),
    )


def authorization(auth: str, login: str | None, password: str | None) -> dict[str, str]:
    """Return the ``Authorization`` header: Basic (RFC 7617) or Bearer (RFC 6750)."""
    if auth == "basic":
        return {"Authorization": f"Basic {_basic(login, password or '')}"}
    if auth == "bearer":
        return {"Authorization": f"Bearer {(password or '').strip()}"}
    return {}


def method_of(value: Any) -> str:
    """
    Read a ``method`` field; by default ``POST``.

    :raises ConnectorError: when it is not a text
    """
    if not isinstance(value or "", str):
        msg = f"method is {value!r}; expected POST, PUT or PATCH"
        raise ConnectorError(msg)
    return (value or "POST").upper()


def cert_of(value: Any) -> str | tuple[str, str] | None:
    """
    Read a ``cert`` field: the path of a client certificate, or the paths of certificate and key.

    :raises ConnectorError: when it is something else
    """
    if not value:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 2 and all(isinstance(path, str) for path in value):  # noqa: PLR2004
        return value[0], value[1]
    msg = f"cert is {value!r}; expected the path of a PEM file, or a list of two: certificate and key"
    raise ConnectorError(msg)


def proxies_of(extra: Mapping[str, Any]) -> dict[str, str]:
    """
    Read ``proxies`` (or ``proxy``) as the HTTP provider does; ``trust_env`` false ignores the environment's.

    :raises ConnectorError: when it is not an object of texts
    """
    value = extra.get("proxies") or extra.get("proxy") or {}
    if not isinstance(value, dict) or not all(isinstance(url, str) for url in value.values()):
        # Not shown: a proxy's URL may hold its password.
        msg = 'proxies is not an object of URLs; expected one like {"https": "http://…"}'
        raise ConnectorError(msg)
    return {"all": "", **value} if extra.get("trust_env") is False else value


def timeout_of(value: Any) -> float:
    """
    Read a ``timeout`` field: seconds, as a number or its text.

    :raises ConnectorError: when it is something else
    """
    if value is None or value == "":
        return DEFAULT_TIMEOUT
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 < seconds < float("inf") or isinstance(value, bool):
        msg = f"timeout is {value!r}; expected a number of seconds above 0"
        raise ConnectorError(msg)
    return seconds


def verify_of(extra: Mapping[str, Any]) -> bool | str:
    """Read ``verify`` (or ``verify_ssl``) as the HTTP provider does: a truth value, or the path of a CA bundle."""
    value = extra.get("verify", extra.get("verify_ssl", True))
    if isinstance(value, str):
        lowered = value.strip().lower()
        if lowered in ("true", "1", "yes", ""):
            return True
        return False if lowered in ("false", "0", "no") else value
    return True if value is None else bool(value)


def write_options(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the write options a connection's extra holds."""
    return {name: extra[name] for name in DeliveryOptions.names() if extra.get(name) is not None}


def secrets_of(
    url: str, headers: Mapping[str, str], login: str | None, password: str | None, proxies: Iterable[str] = ()
) -> tuple[str, ...]:
    """
    Return every text that must not leave the process but in a request.

    Those are the password, also encoded for Basic, header values with and without their scheme, and passwords and
    query values of URLs: plain, as they stand there, percent-encoded, and as they stand in JSON.
    """
    found: list[str] = []
    if password:
        # A secret file ends in a line break, and what is sent does not.
        found += [password, password.strip(), _basic(login, password)]
    for name, value in headers.items():
        if name.lower() not in NOT_SECRET:
            found += [value, value.partition(" ")[2]]
    for address in (url, *proxies):
        parts = urlsplit(address)
        if parts.password:
            plain = unquote(parts.password)
            found += [parts.password, plain, _basic(unquote(parts.username or ""), plain)]
        found += (pair.partition("=")[2] for pair in parts.query.split("&"))
        found += (value for _, value in parse_qsl(parts.query))
    forms = (form for text in found for form in _forms(text))
    return tuple(dict.fromkeys(form for form in forms if len(form) >= SHORTEST_SECRET))


def _forms(text: str) -> tuple[str, ...]:
    """Return how servers spell what they echo: plain, in URLs, in the JSON of several languages, and in HTML."""
    encoded, spelled = quote(text, safe=""), json.dumps(text)[1:-1]
    unescaped = json.dumps(text, ensure_ascii=False)[1:-1]
    dotnet = re.sub(r"[+&<>']", lambda mark: f"\\u{ord(mark[0]):04X}", spelled)
    lowered = re.sub(r"%[0-9A-F]{2}", lambda mark: mark[0].lower(), encoded)
    php = tuple(form.replace("/", r"\/") for form in (text, spelled, unescaped))
    return (text, encoded, lowered, spelled, unescaped, dotnet, dotnet.lower(), *php, html.escape(text))


def _basic(login: str | None, password: str) -> str:
    return base64.b64encode(f"{login or ''}:{password}".encode()).decode()


def unread_of(extra: Mapping[str, Any]) -> list[str]:
    """Return the keys of an extra that nothing reads, each with the field that may have been meant."""
    known = _READ.union(DeliveryOptions.names())
    found = []
    for name in extra:
        if name not in known:
            near = get_close_matches(name, known, 1)
            found.append(f"{name} (is {near[0]} meant?)" if near else name)
    return found
