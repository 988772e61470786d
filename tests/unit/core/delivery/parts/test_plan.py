from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_osmosdest.core.delivery.parts.plan import Plan, PlannedPart, load_plan, save_plan
from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError
from airflow_provider_osmosdest.core.records.parts import Part, Position
from airflow_provider_osmosdest.core.seen.share import KeyShare

PARTS = [
    Part(0, 0, 10, Position("a"), "a", Position("a", 10, 99), "x"),
    Part(1, 10, 20, Position("a", 10, 99), "b", None, "y"),
]


def test_a_plan_comes_back_as_it_was(tmp_path):
    assert load_plan(tmp_path) is None
    plan = Plan.of(PARTS, "z", shares=3)
    save_plan(tmp_path, plan)
    assert load_plan(tmp_path) == plan
    save_plan(tmp_path, replace(plan, complete=True))
    assert load_plan(tmp_path).complete


def test_shares_are_of_all_records_behind_the_first_part():
    first, *shares = Plan.of(PARTS, "z", shares=2).parts
    assert first.share is None
    assert [share.share for share in shares] == [KeyShare(0, 2, 10), KeyShare(1, 2, 10)]
    assert {(share.part.first_index, share.part.stop, share.part.fingerprint) for share in shares} == {(0, None, "z")}
    assert {share.delivery_id for share in shares} == {first.delivery_id}


def test_where_all_is_in_the_first_part_there_are_no_shares():
    assert len(Plan.of(PARTS[:1], "z", shares=2).parts) == 1


@pytest.mark.parametrize("text", ["{", "{}", '{"fingerprint": "x", "records": 1, "complete": false, "parts": [{}]}'])
def test_a_damaged_plan_is_named(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(StorageError, match=r"plan\.json, the plan of this delivery, is damaged"):
        load_plan(tmp_path)


@pytest.mark.parametrize("value", [None, "part", {"share": None}])
def test_what_is_no_planned_part_is_refused(value):
    with pytest.raises(ConfigurationError, match="expected what the plan of 'deliver_in_parts' returns"):
        PlannedPart.from_dict(value)
