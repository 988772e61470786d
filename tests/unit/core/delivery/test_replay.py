from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.replay import is_failure_record
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of

CSV = "No,Note\n1,a\n2,\nx,c\n4,bad\n"
STRICT = [{"name": "id", "type": "integer", "nullable": False}, {"name": "note", "type": "string", "nullable": False}]
MILD = [{"name": "id", "type": "integer"}, {"name": "note", "type": "string"}]
MAPPING = {"id": "No", "note": "Note"}


def refusing(*notes):
    def handler(request):
        bad = [record for record in json.loads(body_of(request)) if record["note"] in notes]
        return Response(request, 422, b"bad note") if bad else Response(request, 200)

    return HandlerTransport(handler)


def run(source, folder, transport, schema):
    delivery = Delivery(
        Target("http://api.test/v1"), DeliveryOptions(), DestinationSchema.load(schema), folder, mapping=MAPPING
    )
    result = deliver(delivery, open_source(source), transport.factory, lambda line: None)
    lines = [json.loads(line) for path in folder.glob("failures-*") for line in path.read_bytes().splitlines()]
    return result.report, sorted(lines, key=lambda line: line["index"])


@pytest.fixture
def failed(tmp_path):
    (tmp_path / "in.csv").write_text(CSV)
    report, lines = run(tmp_path / "in.csv", tmp_path / "first", refusing("bad"), STRICT)
    assert (report.delivered, report.invalid, report.rejected) == (1, 2, 1)
    return report, lines, tmp_path


def test_a_line_says_whether_its_record_is_text(failed):
    _, lines, _ = failed
    assert [(line["index"], line.get("textual")) for line in lines] == [(1, True), (2, True), (3, None)]
    assert all(map(is_failure_record, lines))


def test_what_failed_is_delivered_as_itself_once_the_cause_is_mended(failed):
    report, _, folder = failed
    transport = refusing()
    again, lines = run(type(folder)(report.failures_path), folder / "second", transport, MILD)
    sent = [record for request in transport.requests for record in json.loads(body_of(request))]
    assert sent == [{"id": 2, "note": None}, {"id": 4, "note": "bad"}]
    assert (again.read, again.delivered, again.invalid) == (3, 2, 1)
    assert [(line["first_index"], line["record"]) for line in lines] == [(2, {"No": "x", "Note": "c"})]


def test_what_fails_again_keeps_where_and_why_it_failed_first(failed):
    report, first, folder = failed
    again, second = run(type(folder)(report.failures_path), folder / "second", refusing("bad"), STRICT)
    assert again.read == 3
    assert [(line["first_index"], line["first_error"]) for line in second] == [
        (line["index"], line["error"]) for line in first
    ]
    third_report, third = run(type(folder)(again.failures_path), folder / "third", refusing("bad"), STRICT)
    assert third_report.read == 3
    assert [line["first_index"] for line in third] == [1, 2, 3]


def test_other_ndjson_is_left_alone(tmp_path):
    (tmp_path / "in.ndjson").write_text('{"No": "1", "Note": "n", "record": 1}\n')
    transport = refusing()
    report, _ = run(tmp_path / "in.ndjson", tmp_path / "out", transport, MILD)
    assert report.delivered == 1


@pytest.mark.parametrize("first", [b'{"No":"Zo\xeb","Note":"n"}', b'{"No":' + b"[" * 3_000 + b"]" * 3_000 + b"}"])
def test_a_first_line_that_cannot_be_read_is_the_validators_business(tmp_path, first):
    (tmp_path / "in.ndjson").write_bytes(first + b'\n{"No":1,"Note":"n"}\n')
    report, lines = run(tmp_path / "in.ndjson", tmp_path / "out", refusing(), MILD)
    assert (report.read, report.delivered, report.invalid) == (2, 1, 1)
    assert [line["index"] for line in lines] == [0]
