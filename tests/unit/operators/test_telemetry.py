from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset, AssetAlias

from airflow_provider_osmosdest.operators.telemetry import Lineage, count_metrics, describe_outlets, request_timer

XCOM = {
    "delivery_id": "d",
    "read": 10,
    "delivered": 7,
    "duplicate": 0,
    "invalid": 2,
    "rejected": 1,
    "unknown": 0,
    "unsent": 0,
    "bytes_sent": 700,
}


@pytest.fixture
def stats(mocker):
    return mocker.patch("airflow.providers.common.compat.sdk.Stats")


def test_every_outcome_of_this_attempt_is_counted_with_its_tags(stats):
    count_metrics(SimpleNamespace(gained={"delivered": 7, "invalid": 2, "rejected": 0, "requests": 3}), {"dag_id": "d"})
    assert [(call.args[0], call.kwargs) for call in stats.incr.call_args_list] == [
        ("osmosdest.records.delivered", {"count": 7, "tags": {"dag_id": "d"}}),
        ("osmosdest.records.invalid", {"count": 2, "tags": {"dag_id": "d"}}),
        ("osmosdest.requests", {"count": 3, "tags": {"dag_id": "d"}}),
    ]


def test_at_most_ten_timings_a_second_are_handed_on(stats):
    now = iter(number / 100 for number in range(100))
    timed = request_timer({"dag_id": "d"}, clock=lambda: next(now))
    for _ in range(100):
        timed(0.25)
    assert stats.timing.call_count <= 10
    assert stats.timing.call_args.args == ("osmosdest.request_seconds", timedelta(seconds=0.25))


def test_asset_events_carry_the_counts():
    asset = Asset("https://api.example.com/v1/orders")
    events = {asset: SimpleNamespace(extra={"mine": 1})}
    describe_outlets({"outlet_events": events}, [asset, AssetAlias("another")], XCOM)
    assert events[asset].extra == {
        "mine": 1,
        "delivery_id": "d",
        "read": 10,
        "delivered": 7,
        "duplicate": 0,
        "invalid": 2,
        "rejected": 1,
        "unknown": 0,
        "unsent": 0,
    }


def test_lineage_names_both_ends_without_secrets():
    pytest.importorskip("airflow.providers.openlineage")
    lineage = Lineage("s3://user:secret@bucket/in.csv?key=secret", "https://api.example.com/v1/orders?***", XCOM)
    found = lineage.to_openlineage()
    assert [(one.namespace, one.name) for one in found.inputs] == [("s3://bucket", "/in.csv")]
    (output,) = found.outputs
    assert (output.namespace, output.name) == ("https://api.example.com", "/v1/orders")
    assert output.outputFacets["outputStatistics"].rowCount == 7


def test_values_have_no_source():
    pytest.importorskip("airflow.providers.openlineage")
    assert Lineage(None, "https://api.example.com/v1", XCOM).to_openlineage().inputs == []
