from __future__ import annotations

import json
from collections import Counter

import pytest

from airflow_provider_osmosdest.core.delivery.ledger import COUNTS, Chunk, Entry, read_entry
from airflow_provider_osmosdest.core.delivery.ledger_store import FolderLedgerStore, MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.ranges import RangeSet
from airflow_provider_osmosdest.core.errors import StorageError


def full_entry():
    return Entry(
        delivery_id="d",
        fingerprint="f",
        settled=RangeSet([(0, 10), (12, 20)]),
        sending=(Chunk(20, 40, (22, 23)),),
        reach=60,
        doubtful=RangeSet([(10, 12)]),
        counts=dict.fromkeys(COUNTS, 3),
        reasons=Counter({"rejected: no": 2}),
        parts=["failures-00000.ndjson"],
        seconds=1.5,
        attempts=2,
    )


def test_what_is_written_is_read_again():
    assert read_entry(full_entry().to_json()) == full_entry()


def test_a_ledger_from_before_doubt_was_noted_has_none():
    document = json.loads(full_entry().to_json())
    del document["reach"], document["doubtful"]
    entry = read_entry(json.dumps(document).encode())
    assert (entry.reach, len(entry.doubtful)) == (0, 0)


def test_every_delivery_has_an_id_of_its_own():
    assert Entry.new(None).delivery_id != Entry.new(None).delivery_id


@pytest.mark.parametrize("damage", [{"version": 2}, {"settled": [1]}, {"sending": [{"start": 1}]}, {"counts": 3}])
def test_a_damaged_ledger_says_so_and_what_to_do(damage):
    document = {**json.loads(full_entry().to_json()), **damage}
    with pytest.raises(StorageError, match=r"damaged.*Remove it"):
        read_entry(json.dumps(document).encode())


def test_half_a_ledger_is_damaged():
    with pytest.raises(StorageError, match="damaged"):
        read_entry(full_entry().to_json()[:-5])


class StoreContract:
    """What every store of a ledger does."""

    @pytest.fixture
    def store(self):
        raise NotImplementedError

    def test_there_is_nothing_at_first(self, store):
        assert store.load() is None

    def test_the_last_document_is_the_one(self, store):
        for document in (b"{}", b'{"a":1}', b'{"a":"' + b"1" * 100_000 + b'"}', b'{"b":2}'):
            store.save(document)
            assert json.loads(store.load()) == json.loads(document)


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self):
        return MemoryLedgerStore()


class TestFolder(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FolderLedgerStore(tmp_path / "deliveries" / "d")

    def test_another_process_finds_it(self, store, tmp_path):
        store.save(b"{}")
        assert FolderLedgerStore(tmp_path / "deliveries" / "d").load() == b"{}"

    def test_nothing_else_is_left_beside_it(self, store, tmp_path):
        store.save(b"{}")
        store.save(b"[]")
        assert [path.name for path in (tmp_path / "deliveries" / "d").iterdir()] == ["ledger.json"]

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(StorageError, match=r"ledger.json.*send records twice"):
            FolderLedgerStore(tmp_path / "file").save(b"{}")
