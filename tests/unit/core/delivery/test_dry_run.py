from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.delivery.dry_run import dry_run
from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.schema import DestinationSchema
from tests.unit.core.delivery.conftest import ListSource, MemoryFolder


@pytest.fixture
def tried():
    def run(records, **options):
        target = Target("http://api.test/v1", headers={"X-Key": "hush-hush"}, secrets=("hush-hush",))
        delivery = Delivery(target, DeliveryOptions(**options), DestinationSchema.any_object(), MemoryFolder())
        return dry_run(delivery, ListSource(records), lambda _: None)

    return run


@pytest.mark.parametrize("mode", ["batch", "record"])
def test_the_first_request_is_shown_as_it_would_go_out(tried, mode):
    came = tried([{"a": 1}], write_mode=mode)
    lines = came.first_request.splitlines()
    assert lines[0] == "POST http://api.test/v1 HTTP/1.1"
    assert "X-Key: ***" in lines
    assert f"Idempotency-Key: {came.result.report.delivery_id}-0" in came.first_request
    assert lines[-1] == ('[{"a":1}]' if mode == "batch" else '{"a":1}')


def test_a_header_that_is_too_short_to_be_masked_elsewhere_is_hidden():
    target = Target("http://api.test", headers={"Authorization": "Bearer tok", "X-Key": "abc", "X-Long": "in-the-open"})
    delivery = Delivery(target, DeliveryOptions(), DestinationSchema.any_object(), MemoryFolder())
    lines = dry_run(delivery, ListSource([{"a": 1}]), lambda _: None).first_request.splitlines()
    assert {"Authorization: Bearer ***", "X-Key: ***", "X-Long: in-the-open"} <= {*lines}


def test_what_is_off_is_not_shown(tried):
    assert "Idempotency" not in tried([{"a": 1}], idempotency_header="none").first_request


def test_nothing_is_delivered(tried):
    came = tried([{"a": 1}, {"a": 2}])
    report = came.result.report
    assert (report.read, report.delivered, report.unsent, report.requests) == (2, 0, 2, 0)


def test_without_a_valid_record_there_is_no_request(tried):
    assert tried([]).first_request is None
