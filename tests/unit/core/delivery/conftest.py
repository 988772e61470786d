"""A delivery on a bench: records in, a function for a server, and everything that came of it to look at."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from fnmatch import fnmatch
from types import SimpleNamespace

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.ledger.ledger import read_ledger
from airflow_provider_osmosdest.core.delivery.ledger.store import MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.responses import sends
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.validation.blocks import Rows
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of

SCHEMA = DestinationSchema.load(
    {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "note", "type": "string"}]}
)


class MemoryFolder:
    """A folder whose files are kept in a dict."""

    def __init__(self):
        self.files = {}

    def __truediv__(self, name):
        return _MemoryPath(self.files, name)

    def __str__(self):
        return "memory"

    def mkdir(self, *, parents, exist_ok):
        pass

    def glob(self, pattern):
        return [_MemoryPath(self.files, name) for name in self.files if fnmatch(name, pattern)]


class _MemoryPath:
    protocol = "memory"

    def __init__(self, files, name):
        self._files, self.name = files, name

    def __str__(self):
        return f"memory/{self.name}"

    def stat(self):
        if self.name not in self._files:
            raise FileNotFoundError(self.name)
        return SimpleNamespace(st_size=len(self._files[self.name]))

    def unlink(self):
        del self._files[self.name]

    def open(self, mode):
        files, name = self._files, self.name
        if mode == "rb":
            if name not in files:
                raise FileNotFoundError(name)
            return io.BytesIO(files[name])

        class File(io.BytesIO):
            def close(self):
                files[name] = self.getvalue()
                super().close()

        return File()


class ListSource:
    """Records in blocks of a given size, and perhaps a fault behind them."""

    description, format, fingerprint, progress = "a list", "values", None, None

    def __init__(self, records, block=50, fault=None):
        self._records, self._block, self._fault = records, block, fault

    def blocks(self):
        for start in range(0, len(self._records), self._block):
            yield Rows(self._records[start : start + self._block])
        if self._fault is not None:
            raise self._fault


@dataclass
class Came:
    """What came of a delivery."""

    report: object
    error: Exception | None
    lines: list
    transport: HandlerTransport
    log: list
    files: dict
    mendable: bool = False

    @property
    def counts(self):
        """The five outcomes in the design's order."""
        report = self.report
        return (report.delivered, report.invalid, report.rejected, report.unknown, report.unsent)

    @property
    def bodies(self):
        return [body_of(request) for request in self.transport.requests]

    @property
    def sent(self):
        """Each request's body as JSON."""
        return [json.loads(body) for body in self.bodies]

    @property
    def keys(self):
        return [request.headers["Idempotency-Key"] for request in self.transport.requests]

    def indexes(self, outcome):
        return [line["index"] for line in self.lines if line["outcome"] == outcome]


@pytest.fixture(autouse=True)
def _short_conflicts(monkeypatch):
    """A conflict may be a request in progress for as long as the time-out, and no ten seconds more."""
    monkeypatch.setattr(sends, "_CONFLICT_SECONDS", 0.0)


@pytest.fixture(scope="session")
def bench():
    """Return a function that delivers records to a handler, and checks what must hold of every delivery."""

    def run(
        handler, records, *, block=50, fault=None, target=None, schema=SCHEMA, shuffle=None, mapping=None, **options
    ):
        options = {"backoff": 0.0001, "max_backoff": 0.0001, "max_retries": 2, **options}
        folder, log = MemoryFolder(), []
        transport = HandlerTransport(handler, shuffle=shuffle)
        target = target or Target("http://api.test/v1")
        delivery = Delivery(target, DeliveryOptions(**options), schema, folder, mapping)
        result = deliver(delivery, ListSource(records, block, fault), transport.factory, log.append)
        lines = [
            json.loads(line)
            for name, data in sorted(folder.files.items())
            if name.startswith("failures-")
            for line in data.splitlines()
        ]
        came = Came(result.report, result.error, lines, transport, log, folder.files)
        _check_books(came, len(records))
        return came

    return run


@dataclass
class Attempts:
    """One delivery that is attempted again and again, as Airflow retries a task."""

    records: list
    options: dict

    def __post_init__(self):
        self.folder, self.ledger = MemoryFolder(), MemoryLedgerStore()

    def run(self, handler, *, block=50, shuffle=None, target=None, stopping=None, **changed):
        """Make one attempt; the report's numbers go on from one to the next, and the requests are this one's."""
        options = {"backoff": 0.0001, "max_backoff": 0.0001, "max_retries": 2, **self.options, **changed}
        log, transport = [], HandlerTransport(handler, shuffle=shuffle)
        source = ListSource(self.records, block)
        source.fingerprint = "the same each time"
        delivery = Delivery(target or Target("http://api.test/v1"), DeliveryOptions(**options), SCHEMA, self.folder)
        run_context = RunContext(self.ledger, stopping or (lambda: None), run_key="retries")
        result = deliver(delivery, source, transport.factory, log.append, run_context)
        lines = [
            json.loads(line)
            for name, data in sorted(self.folder.files.items())
            if name.startswith("failures-")
            for line in data.splitlines()
        ]
        came = Came(result.report, result.error, lines, transport, log, self.folder.files)
        came.mendable = result.mendable
        report = result.report
        assert len({line["index"] for line in lines}) == len(lines)
        if stopping is None:
            assert report.read == len(self.records) == sum(came.counts) + report.duplicate
            assert len(lines) == report.failed
        return came

    @property
    def written(self):
        """What the ledger says."""
        return read_ledger(self.ledger.document)


@pytest.fixture(scope="session")
def attempting():
    """Return a function that begins a delivery, of which an attempt is made at a time."""

    def begin(records, **options):
        return Attempts(records, options)

    return begin


def _check_books(came, read):
    report = came.report
    assert report.read == read == sum(came.counts), "every record that was read has one outcome"
    listed = [line["index"] for line in came.lines]
    assert len(set(listed)) == len(listed), "no record is listed twice"
    assert len(listed) == report.failed
    for outcome in ("invalid", "rejected", "unknown", "unsent"):
        assert len(came.indexes(outcome)) == getattr(report, outcome)
    assert report.requests == len(came.transport.requests)
    assert report.bytes_sent == sum(request.length for request in came.transport.requests)
    assert came.transport.closed
    assert json.loads(came.files["report.json"]) == report.to_dict()
    assert (report.error is None) == (came.error is None)
