"""The ``[osmosdest]`` section of Airflow's configuration, read when a task needs it and not before."""

from __future__ import annotations

import functools
from dataclasses import dataclass

__all__ = ["SECTION", "Settings", "load_settings"]

SECTION = "osmosdest"
"""The name of the section, declared with its options in :mod:`airflow_provider_osmosdest.get_provider_info`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """
    The folder of deliveries, and its permissions.

    :param storage_path: folder that holds a folder per delivery: a local path, or a URL of Airflow's object
        storage; never with a slash at its end
    :param storage_conn_id: id of the Airflow Connection that opens it; ``None`` if none is needed
    :param group_access: what the group of files and folders on a disk may do: ``none``, ``read`` or ``write``
    """

    storage_path: str
    storage_conn_id: str | None = None
    group_access: str = "none"


@functools.cache
def load_settings() -> Settings:
    """
    Read the section, once per process.

    An empty ``storage_path`` is the folder ``osmosdest`` in ``AIRFLOW_HOME``, so that a first DAG needs no setting.
    A test that changes the configuration calls ``load_settings.cache_clear()``.
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
    )
