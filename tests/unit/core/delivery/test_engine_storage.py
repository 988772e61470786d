"""The folder of a delivery: tried out before anything is sent, and readable by its owner alone."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.dry_run import dry_run
from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.storage import PrivatePath, private
from airflow_provider_osmosdest.testing.transports import HandlerTransport, answering, body_of
from tests.modes import modes_below, umask
from tests.unit.core.delivery.conftest import SCHEMA, ListSource

RECORDS = [{"id": number if number % 7 else None, "note": "n"} for number in range(40)]


class Unread(ListSource):
    """Records that must not be read."""

    def blocks(self):
        pytest.fail("the source was read")


def delivery_to(folder, seen=None, **options):
    settings = {"max_retries": 1, "backoff": 1e-9, "max_failures": "100%", "batch_size": 10, **options}
    return Delivery(Target("http://api.test/v1"), DeliveryOptions(**settings), SCHEMA, folder, seen=seen)


def refusing_13(request):
    ids = [record["id"] for record in json.loads(body_of(request))]
    return Response(request, 422 if 13 in ids else 200, b"no")


@pytest.mark.parametrize(
    ("access", "files", "folders"), [("none", "0600", "0700"), ("read", "0640", "0750"), ("write", "0660", "0770")]
)
@pytest.mark.parametrize("deduplicate", ["records", "files"])
def test_all_that_attempts_leave_is_private(tmp_path, access, files, folders, deduplicate):
    (tmp_path / "in.ndjson").write_text("\n".join(map(json.dumps, RECORDS)))
    root = private(tmp_path / "disk", access)
    left = set()
    for handler, options in [
        (answering(503), {}),
        (refusing_13, {"max_failures": 0}),
        (refusing_13, {"retry_rejected": True}),
    ]:
        delivery = delivery_to(root / "delivery", root / "seen", deduplicate=deduplicate, **options)
        with umask(0):
            source = open_source(tmp_path / "in.ndjson")
            deliver(delivery, source, HandlerTransport(handler).factory, lambda _: None, RunContext(run_key="0"))
        assert modes_below(tmp_path / "disk") == {"files": {files}, "folders": {folders}}
        left |= {path.name.split("-")[0] for path in (root / "delivery").iterdir()}
    assert left == {"attempt", "failures", "ledger.json", "report.json"}
    assert list((root / "seen").rglob("*.*"))


@pytest.mark.parametrize("mode", ["batch", "record"])
def test_nothing_is_sent_where_nothing_can_be_kept(tmp_path, mode):
    (tmp_path / "file").write_bytes(b"")
    transport = HandlerTransport(answering(200))
    delivery = delivery_to(tmp_path / "file" / "delivery", write_mode=mode)
    with pytest.raises(StorageError, match=r"file/delivery was tried first, and a file in it cannot be written"):
        deliver(delivery, Unread([{"id": 1}]), transport.factory, lambda _: None)
    assert transport.requests == []


def test_nothing_is_sent_where_what_is_kept_comes_back_as_something_else(tmp_path):
    class Forgetful(PrivatePath):
        def open(self, mode="r", *args, **more):
            if mode == "rb" and self.name.startswith("trial-"):
                self.write_bytes(b"")
            return super().open(mode, *args, **more)

    transport = HandlerTransport(answering(200))
    with pytest.raises(StorageError, match="cannot be read back"):
        deliver(delivery_to(Forgetful(tmp_path)), Unread([{"id": 1}]), transport.factory, lambda _: None)
    assert transport.requests == []


def test_nothing_of_a_trial_is_left(tmp_path):
    result = deliver(
        delivery_to(tmp_path), ListSource([{"id": 1}]), HandlerTransport(answering(200)).factory, lambda _: None
    )
    assert result.error is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attempt", "ledger.json", "report.json"]


def test_a_dry_run_touches_no_storage(tmp_path):
    assert dry_run(delivery_to(tmp_path / "dry"), ListSource([{"id": 1}]), lambda _: None).result.error is None
    assert not (tmp_path / "dry").exists()
