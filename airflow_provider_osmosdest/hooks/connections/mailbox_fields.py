"""
Read the fields of an ``osmos_mailbox`` connection, whichever way they were put there: form, command line, JSON or URI.

Errors name the field; the hook adds the connection's id.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.core.http.signing import Signer
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.tokens import Access, load_access
from airflow_provider_osmosdest.hooks.connections.masking import read_extra
from airflow_provider_osmosdest.hooks.delivery import load_schema
from airflow_provider_osmosdest.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CONN_TYPE", "MailboxConnector", "access_of", "settings_of", "signing_secrets_of"]

CONN_TYPE = "osmos_mailbox"

_SECONDS_A_DAY = 86_400.0
_ON_INVALID = ("reject", "quarantine")


class MailboxConnector(NamedTuple):
    """
    A connection, resolved once.

    :param path: of the mailbox: a local path or a URL
    :param storage_conn_id: id of the Airflow Connection that opens it; ``None`` if none is needed
    :param settings: the mailbox's settings
    """

    path: str
    storage_conn_id: str | None
    settings: MailboxSettings


def settings_of(conn: Any) -> MailboxConnector:
    """
    Resolve a connection.

    Without a ``path``, the mailbox is in the folder ``mailboxes`` of ``[osmosdest] storage_path``.

    :param conn: an Airflow Connection
    :raises ConfigurationError: naming the field that cannot be used
    """
    if conn.conn_type != CONN_TYPE:
        msg = f"is of the type {conn.conn_type!r}; expected {CONN_TYPE!r}"
        raise ConnectorError(msg)
    extra = read_extra(conn)
    path = _text(extra, "path")
    storage_conn_id = _text(extra, "storage_conn_id")
    if path is None and conn.host:
        msg = f"path is empty, and there is a host ({conn.host!r}); a mailbox has none: put its folder or URL into path"
        raise ConnectorError(msg)
    if path is None:
        home = load_settings()
        path = f"{home.storage_path.rstrip('/')}/mailboxes/{conn.conn_id}"
        storage_conn_id = storage_conn_id or home.storage_conn_id
    elif "://" not in path and not path.startswith("/"):
        msg = f"path is {path!r}; expected one from the root (/…) or a URL, as each process has its own folder"
        raise ConnectorError(msg)
    days = _number(extra, "max_age")
    given: dict[str, Any] = {
        "max_bytes": _count(extra, "max_bytes"),
        "page_limit": _count(extra, "page_limit"),
        "page_bytes": _count(extra, "page_bytes"),
        "on_invalid": _on_invalid(extra),
        "max_body_bytes": _count(extra, "max_body_bytes"),
        "max_body_records": _count(extra, "max_body_records"),
        "max_depth": _count(extra, "max_depth"),
        "max_fields": _count(extra, "max_fields"),
        "requests_per_second": _number(extra, "requests_per_second"),
    }
    schema = extra.get("destination_schema")
    settings = MailboxSettings(
        mailbox_id=conn.conn_id,
        schema=load_schema(schema) if schema else None,
        access=access_of(extra),
        max_age=None if days is None else days * _SECONDS_A_DAY,
        signing_secrets=signing_secrets_of(conn.password),
        # A field that is not given keeps the default of MailboxSettings.
        **{name: value for name, value in given.items() if value is not None},
    )
    return MailboxConnector(path, storage_conn_id, settings)


def access_of(extra: Mapping[str, Any]) -> tuple[Access, ...]:
    """
    Read the ``access`` field: a list of what is kept of each token, or its JSON text.

    :raises ConfigurationError: naming the entry and its field, and never what was found
    """
    value = extra.get("access")
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            msg = "access: is not JSON; let airflow osmosdest mailbox token add write it"
            raise ConnectorError(msg) from None
    return load_access(value)


def signing_secrets_of(password: str | None) -> tuple[str, ...]:
    """
    Read the signing secrets: one, or several separated by commas.

    :raises ConnectorError: when one of them is no Standard Webhooks secret
    """
    secrets = tuple(text.strip() for text in (password or "").split(",") if text.strip())
    for secret in secrets:
        Signer(secret)
    return secrets


def _text(extra: Mapping[str, Any], name: str) -> str | None:
    value = extra.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        msg = f"{name} is {value!r}; expected a text"
        raise ConnectorError(msg)
    return value.strip() or None


def _on_invalid(extra: Mapping[str, Any]) -> str | None:
    value = _text(extra, "on_invalid")
    if value is not None and value not in _ON_INVALID:
        msg = f"on_invalid is {value!r}; expected one of {', '.join(_ON_INVALID)}"
        raise ConnectorError(msg)
    return value


def _number(extra: Mapping[str, Any], name: str) -> float | None:
    return _read(extra, name, float, "a number above 0")


def _count(extra: Mapping[str, Any], name: str) -> int | None:
    value = _read(extra, name, _whole, "a whole number above 0")
    return None if value is None else int(value)


def _whole(value: Any) -> int:
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError
    return number


def _read(extra: Mapping[str, Any], name: str, convert: Callable[[Any], float], expected: str) -> float | None:
    value = extra.get(name)
    if value is None or value == "":
        return None
    try:
        number = convert(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if isinstance(value, bool) or not 0 < number < math.inf:
        msg = f"{name} is {value!r}; expected {expected}"
        raise ConnectorError(msg)
    return number
