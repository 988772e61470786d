"""Make and change the connections of mailboxes where Airflow stores them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.cli.console import quiet
from airflow_provider_osmosdest.core.errors import ConfigurationError, ConnectorError
from airflow_provider_osmosdest.hooks.connections.mailbox_fields import CONN_TYPE, access_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.mailbox.tokens import Access

__all__ = ["Changed", "add_connection", "change_access", "new_connection"]


@dataclass(frozen=True, slots=True)
class Changed:
    """
    The new access entries of a mailbox.

    :param access: all its entries
    :param elsewhere: what holds the connection, where that is not the database and nothing was changed
    """

    access: tuple[Access, ...]
    elsewhere: str | None


def new_connection(conn_id: str, extra: dict[str, Any]) -> Any:
    """
    Return a new connection that is not stored yet.

    :raises ConfigurationError: when there is one of that id already, or it is empty
    """
    from airflow.models.connection import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    if not conn_id.strip():
        # Airflow would make a connection without an id of it.
        msg = "--conn-id: found nothing, expected the id of the connection to make"
        raise ConfigurationError(msg)
    try:
        where = _elsewhere(conn_id) or "the metadata database"
    except AirflowNotFoundException:
        return Connection(conn_id=conn_id, conn_type=CONN_TYPE, extra=json.dumps(extra))
    msg = f"--conn-id: there is a connection {conn_id!r} already, in {where}; take another id, or change that one"
    raise ConfigurationError(msg)


def add_connection(conn: Any) -> None:
    """Put a connection into the metadata database."""
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(conn)


def change_access(conn_id: str, change: Callable[[tuple[Access, ...]], tuple[Access, ...]]) -> Changed:
    """
    Change who may read and write a mailbox, in the metadata database if its connection is there.

    :param change: takes the present entries and returns the new ones
    :raises AirflowNotFoundException: when there is no such connection
    :raises ConfigurationError: when it is none of a mailbox, or ``change`` does
    """
    elsewhere = _elsewhere(conn_id)
    if elsewhere is not None:
        from airflow.sdk import BaseHook

        with quiet():
            conn = BaseHook.get_connection(conn_id)
        return Changed(change(_access(conn, _extra(conn))), elsewhere)

    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        # Two people who add a token at the same time: the second waits, and sees the first one's.
        conn = session.scalars(select(Connection).where(Connection.conn_id == conn_id).with_for_update()).one()
        extra = _extra(conn)
        access = change(_access(conn, extra))
        conn.set_extra(json.dumps({**extra, "access": [each.to_dict() for each in access]}))
    return Changed(access, None)


def _access(conn: Any, extra: dict[str, Any]) -> tuple[Access, ...]:
    if conn.conn_type != CONN_TYPE:
        msg = f"connection {conn.conn_id!r} is of the type {conn.conn_type!r}; expected {CONN_TYPE!r}"
        raise ConnectorError(msg)
    try:
        return access_of(extra)
    except ConfigurationError as error:
        msg = f"connection {conn.conn_id!r}: {error}"
        raise ConnectorError(msg) from None


def _extra(conn: Any) -> dict[str, Any]:
    """Return the extra's JSON object; Airflow itself takes an unreadable one for empty."""
    try:
        extra = json.loads(conn.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        msg = f"connection {conn.conn_id!r}: the extra is no JSON object, and was left as it is"
        raise ConnectorError(msg)
    return extra


def _elsewhere(conn_id: str) -> str | None:
    """
    Return what holds a connection, and ``None`` where that is the metadata database.

    :raises AirflowNotFoundException: when nothing holds it
    """
    from airflow.configuration import ensure_secrets_loaded
    from airflow.sdk.exceptions import AirflowNotFoundException
    from airflow.secrets.environment_variables import CONN_ENV_PREFIX, EnvironmentVariablesBackend
    from airflow.secrets.metastore import MetastoreBackend

    # In Airflow's order: a connection in the environment hides one in the database.
    for backend in ensure_secrets_loaded():
        try:
            found = backend.get_connection(conn_id)
        except Exception as error:
            # SQLAlchemy's message goes on with the whole statement.
            reason = str(error).partition("\n")[0]
            msg = f"the secrets backend {type(backend).__name__} cannot look up connection {conn_id!r}: {reason}"
            if isinstance(backend, MetastoreBackend):
                msg += ". Is it reached, and has 'airflow db migrate' made its tables?"
            raise ConfigurationError(msg) from error
        if found is None:
            continue
        if isinstance(backend, MetastoreBackend):
            return None
        if isinstance(backend, EnvironmentVariablesBackend):
            return f"the environment variable {CONN_ENV_PREFIX}{conn_id.upper()}"
        return f"the secrets backend {type(backend).__name__}"
    msg = f"The conn_id `{conn_id}` isn't defined"
    raise AirflowNotFoundException(msg)
