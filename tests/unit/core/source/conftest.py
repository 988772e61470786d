"""A pull against a scripted server, in a folder, without Airflow."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.source.fetching.actions import read_actions
from airflow_provider_osmosdest.core.source.fetching.http_client import HttpClient
from airflow_provider_osmosdest.core.source.fetching.page_fetcher import PageFetcher
from airflow_provider_osmosdest.core.source.incremental.incremental import read_incremental
from airflow_provider_osmosdest.core.source.paging.paginator import read_paging
from airflow_provider_osmosdest.core.source.pull_runner import PullOrder, run_pull
from airflow_provider_osmosdest.core.source.request_spec import RequestSpec
from airflow_provider_osmosdest.testing.servers import ScriptedServer


@dataclass
class Pulling:
    """Pull from a server, again and again, into one folder."""

    folder: Any
    url: str
    said: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    stopping: Any = None

    def order(self, *, path="/items", options=None, schema=None, secrets=(), headers=None, **given):
        target = Target(self.url + path, method=given.pop("method", "GET"), secrets=secrets, headers=headers or {})
        given["paging"] = read_paging(given.pop("paginator", None))
        given["actions"] = read_actions(given.pop("response_actions", None))
        given["incremental"] = read_incremental(given.pop("incremental", None))
        spec = RequestSpec(target, **given)
        chosen = DeliveryOptions(**{"max_retries": 2, **(options or {})})
        return PullOrder(
            spec=spec,
            options=chosen,
            schema=DestinationSchema.load(schema) if schema else DestinationSchema.any_object(),
            folder=self.folder,
            fetcher=lambda traffic: PageFetcher(
                HttpClient(requests.Session(), target, spec.max_page_bytes, traffic=traffic),
                chosen,
                spec.actions,
                self.stopping or (lambda: None),
                self.said.append,
                self.slept.append,
            ),
            watermark=FolderLedgerStore(self.folder.parent / "state", "incremental.json"),
        )

    def __call__(self, *, occasion="0", **more):
        return run_pull(self.order(**more), self.said.append, RunContext(run_key=occasion))

    @property
    def records(self):
        parts = sorted((self.folder / "records").glob("*.ndjson"))
        return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


@pytest.fixture
def pulling(tmp_path, monkeypatch):
    """Return what starts a server with a script and pulls from it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = []

    def start(script):
        server = ScriptedServer(script)
        server.__enter__()
        running.append(server)
        pull = Pulling(tmp_path / "delivery", server.url)
        pull.server = server
        return pull

    yield start
    for server in running:
        server.__exit__()
