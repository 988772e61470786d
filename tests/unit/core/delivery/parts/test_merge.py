from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.parts import merge
from airflow_provider_osmosdest.core.delivery.parts.merge import merge_failures, merge_reports, read_report
from airflow_provider_osmosdest.core.delivery.parts.plan import Plan
from airflow_provider_osmosdest.core.delivery.report import Tally
from airflow_provider_osmosdest.core.records.parts import Part, Position


def plan_of(*records: int) -> Plan:
    parts, first = [], 0
    for number, count in enumerate(records):
        parts.append(Part(number, first, count, Position("a"), "a", None, "x"))
        first += count
    return Plan.of(parts, "x", shares=None)


def report_of(plan: Plan, *, error: str | None = None, reasons: dict[str, int] | None = None, **counts: int):
    tally = Tally(**counts)
    tally.reasons.update(reasons or {})
    report = tally.report(plan.delivery_id, seconds=1.5, failures_path=None, report_path=None, error=error)
    return report.to_dict()


def merged(plan: Plan, *reports, max_failures: int | str = 0):
    allowed = DeliveryOptions(max_failures=max_failures).failures_allowed
    return merge_reports(plan, reports, allowed=allowed, failures_path="f", report_path="r")


def test_counts_and_reasons_are_added_up():
    plan = plan_of(3, 4)
    report, error = merged(
        plan,
        report_of(plan, read=3, delivered=2, rejected=1, requests=5, reasons={"rejected: 422": 1}),
        report_of(plan, read=4, delivered=2, rejected=2, requests=1, reasons={"rejected: 422": 2}),
        max_failures=3,
    )
    assert error is None
    assert (report.read, report.delivered, report.rejected, report.requests, report.seconds) == (7, 4, 3, 6, 3.0)
    assert report.reasons == (("rejected: 422", 3),)
    assert (report.delivery_id, report.failures_path, report.report_path) == (plan.delivery_id, "f", "r")


def test_failures_are_counted_over_the_whole():
    plan = plan_of(50, 50)
    reports = [report_of(plan, read=50, delivered=48, invalid=2) for _ in range(2)]
    assert merged(plan, *reports, max_failures="4%")[1] is None
    report, error = merged(plan, *reports, max_failures="3%")
    assert "4 of 100 records were not delivered, and max_failures allows 3: 4 invalid" in str(error)
    assert report.error == str(error)


def test_a_part_without_a_report_is_unsent_and_fails_the_whole():
    plan = plan_of(3, 4, 5)
    report, error = merged(plan, report_of(plan, read=3, delivered=3), None, None, max_failures=100)
    assert (report.read, report.delivered, report.unsent) == (12, 3, 9)
    assert "2 of 3 parts did not come to their end. Without a report" in str(error)
    assert "part 1, 2; see their logs" in str(error)


def test_what_a_stopped_part_did_not_read_is_unsent():
    plan = plan_of(3, 4)
    reports = (
        report_of(plan, read=3, delivered=3),
        report_of(plan, read=2, delivered=1, unsent=1, error="Told to stop."),
    )
    report, error = merged(plan, *reports, max_failures=100)
    assert (report.read, report.delivered, report.unsent) == (7, 4, 3)
    assert "1 of 2 parts did not come to their end. Part 1: Told to stop." in str(error)


def test_a_report_of_another_delivery_is_none(tmp_path):
    assert read_report(tmp_path, "mine") is None
    (tmp_path / "report.json").write_text('{"delivery_id": "another"}')
    assert read_report(tmp_path, "mine") is None
    (tmp_path / "report.json").write_text('{"delivery_id": "mine"}')
    assert read_report(tmp_path, "mine") == {"delivery_id": "mine"}
    (tmp_path / "report.json").write_text('{"delivery')
    assert read_report(tmp_path, "mine") is None


@pytest.mark.parametrize("at_once", [1, 100, 1_000_000])
def test_failures_come_in_the_order_of_their_indexes(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(merge, "_RUN_BYTES", at_once)
    folders = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        folders.append(folder)
        for name, step in (("failures-00000", 7), ("failures-open-00000", 5)):
            indexes = [number + 3 * (at * step % 40) + 1_000 * (step == 5) for at in range(20)]
            (folder / f"{name}.ndjson").write_text("".join(f'{{"index":{index},"outcome":"x"}}\n' for index in indexes))
    path = merge_failures([*folders, tmp_path / "none"], tmp_path / "whole")
    assert path == str(tmp_path / "whole" / "failures-all.ndjson")
    found = [json.loads(line)["index"] for line in Path(path).read_text().splitlines()]
    assert len(found) == 120
    assert found == sorted(found)


def test_without_failures_there_is_no_file(tmp_path):
    assert merge_failures([tmp_path], tmp_path / "whole") is None
    assert not (tmp_path / "whole").exists()
