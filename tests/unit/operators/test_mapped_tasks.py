from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_osmosdest.operators.mapped_tasks import tasks_at_once


def context(map_index, mapped, **bounds):
    counted = []

    def count(**asked):
        counted.append(asked)
        return mapped

    ti = SimpleNamespace(
        dag_id="dag", run_id="run", task_id="deliver", map_index=map_index, get_ti_count=count,
        task=SimpleNamespace(**bounds),
    )  # fmt: skip
    return {"ti": ti}, counted


def test_a_task_that_is_not_mapped_is_one_and_airflow_is_not_asked():
    given, counted = context(-1, 8)
    assert tasks_at_once(given) == 1
    assert counted == []


@pytest.mark.parametrize(
    ("bounds", "at_once"),
    [
        ({}, 8),
        ({"max_active_tis_per_dagrun": None, "max_active_tis_per_dag": None}, 8),
        ({"max_active_tis_per_dagrun": 3}, 3),
        ({"max_active_tis_per_dagrun": 20, "max_active_tis_per_dag": 5}, 5),
    ],
)
def test_mapped_tasks_are_those_that_may_run_at_once(bounds, at_once):
    given, counted = context(2, 8, **bounds)
    assert tasks_at_once(given) == at_once
    assert counted == [{"dag_id": "dag", "task_ids": ["deliver"], "run_ids": ["run"]}]
