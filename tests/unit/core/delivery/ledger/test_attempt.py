"""How an attempt finds the ledger of those before it, and finds out that a later one has begun."""

from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.delivery.ledger.attempt import begin, check_holder, take_over
from airflow_provider_osmosdest.core.delivery.ledger.ledger import Chunk, Ledger
from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
from airflow_provider_osmosdest.core.delivery.ledger.store import MemoryLedgerStore
from airflow_provider_osmosdest.core.errors import StorageError, SupersededError


def ledger_of(**values):
    """Return a ledger of which 1,234 records are settled."""
    return Ledger(
        **{
            "delivery_id": "d",
            "fingerprint": "f",
            "settled": RangeSet([(0, 1_234)]),
            "counts": {"delivered": 1_200},
            "attempts": 2,
            "run_key": "1",
            **values,
        }
    )


def begun(ledger, fingerprint="f", run_key="1", **more):
    """Return the ledger that an attempt goes on with, and what it says."""
    store, said = MemoryLedgerStore(), []
    store.save(ledger.to_json())
    ledger = begin(store, fingerprint, said.append, run_key, **more)
    return ledger, "\n".join(said)


def is_new(ledger, fingerprint, run_key):
    """Whether a delivery is begun anew, and is told apart by these."""
    expected = Ledger(ledger.delivery_id, fingerprint, run_key=run_key)
    return ledger.delivery_id != "d" and ledger == expected


def test_where_there_is_none_a_delivery_begins():
    said = []
    assert is_new(begin(MemoryLedgerStore(), "f", said.append, "1"), "f", "1")
    assert is_new(begin(MemoryLedgerStore(), None, said.append), None, None)
    assert said == []


@pytest.mark.parametrize("run_key", ["1", "2", None])
def test_an_unfinished_delivery_goes_on_under_any_run_key(run_key):
    found, said = begun(ledger_of(), run_key=run_key)
    assert (found.delivery_id, found.settled, found.run_key) == ("d", RangeSet([(0, 1_234)]), run_key)
    assert said == (
        "Going on with delivery d, attempt 3: 1,234 records are settled already (1,200 delivered) and are not sent "
        "again."
    )


@pytest.mark.parametrize("fingerprint", ["f", "other", None])
def test_a_retry_of_a_complete_one_finds_it_complete(fingerprint):
    found, said = begun(ledger_of(complete=True), fingerprint)
    assert (found.delivery_id, found.complete, found.fingerprint) == ("d", True, "f")
    assert said == (
        "Delivery d is complete already, with 1,200 records delivered by an attempt before this one. Nothing is sent."
    )


@pytest.mark.parametrize(("earlier", "run_key"), [("1", "2"), ("1", None), (None, "1"), (None, None)])
def test_a_complete_one_is_done_again_where_it_is_asked_for_again(earlier, run_key):
    found, said = begun(ledger_of(complete=True, run_key=earlier), run_key=run_key)
    assert is_new(found, "f", run_key)
    assert said == ""


def test_a_part_begins_under_the_id_of_the_whole():
    whole = Ledger("whole", "f", run_key="1")
    assert begin(MemoryLedgerStore(), "f", pytest.fail, "1", delivery_id="whole") == whole
    assert begun(ledger_of(), delivery_id="whole") == (whole, "")


def test_a_part_goes_on_with_what_it_has_of_the_whole():
    found, said = begun(ledger_of(), delivery_id="d")
    assert (found.delivery_id, found.settled) == ("d", RangeSet([(0, 1_234)]))
    assert said.startswith("Going on with delivery d, attempt 3")


def test_where_the_source_has_changed_it_begins_afresh_and_says_so():
    found, said = begun(ledger_of(), "other", "2")
    assert is_new(found, "other", "2")
    assert said == (
        "Warning: the source has changed since the last attempt, which had settled 1,234 of its records. Starting "
        "afresh."
    )


