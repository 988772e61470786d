from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.report import Tally, write_report
from airflow_provider_osmosdest.core.errors import StorageError

XCOM_KEYS = [
    "delivery_id", "read", "delivered", "duplicate", "invalid", "rejected", "unknown", "unsent", "requests", "retries",
    "splits", "bytes_sent", "seconds", "failures_path", "report_path", "reasons", "error", "known_failures",
]  # fmt: skip


def a_tally():
    tally = Tally(read=10, delivered=4, requests=7, retries=1, splits=2, bytes_sent=999)
    tally.count("rejected", 3, "422: no")
    tally.count("invalid", 2, "id: missing")
    tally.count("unknown", 1, "silence")
    return tally


def a_report(tally=None, **more):
    values = {"seconds": 1.23456, "failures_path": "/f", "report_path": "/r", "error": None}
    return (tally or a_tally()).report("d1", **(values | more))


def test_the_numbers_are_the_tallys():
    report = a_report()
    assert (report.read, report.delivered, report.invalid, report.rejected, report.unknown) == (10, 4, 2, 3, 1)
    assert (report.requests, report.retries, report.splits, report.bytes_sent) == (7, 1, 2, 999)
    assert report.seconds == 1.235
    assert report.failed == 6


def test_a_duplicate_is_no_failure():
    assert a_report(Tally(read=10, delivered=4, duplicate=5, invalid=1)).failed == 1


def test_xcom_holds_what_the_design_lists_and_is_plain_json():
    xcom = a_report().to_xcom()
    assert list(xcom) == XCOM_KEYS
    assert json.loads(json.dumps(xcom)) == xcom


def test_xcom_stays_small_whatever_an_api_says():
    tally = Tally(read=5)
    for number in range(5):
        tally.count("rejected", 1, f"{number} {'x' * 100_000}")
    xcom = a_report(tally, error="y" * 100_000, first_failures=[], about={"conn_id": "api"}).to_xcom()
    assert len(json.dumps(xcom)) < 10_000
    assert xcom["reasons"][0]["reason"].startswith("rejected: 0 xxx")
    assert "about" not in xcom


def test_reasons_are_the_most_frequent():
    tally = Tally()
    for number in range(8):
        tally.count("rejected", number + 1, f"reason {number}")
    reasons = a_report(tally).reasons
    assert reasons[0] == ("rejected: reason 7", 8)
    assert len(reasons) == 5


def test_a_million_different_reasons_are_not_a_million_counters():
    tally = Tally()
    for number in range(5_000):
        tally.count("rejected", 1, f"reason {number}")
    tally.count("rejected", 1, "reason 0")
    assert len(tally.reasons) <= 1_002
    assert tally.reasons["rejected: reason 0"] == 2
    assert tally.rejected == 5_001
    assert sum(tally.reasons.values()) == 5_001


def test_what_a_reason_is_counted_under_is_told():
    tally = Tally()
    told = [tally.count("rejected", 2, f"reason {number}") for number in range(1_001)]
    assert told == [*(f"rejected: reason {number}" for number in range(1_000)), "rejected: (other reasons)"]
    assert tally.count("rejected", 1, "reason 999") == "rejected: reason 999"
    assert tally.reasons["rejected: (other reasons)"] == 2


def test_the_file_is_the_report_as_json(tmp_path):
    report = a_report(error="it said “no”")
    write_report(report, tmp_path / "new" / "folder")
    text = (tmp_path / "new" / "folder" / "report.json").read_text()
    assert json.loads(text) == report.to_dict()
    assert "“no”" in text
    assert json.loads(text)["reasons"][0] == {"reason": "rejected: 422: no", "records": 3}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"report in .*file/below cannot be written"):
        write_report(a_report(), tmp_path / "file" / "below")
