"""A delivery to a server that misbehaves, and everything that must hold of each whatever happens."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import requests

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.core.http.transports.requests_transport import RequestsTransport
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema

SCHEMA = DestinationSchema.load(
    {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "text", "type": "string"}]}
)


def with_requests(target, **needs):
    session = requests.Session()
    session.verify = target.verify
    session.cert = target.cert
    return RequestsTransport(target, session, **needs)


@dataclass
class Came:
    """What came of a delivery."""

    result: object
    lines: list
    log: list

    @property
    def report(self):
        return self.result.report

    @property
    def error(self):
        return self.result.error

    @property
    def failed(self):
        """The ids of the records that were not delivered; an id is an index."""
        return {line["index"] for line in self.lines}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=[CurlTransport, with_requests], ids=["curl", "requests"])
def transport(request):
    return request.param


@pytest.fixture
def send(tmp_path):
    """Return a function that delivers ``count`` records to a server or URL; the second call of a test is a retry."""

    def run(server, count=100, *, transport=CurlTransport, text="", target=None, run_context=None, **options):
        options = {"backoff": 0.005, "max_backoff": 2.0, "timeout": 10, "max_failures": count, **options}
        url = server if isinstance(server, str) else server.url
        delivery = Delivery(
            Target(url, **{"timeout": options["timeout"], **(target or {})}),
            DeliveryOptions(**options),
            SCHEMA,
            tmp_path / "folder",
        )
        log = []
        source = open_source([{"id": index, "text": text} for index in range(count)])
        result = deliver(delivery, source, transport, log.append, run_context)
        paths = (tmp_path / "folder").glob("failures-*.ndjson")
        lines = [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]
        report = result.report
        outcomes = (report.delivered, report.invalid, report.rejected, report.unknown, report.unsent)
        assert report.read == count == sum(outcomes)
        assert len({line["index"] for line in lines}) == len(lines) == report.failed
        if not isinstance(server, str):
            delivered = set(range(count)) - {line["index"] for line in lines}
            assert delivered <= set(server.taken), "what is called delivered was taken"
            for line in lines:
                if line["outcome"] in ("rejected", "unsent"):
                    assert line["index"] not in server.taken, "what was taken is not called refused or unsent"
            if options.get("guarantee") == "at_most_once":
                assert max(server.taken.values(), default=0) <= 1, "nothing was taken twice"
        return Came(result, lines, log)

    return run
