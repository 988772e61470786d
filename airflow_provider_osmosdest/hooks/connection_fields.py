"""
Read the fields of an ``osmos_http`` connection, whichever way they were put there: form, JSON or URI.

Errors name the field; the hook adds the connection's id.
"""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.core.http.oauth2 import ClientCredentials
from airflow_provider_osmosdest.core.http.target import DEFAULT_TIMEOUT
from airflow_provider_osmosdest.core.http.urls import masked_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "AUTHS",
    "auth_of",
    "authorization",
    "base_url",
    "credentials_of",
    "headers_of",
    "method_of",
    "proxies_of",
    "secrets_of",
    "timeout_of",
    "verify_of",
    "write_options",
]

AUTHS = ("none", "basic", "bearer", "oauth2", "signature")
"""The values of the connection's ``auth``."""

# Values that are no secrets: masking them would blot words out of every log.
_NOT_SECRET = frozenset(
    {"accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "content-type", "user-agent"}
)
# Airflow's masker leaves shorter texts alone too: they would match by chance.
_SHORTEST_SECRET = 5


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


def auth_of(value: Any, login: str | None, password: str | None) -> str:
    """
    Return the authentication of a connection; by default ``basic`` where there is a login.

    :raises ConnectorError: for an unknown one, or one whose login or password is missing
    """
    auth = value or ("basic" if login else "none")
    if auth not in AUTHS:
        msg = f"auth is {auth!r}; expected one of {', '.join(AUTHS)}"
        raise ConnectorError(msg)
    if auth == "bearer" and not password:
        msg = "auth is 'bearer' and the password, which holds the token, is empty"
        raise ConnectorError(msg)
    if auth in ("basic", "oauth2") and not login:
        what = "login" if auth == "basic" else "login, which holds the client id,"
        msg = f"auth is {auth!r} and the {what} is empty"
        raise ConnectorError(msg)
    if auth in ("oauth2", "signature") and not password:
        what = "client secret" if auth == "oauth2" else "signing secret"
        msg = f"auth is {auth!r} and the password, which holds the {what}, is empty"
        raise ConnectorError(msg)
    return str(auth)


def credentials_of(
    extra: Mapping[str, Any], auth: str, login: str | None, password: str | None
) -> ClientCredentials | None:
    """
    Read the OAuth2 fields; ``None`` where the connection uses another authentication.

    :raises ConnectorError: when the URL to fetch tokens from is missing, or is none
    """
    if auth != "oauth2":
        return None
    url = str(extra.get("oauth2_url") or "")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        msg = f"oauth2_url: found {masked_url(url)!r}, expected the URL that gives out tokens, https://…"
        raise ConnectorError(msg)
    return ClientCredentials(
        url=url,
        client_id=login or "",
        client_secret=password or "",
        scope=extra.get("oauth2_scope") or None,
        audience=extra.get("oauth2_audience") or None,
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
        if name.lower() not in _NOT_SECRET:
            found += [value, value.partition(" ")[2]]
    for address in (url, *proxies):
        parts = urlsplit(address)
        if parts.password:
            plain = unquote(parts.password)
            found += [parts.password, plain, _basic(unquote(parts.username or ""), plain)]
        found += (pair.partition("=")[2] for pair in parts.query.split("&"))
        found += (value for _, value in parse_qsl(parts.query))
    forms = (form for text in found for form in _forms(text))
    return tuple(dict.fromkeys(form for form in forms if len(form) >= _SHORTEST_SECRET))


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
