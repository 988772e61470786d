"""Purging and consumers over the stores as they are: a disk through fsspec, S3's protocol and Azure's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from upath import UPath

from airflow_provider_osmosdest.core.mailbox.consumers import Consumers
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.retention.inventory import overview
from airflow_provider_osmosdest.core.mailbox.retention.purge import GRACE, purge
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.listing import listing
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from tests.mailbox_servers import BUCKET


@pytest.fixture(params=["disk", "file", "airflow", "s3", "azure"])
def root(request, tmp_path):
    if request.param == "disk":
        return tmp_path
    if request.param == "file":
        return UPath(tmp_path.as_uri())
    if request.param == "airflow":
        from airflow.sdk import ObjectStoragePath

        return ObjectStoragePath(tmp_path.as_uri())
    scheme = {"s3": "s3", "azure": "abfs"}[request.param]
    return UPath(f"{scheme}://{BUCKET}/retention", **request.getfixturevalue(request.param))


def test_what_is_listed_has_its_size_and_its_age(root):
    store = Store(root)
    before = datetime.now(UTC) - timedelta(seconds=2)
    for name, data in (("a", b"1"), ("b", b"12345"), ("sub/c", b"123")):
        store.put(f"listed/{name}", data)
    found = listing(root, "listed")
    assert {name: each.size for name, each in found.items()} == {"a": 1, "b": 5}
    for each in found.values():
        assert before < each.modified < before + timedelta(minutes=1)
    store.put("listed/d", b"")
    store.delete(["listed/a"])
    assert sorted(listing(root, "listed")) == ["b", "d"]
    assert listing(root, "nowhere") == {}


def test_batches_and_leftovers_are_purged(root):
    store = Store(root / "purged")
    mailbox = Mailbox(store, MailboxSettings("box", max_bytes=1))
    entries = [mailbox.publish([b'{"id": %d}\n' % n], batch_id=f"batch-{n}").entry for n in range(12)]
    stray = "data/broken-1111111111111111.ndjson.gz"
    store.put(stray, b"abc")
    now = datetime.now(UTC)
    assert purge(mailbox, now=now).waiting == 11
    seen = overview(Mailbox(store, mailbox.settings))
    assert (seen.batches, seen.records, seen.bytes, seen.stray_bytes) == (1, 1, entries[-1].bytes, 3)
    page = Mailbox(store, mailbox.settings).read(Position(3), limit=100, max_bytes=10**6)
    assert page.count == 10

    purged = purge(mailbox, now=now + GRACE)
    assert (purged.batches, purged.bytes) == (11, sum(each.bytes for each in entries[:-1]))
    assert set(listing(store.root, "data")) == {entries[-1].data.removeprefix("data/"), stray.removeprefix("data/")}
    assert len(listing(store.root, "log")) == 1
    assert len(listing(store.root, "claims")) == 12
    assert purge(mailbox, now=now + timedelta(days=8)).leftovers == 12
    assert set(listing(store.root, "data")) == {entries[-1].data.removeprefix("data/")}
    assert len(listing(store.root, "claims")) == 1
    page = Mailbox(store, mailbox.settings).read(None, limit=100, max_bytes=10**6)
    assert (page.lines, page.up_to_date) == (b'{"id": 11}\n', True)


def test_consumers_commit_and_are_moved(root):
    consumers = Consumers(Store(root / "consumed"))
    for seq in range(1, 6):
        assert consumers.commit("acme", Cursor(Position(seq), 0))
    assert not consumers.commit("acme", Cursor(Position(2), 0))
    assert consumers.seek("acme", Position(2)) == Cursor(Position(2), 1) == consumers.committed("acme")
    consumers.note_poll("idle")
    assert consumers.names() == ["acme", "idle"]
    assert len(Store(root / "consumed").names("consumers/acme")) == 2
    consumers.forget("acme")
    assert consumers.names() == ["idle"]
