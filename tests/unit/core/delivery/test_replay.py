from __future__ import annotations

import json
from operator import itemgetter

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.replay import SelectedFailures, count_failures, is_failure_record
from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_BYTES
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


class TestRows:
    """A failure record has its row in the sheet, or its line in the file."""

    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    def test_lines_of_a_csv_file_with_gaps(self, tmp_path, ending):
        lines = ["No,Note", "1,a", "", "x,b", '2,"two', 'lines"', "y,c", "3,d", "z,e,more"]
        (tmp_path / "in.csv").write_bytes(ending.join([*lines, ""]).encode())
        _, failures = run(tmp_path / "in.csv", tmp_path / "f", refusing("d"), STRICT)
        assert [(each["index"], each["row"]) for each in failures] == [(1, 4), (3, 7), (4, 8), (5, 9)]
        assert all(map(is_failure_record, failures))

    def test_many_blocks(self, tmp_path):
        bad = {0, 999, 1_000, 1_001, 2_500}
        rows = (f"{'x' if number in bad else number},n" for number in range(3_000))
        (tmp_path / "in.csv").write_text("\n".join(["No,Note", *rows]))
        _, failures = run(tmp_path / "in.csv", tmp_path / "f", refusing(), STRICT)
        assert [(each["index"], each["row"]) for each in failures] == [(index, index + 2) for index in sorted(bad)]

    def test_a_sheet(self, tmp_path):
        sheet = [[""], ["No", "Note"], ["1", "a"], [], ["x", "b"]]
        source = open_source(sheet, records_format="sheet")
        delivery = Delivery(
            Target("http://api.test/v1"), DeliveryOptions(), DestinationSchema.load(STRICT), tmp_path, mapping=MAPPING
        )
        report = deliver(delivery, source, refusing().factory, lambda line: None).report
        assert [(each.index, each.row) for each in report.first_failures] == [(1, 5)]

    def test_what_has_no_rows_has_none(self, tmp_path):
        (tmp_path / "in.ndjson").write_text('{"No": "x", "Note": "a"}\n')
        _, (failure,) = run(tmp_path / "in.ndjson", tmp_path / "f", refusing(), STRICT)
        assert "row" not in failure

    def test_they_stay_where_it_fails_again(self, failed):
        report, lines, folder = failed
        _, again = run(type(folder)(report.failures_path), folder / "second", refusing("bad"), STRICT)
        assert [each["row"] for each in again] == [each["row"] for each in lines] == [3, 4, 5]
        assert [each["first_index"] for each in again] == [1, 2, 3]


class TestSelectedFailures:
    def test_only_some_outcomes(self, failed):
        report, _, folder = failed
        source = open_source(type(folder)(report.failures_path))
        assert count_failures(source) == {"invalid": 2, "rejected": 1}
        selected = SelectedFailures(source, ["rejected"])
        (block,) = selected.blocks()
        assert json.loads(block.data)["outcome"] == "rejected"
        assert selected.description == "the rejected records of failures-00000.ndjson (ndjson)"
        assert selected.fingerprint != SelectedFailures(source, ["invalid"]).fingerprint

    def test_blocks_stay_small(self, tmp_path):
        line = {"index": 0, "outcome": "invalid", "status": None, "error": "no", "attempts": 0, "record": "x" * 1000}
        (tmp_path / "failures.ndjson").write_text(f"{json.dumps(line)}\n" * 1000)
        blocks = list(SelectedFailures(open_source(tmp_path / "failures.ndjson"), ["invalid"]).blocks())
        assert sum(block.data.count(b"\n") for block in blocks) == 1000
        assert max(len(block.data) for block in blocks) < 2 * BLOCK_BYTES

    def test_another_line_is_named(self, failed):
        report, _, folder = failed
        path = type(folder)(report.failures_path)
        path.write_text(path.read_text() + '\n{"id": 1}\n')
        with pytest.raises(SourceError, match="record 4 is no failure record"):
            count_failures(open_source(path))


SOURCED = [
    {"name": "id", "type": "decimal", "source": "No", "nullable": False},
    {"name": "note", "source": "Note", "nullable": False},
]


def deliver_sourced(records, folder, schema, handler):
    delivery = Delivery(Target("http://api.test/v1"), DeliveryOptions(), DestinationSchema.load(schema), folder)
    return deliver(delivery, open_source(records), HandlerTransport(handler).factory, lambda line: None).report


def test_what_was_sent_and_fails_the_mended_schema_is_read_as_it_was_sent_again(tmp_path):
    (tmp_path / "in.ndjson").write_text('{"No":0.1234567890123456789,"Note":"bad"}\n{"No":"x","Note":"n"}\n')
    first = deliver_sourced(
        tmp_path / "in.ndjson", tmp_path / "1", SOURCED, lambda request: Response(request, 422, b"no")
    )
    assert (first.rejected, first.invalid) == (1, 1)
    strict = [SOURCED[0], {**SOURCED[1], "constraints": {"max_length": 2}}]
    taken = []

    def take(request):
        taken.extend(json.loads(body_of(request)))
        return Response(request, 200)

    second = deliver_sourced(type(tmp_path)(first.failures_path), tmp_path / "2", strict, take)
    assert (second.invalid, taken) == (2, [])
    lines = [
        json.loads(line) for path in (tmp_path / "2").glob("failures-*") for line in path.read_bytes().splitlines()
    ]
    assert [
        (line["first_index"], line.get("as_sent"), line["record"])
        for line in sorted(lines, key=itemgetter("first_index"))
    ] == [
        (0, True, {"id": "0.1234567890123456789", "note": "bad"}),
        (1, None, {"No": "x", "Note": "n"}),
    ]
    third = deliver_sourced(type(tmp_path)(second.failures_path), tmp_path / "3", SOURCED, take)
    assert (third.delivered, third.invalid) == (1, 1)
    assert taken == [{"id": "0.1234567890123456789", "note": "bad"}]
