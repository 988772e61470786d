"""Only what is new is sent: runs over a source that grows, with what was seen on a disk and in a bucket."""

from __future__ import annotations

import itertools
import json

import pytest
from upath import UPath

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.seen.files import SeenFiles
from airflow_provider_osmosdest.core.seen.segments import list_segments
from airflow_provider_osmosdest.core.seen.store import SeenStore
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of
from tests.mailbox_servers import BUCKET

SCHEMA = DestinationSchema.load(
    [{"name": "id", "type": "integer", "nullable": False}, {"name": "note", "type": "string"}]
)
_NUMBERS = itertools.count()


@pytest.fixture(params=["disk", "s3"])
def storage(request, tmp_path):
    """Return what gives the storage's path, as a process of its own would open it."""
    if request.param == "disk":
        return lambda: UPath(tmp_path)
    options = request.getfixturevalue("s3")
    root = f"s3://{BUCKET}/seen-{next(_NUMBERS)}"
    return lambda: UPath(root, **options, default_block_size=5 * 2**20 + next(_NUMBERS))


@pytest.fixture
def api():
    class Api:
        def __init__(self):
            self.taken = []
            self.down = False

        def handle(self, request):
            if self.down:
                return Response(request, 503)
            self.taken += [record["id"] for record in json.loads(body_of(request))]
            return Response(request, 200)

    return Api()


@pytest.fixture
def morning(storage, api):
    def run(rows, **options):
        root = storage()
        options = {"deduplicate": "records", "max_retries": 0, "batch_size": 100, **options}
        before = len(api.taken)
        result = deliver(
            Delivery(
                Target("http://api.test"),
                DeliveryOptions(**options),
                SCHEMA,
                root / f"delivery {next(_NUMBERS)}",
                seen=root / "seen" / "crm" / "%2Fnotify",
            ),
            open_source(rows) if not isinstance(rows, list) else open_source([*rows]),
            lambda target, **needs: HandlerTransport(api.handle),
            lambda line: None,
            RunContext(run_key="o"),
        )
        return api.taken[before:], result.report

    return run


def rows(*numbers, note="a"):
    return [{"id": number, "note": note} for number in numbers]


def test_three_mornings_and_one_on_which_the_api_is_down(morning, api):
    assert morning(rows(*range(250)))[0] == list(range(250))
    sent, report = morning([*rows(*range(100)), *rows(100, note="edited"), *rows(*range(101, 260))])
    assert sent == [100, *range(250, 260)]
    assert (report.delivered, report.duplicate, report.failed) == (11, 249, 0)
    api.down = True
    sent, report = morning(rows(*range(270)))
    assert (sent, report.delivered, report.duplicate) == ([], 0, 260)
    api.down = False
    sent, report = morning(rows(*range(280)))
    assert sent == list(range(260, 280))
    assert report.duplicate == 260


def test_many_mornings_leave_few_segments(morning, storage):
    for number in range(12):
        assert morning(rows(*range(number + 1)))[0] == [number]
    store = SeenStore(storage() / "seen" / "crm" / "%2Fnotify" / "records")
    assert len(list_segments(storage() / "seen" / "crm" / "%2Fnotify" / "records")) < 8
    assert len(store.load()) == 12
    assert store.forget_since(0) == 12
    assert morning(rows(3))[0] == [3]


def test_two_processes_see_each_others_keys(morning, storage):
    here = storage() / "seen" / "crm" / "%2Fnotify" / "records"
    assert len(SeenStore(here).load()) == 0
    morning(rows(1, 2))
    assert len(SeenStore(here).load()) == 2
    morning(rows(3))
    assert len(SeenStore(here).load()) == 3


def test_files(morning, storage, tmp_path):
    path = tmp_path / "in.ndjson"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows(1, 2)))
    assert morning(path, deduplicate="files")[0] == [1, 2]
    sent, report = morning(path, deduplicate="files")
    assert (sent, report.duplicate) == ([], 2)
    files = SeenFiles(storage() / "seen" / "crm" / "%2Fnotify" / "files")
    assert [taken.name for taken in files.all()] == ["in.ndjson"]
    assert files.forget_since(0) == 1
    assert morning(path, deduplicate="files")[0] == [1, 2]
