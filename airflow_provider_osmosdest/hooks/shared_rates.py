"""The Redis that tasks and servers share their rates through, from ``[osmosdest] redis_url`` or ``redis_conn_id``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import ConnectorError, MissingExtraError, OptionsError
from airflow_provider_osmosdest.core.http.rate_limits import RateLimits
from airflow_provider_osmosdest.hooks.connections.masking import mask_secrets, read_extra
from airflow_provider_osmosdest.hooks.redis_grants import TIMEOUT_SECONDS, RedisGrants, TaskGrants
from airflow_provider_osmosdest.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions

__all__ = ["open_grants", "shared_limits"]

# The names of Airflow's redis provider.
_TLS = ("ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile")


def shared_limits(conn_id: str, options: DeliveryOptions, share: int, warn: Callable[[str], None]) -> RateLimits:
    """
    Return a task's limits, shared through Redis where one is set and the task has a rate to keep.

    :param conn_id: id of the connection whose tasks share the rate
    :param options: the task's
    :param share: how many tasks that keep to the same rate may run at once, as far as it is known
    :param warn: takes a line for the log
    :raises ConfigurationError: when the setting cannot be used
    """
    if not (options.requests_per_second or options.records_per_second):
        return RateLimits(share)
    grants = open_grants(warn)
    return RateLimits(share, None if grants is None else TaskGrants(grants, conn_id))


def open_grants(warn: Callable[[str], None], threads: int = 1) -> RedisGrants | None:
    """
    Return what asks the Redis of the settings, without connecting; ``None`` where none is set.

    :param warn: takes a line for the log
    :param threads: how many questions may be under way
    :raises ConfigurationError: when the setting cannot be used
    """
    settings = load_settings()
    if settings.redis_url and settings.redis_conn_id:
        raise OptionsError("[osmosdest] redis_url and redis_conn_id are both set; leave one of them out")
    if not settings.redis_url and not settings.redis_conn_id:
        return None
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise MissingExtraError("[osmosdest] redis_url or redis_conn_id", "redis") from error
    # A bucket must not be charged twice, and what waits is a delivery.
    how: dict[str, Any] = {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if settings.redis_conn_id:
        how |= _from_connection(settings.redis_conn_id)
        client = redis.Redis(**how)
    else:
        client = _from_url(redis, settings.redis_url or "", how)
    where = client.get_connection_kwargs()
    place = where.get("path") or f"{where.get('host', 'localhost')}:{where.get('port', 6379)}"
    return RedisGrants(client, f"Redis at {place}", warn, threads)


def _from_url(redis: Any, url: str, how: dict[str, Any]) -> Any:
    from urllib.parse import unquote, urlsplit

    mask_secrets([url])
    try:
        if password := urlsplit(url).password:
            mask_secrets((password, unquote(password)))
        return redis.Redis.from_url(url, **how)
    except ValueError as error:
        # Its own text would quote the URL.
        raise OptionsError(
            f"[osmosdest] redis_url is no URL of a Redis ({type(error).__name__}): expected redis://, rediss:// or "
            "unix://, such as redis://:password@host:6379/0"
        ) from None


def _from_connection(conn_id: str) -> dict[str, Any]:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        conn = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConnectorError(f"[osmosdest] redis_conn_id is {conn_id!r}, and there is no such connection") from None
    mask_secrets([conn.password or ""])
    try:
        extra = read_extra(conn)
    except ConnectorError as error:
        raise ConnectorError(f"connection {conn_id!r}: {error}") from None
    tls = {name: extra[name] for name in _TLS if extra.get(name) is not None}
    return {
        "host": conn.host or "localhost",
        "port": conn.port or 6379,
        "username": conn.login or None,
        "password": conn.password or None,
        "db": _database(conn_id, extra.get("db")),
        **({"ssl": True, **tls} if extra.get("ssl") else {}),
    }


def _database(conn_id: str, found: Any) -> int:
    try:
        return int(found or 0)
    except (TypeError, ValueError):
        raise ConnectorError(f"connection {conn_id!r}: db in its extra is {found!r}, expected a number") from None
