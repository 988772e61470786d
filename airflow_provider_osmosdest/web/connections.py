"""Open mailboxes by their Airflow connections; connections of other types cannot be opened over HTTP."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.web.mailbox_cache import UndecidedError

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
    from airflow_provider_osmosdest.hooks.redis_grants import RedisGrants

__all__ = ["check_database", "check_storage", "open_mailbox", "open_rates"]

_log = logging.getLogger(__name__)

_RATE_THREADS = 8

# What a mailbox's id may be; nothing else reaches a secrets backend.
_CONN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)

_VARIABLE_PREFIX = "AIRFLOW_CONN_"

_NO_ID = "osmosdest.health"
_NO_NAME = "health"


def open_mailbox(conn_id: str) -> Mailbox | None:
    """
    Return a mailbox, ``None`` where there is no connection of that id, or it is of another type; blocks.

    :param conn_id: the id of an Airflow Connection of type ``osmos_mailbox``
    :raises ConfigurationError: its connection cannot be used
    :raises StorageError: its store cannot be reached
    :raises UndecidedError: no connection was found, and one of the places where they are kept cannot be reached
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from airflow_provider_osmosdest.hooks.connections.mailbox_fields import CONN_TYPE
    from airflow_provider_osmosdest.hooks.mailbox import MailboxHook

    if not _CONN_ID.fullmatch(conn_id):
        return None
    try:
        connection = BaseHook.get_connection(conn_id)
        # A database may compare ids without regard to case.
        if connection.conn_type != CONN_TYPE or connection.conn_id != conn_id:
            return None
        _check_case(conn_id)
        return MailboxHook(conn_id).mailbox()
    except AirflowNotFoundException:
        _check_backends(conn_id)
        return None


def check_database() -> None:
    """
    Ask Airflow's metadata database for a connection, as a request for a mailbox does; blocks.

    :raises Exception: it does not answer; which one depends on the database
    """
    from airflow.secrets.metastore import MetastoreBackend

    MetastoreBackend().get_connection(_NO_ID)


def check_storage() -> None:
    """
    Ask the store of the mailboxes without a path, ``[osmosdest] storage_path``, for an object; blocks.

    :raises OsmosError: it cannot be opened, or does not answer
    """
    from airflow_provider_osmosdest.hooks.mailbox import default_store

    default_store().get(_NO_NAME)


def open_rates() -> RedisGrants | None:
    """
    Return what asks the Redis of the settings for room in a rate; ``None`` where none is set; blocks.

    :raises ConfigurationError: when the setting cannot be used
    """
    from airflow_provider_osmosdest.hooks.shared_rates import open_grants

    return open_grants(_log.warning, _RATE_THREADS)


def _check_case(conn_id: str) -> None:
    """
    Make sure that a mailbox has one id.

    A variable answers to an id in any case. Each would be a mailbox: with cursors and idempotency keys of its own and,
    where the connection has no path, with a folder of its own, in which no DAG looks for what a partner has posted.
    """
    variable = f"{_VARIABLE_PREFIX}{conn_id.upper()}"
    if conn_id != conn_id.lower() and variable in os.environ:
        msg = (
            f"connection {conn_id!r} stands in the variable {variable}, which tells no small letters from capitals: "
            f"such a mailbox is served as {conn_id.lower()!r} alone. Name it so, in tasks too"
        )
        raise ConnectorError(msg)


def _check_backends(conn_id: str) -> None:
    """
    Make sure that a connection that was not found does not exist.

    Airflow finds none when its database is down, too, and a partner would be told that a good token is wrong.
    """
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    for backend in ensure_secrets_backend_loaded():
        try:
            backend.get_connection(conn_id=conn_id)
        except Exception as error:
            name = type(backend).__name__
            msg = f"connection {conn_id!r} cannot be looked up: {name} failed ({type(error).__name__})"
            raise UndecidedError(msg) from error
