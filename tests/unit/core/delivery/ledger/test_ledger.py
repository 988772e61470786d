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


KIND = "a value in it is of another kind than was written"
CUT_OFF = "expected JSON, and it was cut off or changed"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", f"{CUT_OFF} (Expecting value: line 1 column 1 (char 0))"),
        (b'{"version": 2', f"{CUT_OFF} (Expecting ',' delimiter: line 1 column 14 (char 13))"),
        (b"\xff\xfe\x00", f"{CUT_OFF} ('utf-16-le' codec can't decode byte 0x00 in position 2: truncated data)"),
        (b"null", f"{KIND} ('NoneType' object is not subscriptable)"),
        (b'{"version": 1}', "it has no 'delivery_id'"),
        (b'{"version": 2}', "it has no 'checksum'"),
        (b'{"version": 9}', "found version 9, expected 2 at most"),
        (b'{"version": "2"}', "found version '2', expected 2 at most"),
        (
            b'{"version": 2, "checksum": ""}',
            "its checksum does not fit what it says: it was changed by hand, or by the disk",
        ),
    ],
)
@pytest.mark.parametrize(("folder", "whose"), [("/data/d", "the delivery in /data/d"), (None, "this delivery")])
def test_what_is_damaged_is_named_and_how(document, said, folder, whose):
    with pytest.raises(StorageError) as caught:
        read_ledger(document, folder)
    assert str(caught.value) == (
        f"the ledger of {whose} is damaged: {said}. So it is not known what was sent. Restore it; or look at what is "
        "left with 'airflow osmosdest delivery show', and begin anew with 'airflow osmosdest delivery forget', after "
        "which all is sent again under the same keys."
    )


def test_what_is_nested_too_deeply_is_no_json_of_ours():
    with pytest.raises(StorageError, match=f"is damaged: {CUT_OFF}"):
        read_ledger(b"[" * 100_000)


def test_values_of_another_kind_are_damage():
    for values in ({"counts": 3}, {"reasons": {"x": None}}, {"seconds": []}):
        with pytest.raises(StorageError, match=f"is damaged: {KIND}"):
            read_ledger(as_version_0_1_0_wrote_it(**values))
    with pytest.raises(StorageError, match="is damaged: cannot convert float infinity to integer"):
        read_ledger(as_version_0_1_0_wrote_it(attempts=float("inf")))


def test_the_document_as_it_is_kept():
    document = json.loads(full_ledger().to_json())
    assert len(document.pop("checksum")) == 32
    assert document == {
        "version": 2,
        "delivery_id": "d",
        "fingerprint": "f",
        "complete": False,
        "settled": [0, 10, 2, 8],
        "sending": [{"start": 20, "stop": 40, "without": [22, 23]}],
        "window": [40, 60],
        "in_doubt": [10, 2],
        "counts": dict.fromkeys(COUNTS, 3),
        "reasons": {"rejected: no": 2},
        "parts": ["failures-00000.ndjson"],
        "seconds": 1.5,
        "attempts": 2,
        "host": None,
        "occasion": None,
    }


def test_every_field_is_read_as_it_was_written():
    ledger = full_ledger()
    ledger.complete, ledger.run_key, ledger.fingerprint, ledger.seconds = True, "scheduled__1", None, 1.23456
    read = read_ledger(ledger.to_json())
    assert (read.complete, read.run_key, read.fingerprint, read.seconds) == (True, "scheduled__1", None, 1.235)
    assert read_ledger(read.to_json()) == read


def test_it_is_small_and_in_its_own_letters():
    ledger = full_ledger()
    ledger.reasons = Counter({"größer": 1})
    document = ledger.to_json()
    assert b" " not in document
    assert "größer".encode() in document


def test_the_twenty_most_frequent_reasons_are_kept():
    ledger = full_ledger()
    ledger.reasons = Counter({f"reason {number}": number for number in range(1, 30)})
    assert read_ledger(ledger.to_json()).reasons == {f"reason {number}": number for number in range(10, 30)}


def test_counts_of_other_versions_are_left_out_and_missing_ones_are_nought():
    ledger = read_ledger(as_version_0_1_0_wrote_it(counts={"delivered": 5, "of another version": 3}))
    assert ledger.counts == {**dict.fromkeys(COUNTS, 0), "delivered": 5}


def test_a_new_ledger_is_empty_and_keeps_what_it_is_told_apart_by():
    ledger = Ledger.new("f", "run")
    assert ledger == Ledger(ledger.delivery_id, "f", run_key="run")
    assert len(ledger.delivery_id) == 32
    assert Ledger.new(None).run_key is None


@pytest.mark.parametrize(
    ("chunk", "ranges"),
    [
        (Chunk(3, 9), [(3, 9)]),
        (Chunk(3, 9, (5,)), [(3, 5), (6, 9)]),
        (Chunk(3, 9, (5, 6)), [(3, 5), (7, 9)]),
        (Chunk(3, 9, (3, 8)), [(4, 8)]),
        (Chunk(3, 4), [(3, 4)]),
        (Chunk(3, 4, (3,)), []),
        (Chunk(0, 2, (0,)), [(1, 2)]),
    ],
)
def test_the_ranges_of_a_chunk_leave_out_what_is_not_part_of_it(chunk, ranges):
    assert chunk.ranges() == ranges


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
