"""The ``[osmosdest]`` section of Airflow's configuration, read when a task needs it and not before."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from airflow_provider_osmosdest.core.errors import ConfigurationError

__all__ = ["SECTION", "Settings", "load_settings"]

SECTION = "osmosdest"
"""The name of the section, declared with its options in :mod:`airflow_provider_osmosdest.get_provider_info`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """
    The folder of deliveries and its permissions, and the Redis that tasks share their rates through.

    :param storage_path: folder that holds a folder per delivery: a local path, or a URL of Airflow's object
        storage; never with a slash at its end
    :param storage_conn_id: id of the Airflow Connection that opens it; ``None`` if none is needed
    :param group_access: what the group of files and folders on a disk may do: ``none``, ``read`` or ``write``
    :param shared_storage: local paths are on a disk that all machines of this Airflow have mounted there
    :param redis_url: of a Redis, perhaps with a password; ``None`` for none
    :param redis_conn_id: id of the Airflow Connection with a Redis, instead of its URL
    """

    storage_path: str
    storage_conn_id: str | None = None
    group_access: str = "none"
    shared_storage: bool = False
    redis_url: str | None = field(default=None, repr=False)
    redis_conn_id: str | None = None


@functools.cache
def load_settings() -> Settings:
    """
    Read the section, once per process.

    An empty ``storage_path`` is the folder ``osmosdest`` in ``AIRFLOW_HOME``, so that a first DAG needs no setting.
    A test that changes the configuration calls ``load_settings.cache_clear()``.

    :raises ConfigurationError: when a setting has a value it cannot have
    """
    from airflow.providers.common.compat.sdk import conf

    path = conf.get(SECTION, "storage_path", fallback="").strip()
    if not path:
        from airflow.configuration import AIRFLOW_HOME

        path = f"{AIRFLOW_HOME}/osmosdest"
    return Settings(
        storage_path=path.rstrip("/") or "/",
        storage_conn_id=conf.get(SECTION, "storage_conn_id", fallback="").strip() or None,
        group_access=conf.get(SECTION, "group_access", fallback="").strip().lower() or "none",
        shared_storage=_flag(conf.get(SECTION, "shared_storage", fallback="").strip().lower()),
        redis_url=conf.get(SECTION, "redis_url", fallback="").strip() or None,
        redis_conn_id=conf.get(SECTION, "redis_conn_id", fallback="").strip() or None,
    )


def _flag(text: str) -> bool:
    # The words that Airflow takes.
    if text in ("t", "true", "1"):
        return True
    if text in ("", "f", "false", "0"):
        return False
    raise ConfigurationError(f"[{SECTION}] shared_storage: found {text!r}, expected True or False")
