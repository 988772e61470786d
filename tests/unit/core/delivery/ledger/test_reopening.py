from __future__ import annotations

import json
from collections import Counter

import pytest

from airflow_provider_osmosdest.core.delivery.ledger.ledger import Ledger, read_ledger
from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
from airflow_provider_osmosdest.core.delivery.ledger.reopening import reopen
from airflow_provider_osmosdest.core.delivery.ledger.store import MemoryLedgerStore
from airflow_provider_osmosdest.core.errors import StorageError

OUTCOMES = ("rejected", "unknown", "invalid", "rejected", "unknown")


@pytest.fixture
def ledger(tmp_path):
    for number, part in enumerate(("failures-00000.ndjson", "failures-00001.ndjson")):
        lines = [json.dumps({"index": at, "outcome": OUTCOMES[at]}) for at in range(5) if at % 2 == number]
        (tmp_path / part).write_text("\n".join([*lines, ""]))
    return Ledger(
        "d",
        "f",
        settled=RangeSet([(0, 20)]),
        counts={"delivered": 15, "rejected": 2, "unknown": 2, "invalid": 1},
        reasons=Counter({"rejected: 422": 2, "invalid: id": 1, "unknown: silence": 2}),
        parts=["failures-00000.ndjson", "failures-00001.ndjson"],
        attempts=3,
    )


def test_rejected_and_invalid_records_are_taken_up_and_unknown_ones_stay(ledger, tmp_path):
    store = MemoryLedgerStore()
    reopen(ledger, store, tmp_path)
    assert ledger.settled == RangeSet([(1, 2), (4, 20)])
    assert ledger.counts == {"delivered": 15, "rejected": 0, "unknown": 2, "invalid": 0}
    assert ledger.reasons == {"unknown: silence": 2}
    assert ledger.parts == ["failures-kept-3.ndjson"]
    lines = (tmp_path / ledger.parts[0]).read_text().splitlines()
    assert sorted(json.loads(line)["index"] for line in lines) == [1, 4]


def test_the_ledger_knows_before_any_part_is_removed(ledger, tmp_path):
    store = MemoryLedgerStore()
    reopen(ledger, store, tmp_path)
    written = read_ledger(store.document)
    assert written.parts == ledger.parts
    assert written.settled == ledger.settled
    assert (tmp_path / "failures-00000.ndjson").exists()


def test_taken_up_twice_it_is_the_same(ledger, tmp_path):
    store = MemoryLedgerStore()
    reopen(ledger, store, tmp_path)
    again = read_ledger(store.document)
    store.document = None
    reopen(again, store, tmp_path)
    assert again.settled == ledger.settled
    assert again.parts == ledger.parts
    assert store.document is None, "there is nothing left to take up"


def test_what_was_refused_is_in_no_doubt_though_it_is_in_the_window_of_an_attempt_that_was_killed(ledger, tmp_path):
    ledger.window = (2, 24)
    store = MemoryLedgerStore()
    reopen(ledger, store, tmp_path)
    assert read_ledger(store.document).doubts() == RangeSet([(20, 24)])


def test_nothing_is_left_where_nothing_is_unknown(tmp_path):
    (tmp_path / "failures-00000.ndjson").write_text('{"index": 0, "outcome": "rejected"}\n')
    ledger = Ledger("d", "f", settled=RangeSet([(0, 2)]), parts=["failures-00000.ndjson"])
    reopen(ledger, MemoryLedgerStore(), tmp_path)
    assert ledger.parts == []
    assert ledger.settled == RangeSet([(1, 2)])
    assert [path.name for path in tmp_path.iterdir()] == ["failures-00000.ndjson"]


def test_what_stays_is_kept_as_it_was_written(tmp_path):
    line = b'{ "index": 1, "outcome": "unknown", "record": "gr\xc3\xb6\xc3\x9fer" }\n'
    (tmp_path / "failures-00000.ndjson").write_bytes(b'{"index": 0, "outcome": "rejected"}\n' + line)
    ledger = Ledger("d", "f", settled=RangeSet([(0, 2)]), parts=["failures-00000.ndjson"], attempts=1)
    reopen(ledger, MemoryLedgerStore(), tmp_path)
    assert (tmp_path / "failures-kept-1.ndjson").read_bytes() == line


def test_where_all_that_failed_is_unknown_nothing_is_written(tmp_path):
    (tmp_path / "failures-00000.ndjson").write_text('{"index": 0, "outcome": "unknown"}\n')
    ledger = Ledger("d", "f", settled=RangeSet([(0, 2)]), window=(0, 9), parts=["failures-00000.ndjson"])
    before, store = ledger.to_json(), MemoryLedgerStore()
    reopen(ledger, store, tmp_path)
    assert (ledger.to_json(), store.document) == (before, None)
    assert [path.name for path in tmp_path.iterdir()] == ["failures-00000.ndjson"]


def test_a_reason_is_told_by_its_outcome_and_not_by_a_word_in_it(tmp_path):
    (tmp_path / "failures-00000.ndjson").write_text('{"index": 0, "outcome": "invalid"}\n')
    ledger = Ledger(
        "d",
        "f",
        settled=RangeSet([(0, 2)]),
        reasons=Counter({"invalid: id": 1, "unknown: rejected: 504": 1, "invalidated: x": 1}),
        parts=["failures-00000.ndjson"],
    )
    reopen(ledger, MemoryLedgerStore(), tmp_path)
    assert ledger.reasons == {"unknown: rejected: 504": 1, "invalidated: x": 1}


@pytest.mark.parametrize("damage", ["not json\n", "{}\n", "[]\n", None])
def test_a_file_that_cannot_be_read_changes_nothing(ledger, tmp_path, damage):
    part = tmp_path / "failures-00001.ndjson"
    part.unlink() if damage is None else part.write_text(damage)
    before = ledger.to_json()
    with pytest.raises(StorageError, match=rf"^the failures file in {tmp_path} cannot be taken up again: .+"):
        reopen(ledger, MemoryLedgerStore(), tmp_path)
    assert ledger.to_json() == before
