from __future__ import annotations

from dataclasses import replace

from airflow_provider_osmosdest.core.delivery.messages import ending, failure_lines
from airflow_provider_osmosdest.core.delivery.report import DeliveryReport, FailedRecord

REPORT = DeliveryReport(
    delivery_id="d",
    read=10,
    duplicate=0,
    delivered=9,
    invalid=0,
    rejected=1,
    unknown=0,
    unsent=0,
    requests=1,
    retries=0,
    splits=0,
    bytes_sent=1,
    seconds=0.1,
    failures_path="/f/failures-00000.ndjson",
    report_path="/f/report.json",
    reasons=(("rejected: 422", 1),),
    error="1 of 10 records were not delivered",
)


def test_what_failed_and_whether_that_is_allowed():
    assert failure_lines(REPORT, 0) == [
        "1 record not delivered: 1 rejected. max_failures allows 0, so the task fails.",
        "The most frequent reasons:",
        "  1 x rejected: 422",
        "Each with its reason, fit to be delivered again:",
        "/f/failures-00000.ndjson",
    ]
    (first, *_) = failure_lines(replace(REPORT, error=None), 5)
    assert first == "1 record not delivered: 1 rejected. max_failures allows 5, so the task succeeds."
    assert failure_lines(replace(REPORT, error=None), 10)[0] == "1 record not delivered: 1 rejected."


def test_known_failures_alone_are_why_the_task_succeeds():
    report = replace(REPORT, known_failures=1, error=None)
    ending = "1 known failure among them, reported by an earlier delivery, does not count"
    assert failure_lines(report, 0)[0].endswith(f"1 rejected. {ending}, so the task succeeds.")
    assert failure_lines(report, 0, in_task=False)[0].endswith(f"1 rejected. {ending}.")


def test_why_it_stopped_comes_first():
    stopped = replace(REPORT, delivered=2, unsent=7, error="the API is not there")
    first, second, *_ = failure_lines(stopped, 0)
    assert first == "the API is not there"
    assert second == "8 records not delivered: 1 rejected, 7 unsent. max_failures allows 0, so the task fails."
    # It is not for these that the task fails.
    assert failure_lines(stopped, 10)[1] == "8 records not delivered: 1 rejected, 7 unsent."


def test_a_delivery_that_waits_has_not_failed():
    waiting = replace(REPORT, delivered=4, error="the API asked to wait 300 s; the delivery goes on after that")
    assert failure_lines(waiting, 0) == [waiting.error]


def test_without_a_task_its_colour_is_not_spoken_of_and_the_error_is_left_to_the_caller():
    lines = failure_lines(REPORT, 0, in_task=False)
    assert lines[0] == "The most frequent reasons:"
    assert failure_lines(replace(REPORT, error=None), 5, in_task=False)[0] == (
        "1 record not delivered: 1 rejected. max_failures allows 5."
    )
    stopped = replace(REPORT, delivered=2, unsent=7, error="the API is not there")
    (first, *others) = failure_lines(stopped, 0, in_task=False)
    assert first == "8 records not delivered: 1 rejected, 7 unsent."
    assert not any("task" in line or line == stopped.error for line in [first, *others])
    nothing = replace(REPORT, read=0, delivered=0, rejected=0, error="no such file")
    assert failure_lines(nothing, 0, in_task=False) == []
    assert failure_lines(nothing, 0) == ["no such file"]


def test_the_first_records_that_failed_are_named():
    named = FailedRecord(17, 19, {"id": 4711}, "rejected", 422, "422 Unprocessable Entity: no")
    item = FailedRecord(18, None, {}, "rejected", 207, "amount: below 0")
    invalid = FailedRecord(20_000, None, {}, "invalid", None, "id: Input should be a valid integer (found 'x')")
    report = replace(REPORT, delivered=6, rejected=3, invalid=1, first_failures=(named, item, invalid))
    lines = failure_lines(report, 0)
    assert lines[3:7] == [
        "The first 3 of 4:",
        "  record 17 (row 19, id=4711): rejected: 422 Unprocessable Entity: no",
        "  record 18: rejected (207): amount: below 0",
        "  record 20,000: invalid: id: Input should be a valid integer (found 'x')",
    ]
    assert "The records:" in failure_lines(replace(report, delivered=7, rejected=2), 0)


def test_how_to_deliver_them_again():
    assert ending(replace(REPORT, report_path="/my files/report.json"), "request")[-1] == (
        "To deliver them again, once the cause is mended: airflow osmosdest retry '/my files/report.json'"
    )
    # The parts of a delivery are delivered again together; what was not sent, the next attempt sends.
    assert ending(REPORT, "request", whole=False)[-1] == "Report: /f/report.json"
    unsent = replace(REPORT, rejected=0, unsent=1)
    assert ending(replace(unsent, about={"dag_id": "d"}), "request")[-1] == "Report: /f/report.json"
    assert "airflow osmosdest retry" in ending(unsent, "request")[-1]
    assert ending(replace(REPORT, about={"retry_of": "/r"}), "request")[-1] == (
        "To go on with what is left, once the cause is mended: the same command again."
    )


def test_nothing_to_say_of_a_delivery_without_failures():
    assert failure_lines(replace(REPORT, delivered=10, rejected=0, error=None), 0) == []
