"""How many mapped instances of a task may run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

__all__ = ["tasks_at_once"]


def tasks_at_once(context: Context) -> int:
    """
    Return how many instances of a task may run at once in its DAG run, this one included; 1 for one that is not mapped.

    Instances that have ended count as well: how many are left would be another number in each of them.
    """
    ti = context["ti"]
    if ti.map_index is None or ti.map_index < 0:
        return 1
    at_once = int(ti.get_ti_count(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id]))
    for name in ("max_active_tis_per_dagrun", "max_active_tis_per_dag"):
        at_once = min(at_once, getattr(ti.task, name, None) or at_once)
    return max(1, at_once)
