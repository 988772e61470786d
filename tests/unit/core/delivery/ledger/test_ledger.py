from __future__ import annotations

import json
from collections import Counter

import pytest

from airflow_provider_osmosdest.core.delivery.ledger.ledger import COUNTS, Chunk, Ledger, read_ledger
from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore, MemoryLedgerStore
from airflow_provider_osmosdest.core.errors import StorageError


def full_ledger():
    return Ledger(
        delivery_id="d",
        fingerprint="f",
        settled=RangeSet([(0, 10), (12, 20)]),
        sending=(Chunk(20, 40, (22, 23)),),
        window=(40, 60),
        in_doubt=RangeSet([(10, 12)]),
        counts=dict.fromkeys(COUNTS, 3),
        reasons=Counter({"rejected: no": 2}),
        parts=["failures-00000.ndjson"],
        seconds=1.5,
        attempts=2,
    )


def test_what_is_written_is_read_again():
    assert read_ledger(full_ledger().to_json()) == full_ledger()


def as_version_0_1_0_wrote_it(**more):
    """Return a ledger from before windows and checksums, with other fields as given."""
    document = json.loads(full_ledger().to_json())
    del document["window"], document["in_doubt"], document["checksum"]
    return json.dumps({**document, "version": 1, **more}).encode()


def test_a_ledger_of_version_0_1_0_is_read():
    ledger = read_ledger(as_version_0_1_0_wrote_it(reach=60, doubtful=[10, 2]))
    expected = full_ledger()
    expected.window = (0, 60)
    assert ledger == expected
    assert ledger.doubts() == RangeSet([(10, 12), (20, 60)]), "all up to its reach that is not settled"
    assert read_ledger(ledger.to_json()) == expected, "and is written in the new way"


def test_a_ledger_from_before_doubt_was_noted_has_none():
    ledger = read_ledger(as_version_0_1_0_wrote_it())
    assert (ledger.window, len(ledger.in_doubt)) == ((0, 0), 0)


def test_what_may_have_been_sent_is_all_that_was_noted_and_is_not_settled():
    ledger = full_ledger()
    assert ledger.doubts() == RangeSet([(10, 12), (20, 22), (24, 60)]), "but for the holes of a chunk"
    ledger.settled.add(45, 50)
    assert ledger.doubts() == RangeSet([(10, 12), (20, 22), (24, 45), (50, 60)])
    assert ledger.in_doubt == RangeSet([(10, 12)]), "asking changes nothing"
    assert Ledger.new("f").doubts() == RangeSet()


def test_every_delivery_has_an_id_of_its_own():
    assert Ledger.new(None).delivery_id != Ledger.new(None).delivery_id


@pytest.mark.parametrize("damage", [{"version": 3}, {"settled": [1]}, {"sending": [{"start": 1}]}, {"counts": 3}])
@pytest.mark.parametrize("checked", [True, False])
def test_a_damaged_ledger_says_so_and_what_to_do(damage, checked):
    document = full_ledger().to_json() if checked else as_version_0_1_0_wrote_it()
    with pytest.raises(StorageError, match=r"damaged.*Restore it.*delivery forget"):
        read_ledger(json.dumps({**json.loads(document), **damage}).encode())


@pytest.mark.parametrize("damage", [{"settled": [0, 21]}, {"attempts": 3}, {"fingerprint": "g"}, {"checksum": ""}])
def test_a_ledger_that_was_changed_by_hand_is_damaged(damage):
    document = {**json.loads(full_ledger().to_json()), **damage}
    with pytest.raises(StorageError, match=r"damaged: its checksum does not fit"):
        read_ledger(json.dumps(document).encode())
    del document["checksum"]
    with pytest.raises(StorageError, match="damaged"):
        read_ledger(json.dumps(document).encode())


def test_a_store_may_write_the_same_ledger_in_another_way():
    document = json.loads(full_ledger().to_json())
    other = dict(sorted(document.items(), reverse=True))
    assert read_ledger(json.dumps(other, indent=2).encode()) == full_ledger()


def test_half_a_character_in_a_reason_does_no_harm():
    ledger = full_ledger()
    ledger.reasons = Counter({"rejected: \ud800": 1})
    assert read_ledger(ledger.to_json()).reasons == {"rejected: ?": 1}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "expected JSON, and it was cut off or changed"),
        (b'{"version": 2', "expected JSON, and it was cut off or changed"),
        (b"\xff\xfe\x00", "expected JSON, and it was cut off or changed"),
        (b"null", "a value in it is of another kind than was written"),
        (b'{"version": 1}', "it has no 'delivery_id'"),
        (b'{"version": 9}', "found version 9, expected 2 at most"),
    ],
)
def test_what_is_damaged_is_named_and_how(document, said):
    with pytest.raises(StorageError) as caught:
        read_ledger(document, "/data/d")
    assert str(caught.value).startswith(f"the ledger of the delivery in /data/d is damaged: {said}")


def test_half_a_ledger_is_damaged():
    with pytest.raises(StorageError, match="damaged"):
        read_ledger(full_ledger().to_json()[:-5])


class StoreContract:
    """What every store of a ledger does."""

    @pytest.fixture
    def store(self):
        raise NotImplementedError

    def test_there_is_nothing_at_first(self, store):
        assert store.load() is None

    def test_the_last_attempt_that_claimed_it_holds_it(self, store):
        assert store.holder() is None
        for attempt in ("a", "b"):
            store.claim(attempt)
            assert store.holder() == attempt
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

    def test_which_attempt_goes_on_is_kept_beside_it(self, store, tmp_path):
        store.claim("first")
        FolderLedgerStore(tmp_path / "deliveries" / "d").claim("second")
        store.save(b"{}")
        assert store.holder() == "second"

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
