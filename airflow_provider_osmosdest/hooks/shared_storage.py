"""Refuse to keep on one machine's disk what other machines of the same Airflow need."""

from __future__ import annotations

import os
from typing import Any

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.storage import is_local
from airflow_provider_osmosdest.settings import load_settings

__all__ = ["STORAGE_PATH", "check_shared", "one_machine_only", "remote_executor"]

STORAGE_PATH = "[osmosdest] storage_path"
"""Where the folder of deliveries is set, as messages name it."""

_ON_THIS_MACHINE = frozenset({"LocalExecutor", "SequentialExecutor", "DebugExecutor", "InProcessExecutor"})

_IN_A_CONTAINER = {
    # A pod's own configuration says LocalExecutor: it runs one task, and starts no others.
    "AIRFLOW_IS_K8S_EXECUTOR_POD": "KubernetesExecutor",
    "AIRFLOW_IS_EXECUTOR_CONTAINER": "an executor of containers",
}
"""What executors set in the environment of the container that a task runs in."""


def remote_executor() -> str | None:
    """Return the executor that runs tasks on other machines, as messages name it; ``None`` where none is configured."""
    from airflow.providers.common.compat.sdk import conf

    for variable, executor in _IN_A_CONTAINER.items():
        if os.environ.get(variable):
            return executor
    # Executors by commas, teams by semicolons, and each may have an alias: LocalExecutor,far:package.Executor;team=…
    configured: str = conf.get("core", "executor")
    for of_team in configured.split(";"):
        for named in of_team.rpartition("=")[2].split(","):
            executor = named.rpartition(":")[2].strip().rpartition(".")[2]
            if executor and executor not in _ON_THIS_MACHINE:
                return executor
    return None


def one_machine_only(path: Any) -> str | None:
    """
    Return why a path is not the same for all of Airflow's processes, ``None`` where it is.

    :param path: a path object, of ``pathlib`` or like ``ObjectStoragePath``
    """
    if not is_local(path) or load_settings().shared_storage or (executor := remote_executor()) is None:
        return None
    return f"{path} is a folder of one machine, and {executor} runs tasks on others"


def check_shared(path: Any, consequence: str, setting: str = STORAGE_PATH) -> None:
    """
    Make sure that what is kept below a path is found from every machine that runs tasks, or serves.

    :param path: a path object, of ``pathlib`` or like ``ObjectStoragePath``
    :param consequence: what would happen, as the end of a sentence that begins with "so"
    :param setting: where the path is set
    :raises ConfigurationError: when it is a local path, tasks run on other machines, and it is not declared shared
    """
    if why := one_machine_only(path):
        raise ConfigurationError(
            f"{setting}: {why}, so {consequence}. Set {setting} to a URL of object storage, such as "
            "s3://bucket/osmosdest; or, where all machines have the same disk mounted there, set [osmosdest] "
            "shared_storage = True."
        )
