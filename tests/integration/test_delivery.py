"""A delivery over both transports to a real server that loses its temper now and then."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter

import pytest
import requests

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import GivenUpError, MisconfiguredError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.core.http.transports.requests_transport import RequestsTransport
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer, free_port

SCHEMA = DestinationSchema.load({"fields": [{"name": "id", "type": "integer", "nullable": False}]})
COUNT = 2_000
POISON = set(range(7, COUNT, 401))


def with_requests(target, **more):
    return RequestsTransport(target, requests.Session(), **more)


@pytest.fixture(params=[CurlTransport, with_requests], ids=["curl", "requests"])
def carry(request, tmp_path, monkeypatch):
    """Return a function that delivers ``COUNT`` records to a URL."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def run(url, **options):
        options = {"backoff": 0.01, "max_backoff": 0.02, "timeout": 5, "max_failures": len(POISON), **options}
        target = Target(url, timeout=options["timeout"])
        delivery = Delivery(target, DeliveryOptions(**options), SCHEMA, tmp_path / "folder")
        source = open_source([{"id": index} for index in range(COUNT)])
        result = deliver(delivery, source, request.param, lambda line: None)
        failures = (tmp_path / "folder").glob("failures-*.ndjson")
        lines = [json.loads(line) for path in failures for line in path.read_bytes().splitlines()]
        report = result.report
        assert (
            report.read
            == COUNT
            == sum((report.delivered, report.invalid, report.rejected, report.unknown, report.unsent))
        )
        assert len({line["index"] for line in lines}) == len(lines) == report.failed
        return result, lines

    return run


class Temper:
    """Take records, refuse poison, and one time in five do something rude instead."""

    def __init__(self):
        self._rnd = random.Random(4)
        self._lock = threading.Lock()
        self.taken = Counter()

    def __call__(self, talk):
        with self._lock:
            mood = self._rnd.choice(["503", "reset before", "close", "silence after"] + ["well"] * 16)
        if mood == "reset before":
            talk.reset()
            return
        document = json.loads(talk.read_body())
        ids = [record["id"] for record in (document if isinstance(document, list) else [document])]
        if mood == "503":
            talk.reply(503)
        elif POISON.intersection(ids):
            talk.reply(422, b"poison")
        elif mood == "close":
            talk.close()
        else:
            with self._lock:
                self.taken.update(ids)
            if mood == "silence after":
                talk.reset()
            else:
                talk.reply(200, b"{}")


@pytest.mark.parametrize(
    "options", [{"batch_size": 300}, {"write_mode": "record", "concurrency": 8}], ids=["batch", "record"]
)
def test_everything_but_poison_arrives(carry, options):
    temper = Temper()
    with ScriptedServer(temper) as server:
        result, lines = carry(server.url, **options)
    assert result.error is None
    assert {line["index"] for line in lines} == POISON
    for line in lines:
        assert line["status"] == 422
        said, _, earlier = line["error"].partition("; an earlier request may have been taken: ")
        assert said.endswith(": poison")
        # Where a send of it got no answer, it may be refused for having been taken.
        assert line["outcome"] == ("unknown" if earlier else "rejected")
    assert set(temper.taken) == set(range(COUNT)) - POISON
    assert result.report.retries > 0


@pytest.mark.parametrize("mode", ["batch", "record"])
def test_a_wrong_token(carry, mode):
    with ScriptedServer(answer(401, b"who are you")) as server:
        result, _ = carry(server.url, write_mode=mode, concurrency=4)
    assert isinstance(result.error, MisconfiguredError)
    assert len(server.received) == result.report.requests <= (1 if mode == "batch" else 4)
    assert result.report.unsent == COUNT


@pytest.mark.parametrize("mode", ["batch", "record"])
def test_nobody_there(carry, mode):
    result, _ = carry(f"http://127.0.0.1:{free_port()}", write_mode=mode, concurrency=4, max_retries=1)
    assert isinstance(result.error, GivenUpError)
    assert result.report.unsent == COUNT
