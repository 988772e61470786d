"""The parts of a delivery leave what one delivery of the whole leaves."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery, PartOf, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.parts.merge import merge_failures
from airflow_provider_osmosdest.core.errors import MisconfiguredError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.records.parts import PartSource, plan_parts
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.seen.share import KeyShare
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of

SCHEMA = DestinationSchema.load([{"name": "id", "type": "integer", "nullable": False}])


def run(folder, source, part=None, *, status=422, **options):
    """Deliver to an API that refuses each id that 7 divides."""
    stopped = []

    def handler(request):
        body = json.loads(body_of(request))
        ids = [record["id"] for record in (body if isinstance(body, list) else [body])]
        requests.append((request.message_id, ids))
        return Response(request, status if any(number % 7 == 0 for number in ids) else 200, b"{}")

    requests: list = []
    context = None if part is None else RunContext(part=part(stopped.append), run_key=part(stopped.append).delivery_id)
    delivery = Delivery(Target("http://api.test/v1"), DeliveryOptions(**options), SCHEMA, folder)
    result = deliver(delivery, source, HandlerTransport(handler).factory, lambda line: None, context)
    return result, requests, stopped


def failures(path):
    lines = [json.loads(line) for file in path.glob("failures-*") for line in file.read_bytes().splitlines()]
    return sorted(lines, key=lambda line: line["index"])


@pytest.fixture
def dataset(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"".join(b'{"id": %s}\n' % (b'"x"' if n % 11 == 5 else b"%d" % n) for n in range(1, 200)))
    return path


@pytest.mark.parametrize("mode", ["batch", "record"])
def test_failures_have_the_indexes_of_the_whole_and_keys_its_id(dataset, tmp_path, mode):
    whole, _, _ = run(tmp_path / "whole", open_source(dataset), write_mode=mode, max_failures=1.0)
    delivered = 0
    for part in plan_parts(dataset, parts=4, probe=20):
        of = lambda stop, part=part: PartOf("mine", stop, part.first_index)  # noqa: E731
        source = PartSource(dataset, part)
        result, requests, _ = run(tmp_path / str(part.number), source, of, write_mode=mode, max_failures=1.0)
        delivered += result.report.delivered
        assert result.report.delivery_id == "mine"
        assert result.report.read == part.records
        for key, ids in requests:
            # The id of each record is its index and one.
            assert key.startswith(f"mine-{ids[0] - 1}-")
    assert delivered == whole.report.delivered
    merge_failures([tmp_path / str(number) for number in range(5)], tmp_path / "merged")
    assert failures(tmp_path / "merged") == failures(tmp_path / "whole")


def test_a_part_with_failures_is_taken_up_again_and_one_without_is_not(dataset, tmp_path):
    for records, again in ((dataset, True), (tmp_path / "good.ndjson", False)):
        (tmp_path / "good.ndjson").write_bytes(b'{"id": 1}\n')
        part = plan_parts(records, parts=1, probe=0)[0]
        for attempt in range(2):
            of = lambda stop: PartOf("mine", stop)  # noqa: E731
            source = PartSource(records, part)
            folder = tmp_path / records.stem
            result, requests, _ = run(folder, source, of, max_failures=1.0, retry_rejected=True)
            assert result.error is None
            assert bool(requests) == (attempt == 0 or again)


def test_the_ledger_of_another_delivery_does_not_count(tmp_path):
    source = [{"id": 1}]
    for delivery_id in ("first", "second"):
        _, requests, _ = run(tmp_path, open_source(source), lambda stop, name=delivery_id: PartOf(name, stop))
        assert [key.partition("-")[0] for key, _ in requests] == [delivery_id]


def test_what_stops_a_part_is_told_at_once(tmp_path):
    source = open_source([{"id": 7}])
    _, requests, stopped = run(tmp_path, source, lambda stop: PartOf("mine", stop), status=401)
    assert len(requests) == 1
    assert [type(error) for error in stopped] == [MisconfiguredError]


@pytest.mark.parametrize("mode", ["batch", "record"])
def test_shares_settle_each_record_once_and_keep_the_ledger_small(dataset, tmp_path, mode):
    counts = []
    for number in range(3):
        share = KeyShare(number, 3, 10)
        of = lambda stop, share=share: PartOf("mine", stop, 0, share)  # noqa: E731
        folder = tmp_path / str(number)
        result, _, _ = run(
            folder, open_source(dataset), of, write_mode=mode, max_failures=1.0, deduplicate="in_file", batch_size=40
        )
        counts.append((result.report.read, result.report.delivered, result.report.invalid))
        ledger = json.loads((folder / "ledger.json").read_text())
        assert ledger["settled"] == [0, 199]
    # The first ten are another part's.
    indexes = range(10, 199)
    assert [sum(column) for column in zip(*counts, strict=True)] == [
        len(indexes),
        sum((at + 1) % 7 > 0 and (at + 1) % 11 != 5 for at in indexes),
        sum((at + 1) % 11 == 5 for at in indexes),
    ]


def test_a_failures_file_in_parts_keeps_where_records_failed_first(dataset, tmp_path):
    run(tmp_path / "one", open_source(dataset), max_failures=1.0)
    (path,) = (tmp_path / "one").glob("failures-*")
    for part in plan_parts(path, parts=3, probe=0):
        of = lambda stop, part=part: PartOf("mine", stop, part.first_index)  # noqa: E731
        run(tmp_path / str(part.number), PartSource(path, part), of, max_failures=1.0)
    merge_failures([tmp_path / str(number) for number in range(3)], tmp_path / "merged")
    first = [json.loads(line)["index"] for line in path.read_bytes().splitlines()]
    again = failures(tmp_path / "merged")
    assert [line["index"] for line in again] == list(range(len(first)))
    assert [line["first_index"] for line in again] == first
