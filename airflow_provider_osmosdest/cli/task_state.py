"""Read and write the state of a task instance in Airflow's database, from outside the task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from airflow.state import TaskScope

__all__ = ["Instance", "StoredTaskState", "find_instance", "stored_task_state"]

_ELSEWHERE = "__airflow_state_ref__"
"""Stands in the database for a value that ``[workers] state_store_backend`` keeps."""

_AT_WORK = frozenset({"queued", "running", "restarting"})


@dataclass(frozen=True, slots=True)
class Instance:
    """
    A task instance.

    :param state: as Airflow calls it, ``None`` where it has none yet
    :param try_number: of its last attempt
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int

    @property
    def path(self) -> tuple[str, str, str, str]:
        """The parts of its folder's path."""
        return self.dag_id, self.run_id, self.task_id, str(self.map_index)

    @property
    def at_work(self) -> bool:
        """Whether an attempt runs, or may begin at any time."""
        return self.state in _AT_WORK


def find_instance(dag_id: str, run_id: str, task_id: str, map_index: int) -> Instance:
    """
    Look a task instance up in Airflow's database.

    :raises ConfigurationError: when it has none such
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    statement = select(TaskInstance.map_index, TaskInstance.state, TaskInstance.try_number).where(
        TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id
    )
    with create_session() as session:
        found = {row.map_index: row for row in session.execute(statement)}
    if map_index in found:
        row = found[map_index]
        state = None if row.state is None else str(row.state)
        return Instance(dag_id, run_id, task_id, map_index, state, row.try_number)
    if found:
        there = ", ".join(map(str, sorted(found)[:20]))
        msg = f"--map-index: found {map_index}; task {task_id!r} of run {run_id!r} has {there}"
    else:
        msg = f"there is no task {task_id!r} in run {run_id!r} of DAG {dag_id!r}; look at its grid for the run's id"
    raise ConfigurationError(msg)


def stored_task_state(instance: Instance) -> StoredTaskState | None:
    """Return the state of a task instance, ``None`` where Airflow keeps none (before 3.3)."""
    try:
        from airflow.state import TaskScope
    except ImportError:
        return None
    return StoredTaskState(
        TaskScope(
            dag_id=instance.dag_id, run_id=instance.run_id, task_id=instance.task_id, map_index=instance.map_index
        )
    )


class StoredTaskState:
    """
    Do what ``context["task_state_store"]`` does in a task.

    :param scope: the task instance
    """

    def __init__(self, scope: TaskScope) -> None:
        self._scope = scope

    def get(self, key: str) -> Any:
        """
        Return a value, ``None`` if there is none.

        :raises StorageError: when it is kept elsewhere, and this machine is not told where
        """
        from airflow.configuration import conf
        from airflow.state import get_state_backend

        stored = get_state_backend().get(self._scope, key)
        value = None if stored is None else json.loads(stored)
        if not isinstance(value, dict) or _ELSEWHERE not in value:
            return value
        backend = conf.getimport("workers", "state_store_backend")
        if backend is None:
            msg = "Airflow's workers keep it elsewhere; set [workers] state_store_backend here as it is set for them"
            raise StorageError(msg)
        return backend().deserialize_task_state_store_from_ref(value[_ELSEWHERE])

    def set(self, key: str, value: Any) -> None:
        """Write a value, which expires as one that a task writes."""
        from airflow.configuration import conf
        from airflow.state import get_state_backend

        days = conf.getint("state_store", "default_retention_days")
        expires_at = datetime.now(UTC) + timedelta(days=days) if days > 0 else None
        get_state_backend().set(self._scope, key, json.dumps(value), expires_at=expires_at)

    def written_at(self, key: str) -> datetime | None:
        """Return when a value was written, ``None`` where Airflow's database does not have that."""
        from airflow.models.task_state_store import TaskStateStoreModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        scope = self._scope
        statement = select(TaskStateStoreModel.updated_at).where(
            TaskStateStoreModel.dag_id == scope.dag_id,
            TaskStateStoreModel.run_id == scope.run_id,
            TaskStateStoreModel.task_id == scope.task_id,
            TaskStateStoreModel.map_index == scope.map_index,
            TaskStateStoreModel.key == key,
        )
        with create_session() as session:
            return session.scalar(statement)
