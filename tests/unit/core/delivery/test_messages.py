from __future__ import annotations

from dataclasses import replace

from airflow_provider_osmosdest.core.delivery.messages import failure_lines
from airflow_provider_osmosdest.core.delivery.report import DeliveryReport

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
        "Each with its reason, fit to be delivered again: /f/failures-00000.ndjson",
    ]
    (first, *_) = failure_lines(replace(REPORT, error=None), 5)
    assert first == "1 record not delivered: 1 rejected. max_failures allows 5, so the task succeeds."
    assert failure_lines(replace(REPORT, error=None), 10)[0] == "1 record not delivered: 1 rejected."


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


def test_nothing_to_say_of_a_delivery_without_failures():
    assert failure_lines(replace(REPORT, delivered=10, rejected=0, error=None), 0) == []