@pytest.mark.parametrize("earlier", ["f", None])
def test_where_a_source_cannot_be_told_apart_it_begins_afresh_and_says_so(earlier):
    found, said = begun(ledger_of(fingerprint=earlier), None, "2")
    assert is_new(found, None, "2")
    assert said == (
        "Warning: an earlier attempt delivered records of this source, but nothing can tell whether it still holds the "
        "same ones. Starting afresh, so some may be sent twice. A list or a file can be resumed."
    )


@pytest.mark.parametrize("fingerprint", ["f", "other", None])
def test_where_no_record_has_an_outcome_any_source_takes_it_over(fingerprint):
    found, said = begun(ledger_of(settled=RangeSet()), fingerprint, "2")
    assert (found.delivery_id, found.attempts) == ("d", 2)
    assert (found.fingerprint, found.run_key) == (fingerprint, "2")
    assert said == ""


@pytest.mark.parametrize(
    "noted", [{"window": (0, 5)}, {"sending": (Chunk(0, 5),)}, {"in_doubt": RangeSet([(0, 5)])}], ids=str
)
@pytest.mark.parametrize("fingerprint", ["other", None])
def test_where_a_record_may_have_been_sent_none_does(noted, fingerprint):
    found, said = begun(ledger_of(settled=RangeSet(), **noted), fingerprint, "2")
    assert is_new(found, fingerprint, "2")
    assert said.startswith("Warning: ")


def test_where_nothing_is_delivered_yet_it_says_that():
    _, said = begun(ledger_of(counts={}, settled=RangeSet([(0, 7)])))
    assert "7 records are settled already (0 delivered)" in said
    _, said = begun(ledger_of(counts={}, complete=True))
    assert "with 0 records delivered" in said


def test_a_damaged_ledger_is_named_by_its_folder():
    store = MemoryLedgerStore()
    store.save(b"{")
    for folder, named in (("/data/d", "the delivery in /data/d"), (None, "this delivery")):
        with pytest.raises(StorageError, match=f"^the ledger of {named} is damaged"):
            begin(store, "f", print, folder=folder)


def test_a_later_attempt_that_has_claimed_the_delivery_ends_this_one():
    store = MemoryLedgerStore()
    check_holder(store, "a", "d")
    store.claim("a")
    check_holder(store, "a", "d")
    store.claim("b")
    with pytest.raises(SupersededError) as caught:
        check_holder(store, "a", "d")
    assert str(caught.value) == (
        "Another attempt of delivery d has begun since this one did. This one sends and writes no more; what became of "
        "the records is in the report of the other."
    )


class TestTakeOver:
    """What is on the disk of the machine that the attempt before ran on, and on no other."""

    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "failures-00000.ndjson").write_bytes(b"{}")
        return tmp_path

    def taken_over(self, folder, before, host, *parts):
        counts = {"invalid": 1, "rejected": 1_200, "unknown": 30, "delivered": 3}
        ledger, said = ledger_of(host=before, parts=list(parts), counts=counts), []
        take_over(ledger, folder, host, said.append)
        assert ledger.host == host
        return ledger.parts, "".join(said)

    @pytest.mark.parametrize(("before", "host"), [(None, None), (None, "b"), ("a", "a")])
    def test_a_folder_that_is_seen(self, folder, before, host):
        part = "failures-00000.ndjson"
        assert self.taken_over(folder, before, host, part) == ([part], "")

    def test_another_machine_s_list_is_not_taken_for_one_of_the_same_name(self, folder):
        parts, said = self.taken_over(folder, "a", "b", "failures-00000.ndjson")
        assert parts == []
        assert said == (
            f"Warning: the attempt before this one ran on a, whose {folder} is not seen from here. 1,231 records that "
            "failed are listed there alone; they are settled, and counted here."
        )

    def test_nothing_but_the_report_is_elsewhere(self, folder):
        assert self.taken_over(folder, "a", None) == (
            [],
            f"Warning: the attempt before this one ran on a, whose {folder} is not seen from here.",
        )

    def test_the_machine_has_the_same_name_and_another_disk(self, folder):
        parts, said = self.taken_over(folder, "a", "a", "failures-00000.ndjson", "failures-00001.ndjson")
        assert (parts, "listed there alone" in said) == ([], True)
