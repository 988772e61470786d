from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.seen.deduplicator import Deduplicator
from airflow_provider_osmosdest.core.seen.keys import RecordKeys
from airflow_provider_osmosdest.core.seen.share import KeyShare
from airflow_provider_osmosdest.core.seen.store import SeenStore
from tests.thoroughness import examples

KEYS = RecordKeys(DestinationSchema.load([{"name": "id", "type": "integer"}]))


def lines(numbers):
    return b"".join(b'{"id":%d}\n' % number for number in numbers)


def held(store, upto=60):
    return {number for number in range(upto) if store.load().contains(KEYS.of(lines([number])))[0]}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_within_a_run_only_the_first_passes():
    deduplicator = Deduplicator(KEYS, None, "d")
    assert deduplicator.left_out(lines([1, 2, 1]), range(3))[0] == [2]
    assert deduplicator.left_out(lines([2, 3]), range(3, 5))[0] == [0]
    deduplicator.fail([0])
    deduplicator.keep(RangeSet([(0, 5)]), last=True)


def test_what_is_delivered_is_kept_and_nothing_else(tmp_path):
    store = SeenStore(tmp_path)
    deduplicator = Deduplicator(KEYS, store, "d")
    # 0 is delivered, 1 rejected, 2 a duplicate of the rejected one, 3 delivered, 4 unsettled.
    assert deduplicator.left_out(lines([10, 11, 11, 13, 14]), range(5))[0] == [2]
    deduplicator.fail([1])
    deduplicator.keep(RangeSet([(0, 4)]), last=True)
    assert held(store) == {10, 13}
    again = Deduplicator(KEYS, store, "e")
    assert again.left_out(lines([10, 11, 13, 14]), range(4))[0] == [0, 2]


def test_a_retry_keeps_what_its_forerunner_settled(tmp_path):
    store = SeenStore(tmp_path)
    first = Deduplicator(KEYS, store, "d")
    first.left_out(lines([10, 11, 12]), range(3))
    # Killed here: the ledger says 0 and 1 are settled, and 1 is among the failures.
    second = Deduplicator(KEYS, store, "d", failed=[1])
    assert second.left_out(lines([10, 11, 12]), range(3))[0] == []
    second.keep(RangeSet([(0, 3)]), last=True)
    assert held(store) == {10, 12}


def test_a_retry_does_not_take_its_own_records_for_duplicates(tmp_path):
    store = SeenStore(tmp_path)
    first = Deduplicator(KEYS, store, "d")
    first.left_out(lines([10, 11]), range(2))
    first.keep(RangeSet([(0, 1)]), last=True)
    second = Deduplicator(KEYS, store, "d")
    assert second.left_out(lines([10, 11]), range(2))[0] == []


def test_it_is_written_now_and_then(tmp_path):
    clock, store = Clock(), SeenStore(tmp_path)
    deduplicator = Deduplicator(KEYS, store, "d", clock=clock)
    for number in range(10):
        deduplicator.left_out(lines([number]), [number])
        clock.now += 10
        deduplicator.keep(RangeSet([(0, number)]))
    assert len(list(tmp_path.iterdir())) == 3
    assert held(store) == set(range(8))
    deduplicator.keep(RangeSet([(0, 10)]), last=True)
    assert held(store) == set(range(10))


def test_a_dry_run_keeps_nothing(tmp_path):
    store = SeenStore(tmp_path)
    store.append("before", KEYS.of(lines([1])))
    deduplicator = Deduplicator(KEYS, store, "d", keeping=False)
    assert deduplicator.left_out(lines([1, 2]), range(2))[0] == [0]
    deduplicator.keep(RangeSet([(0, 2)]), last=True)
    assert held(store) == {1}


@settings(max_examples=examples(80))
@given(data=st.data())
def test_runs_retries_and_kills_keep_exactly_what_was_delivered(tmp_path_factory, data):
    """The model: each run sends what no earlier run delivered; records are delivered, fail, or wait for a retry."""
    store = SeenStore(tmp_path_factory.mktemp("seen"))
    delivered = set()
    for run in range(data.draw(st.integers(1, 3), "runs")):
        source = data.draw(st.lists(st.integers(0, 12), max_size=12), "source")
        bad = data.draw(st.sets(st.integers(0, 12), max_size=3), "rejected")
        settled, failed, now = RangeSet(), set(), set()
        for attempt in range(3):
            deduplicator = Deduplicator(KEYS, store, f"run {run}", failed=failed)
            stop = len(source) if attempt == 2 else data.draw(st.integers(0, len(source)), "stops before")
            passed = set()
            for index, number in enumerate(source[:stop]):
                duplicate = deduplicator.left_out(lines([number]), [index])[0] == [0]
                assert duplicate is (number in delivered or number in passed)
                passed.add(number)
                if index not in settled:
                    settled.add(index, index + 1)
                    if not duplicate and number in bad:
                        failed.add(index)
                        deduplicator.fail([index])
                    elif not duplicate:
                        now.add(number)
                deduplicator.keep(settled)
            if attempt == 2 or data.draw(st.booleans(), "ends in order"):
                deduplicator.keep(settled, last=True)
        delivered |= now
        assert held(store, 13) == delivered


@pytest.mark.parametrize("changes", range(12))
def test_a_kill_at_any_change_of_the_store_is_mended_by_the_retry(crashing, changes):
    folder, crash = crashing
    store = SeenStore(folder())
    for number in range(30, 38):
        store.append(f"run {number}", KEYS.of(lines([number])))
    source = list(range(10))
    settled = RangeSet()
    dying = SeenStore(folder(changes))
    try:
        clock = Clock()
        deduplicator = Deduplicator(KEYS, dying, "d", clock=clock)
        for index in source:
            deduplicator.left_out(lines([index]), [index])
            settled.add(index, index + 1)
            clock.now += 40
            deduplicator.keep(settled, last=index == source[-1])
    except crash:
        pass
    assert held(store) - set(range(30, 38)) <= set(source)
    retry = Deduplicator(KEYS, store, "d")
    retry.left_out(lines(source), source)
    settled.add(0, len(source))
    retry.keep(settled, last=True)
    assert held(store) == {*source, *range(30, 38)}


@settings(max_examples=examples(60))
@given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 7), st.integers(0, 10))
def test_shares_together_leave_out_what_one_delivery_would(numbers, shares, first):
    whole = set(Deduplicator(KEYS, None, "d").left_out(lines(numbers), range(len(numbers)))[0])
    sent, duplicates = [], []
    for number in range(shares):
        share = KeyShare(number, shares, first)
        deduplicator = Deduplicator(KEYS, None, "d", share=share)
        for start in range(0, len(numbers), 7):
            block = numbers[start : start + 7]
            found, others = deduplicator.left_out(lines(block), range(start, start + len(block)))
            duplicates += [start + at for at in found]
            sent += [start + at for at in range(len(block)) if at not in {*found, *others}]
        assert [share.has_index(index) for index in range(first)] == [False] * first
    # What lies before the first record is sent by the first part, and is looked at all the same.
    behind = range(first, len(numbers))
    assert sorted(sent) == [index for index in behind if index not in whole]
    assert sorted(duplicates) == [index for index in behind if index in whole]


def test_a_share_keeps_the_keys_of_its_own_records_alone(tmp_path):
    store = SeenStore(tmp_path)
    kept = []
    for number in range(3):
        deduplicator = Deduplicator(KEYS, store, "d", share=KeyShare(number, 3, 5))
        deduplicator.left_out(lines(range(30)), range(30))
        deduplicator.keep(RangeSet([(0, 30)]), last=True)
        kept.append(held(store))
    assert kept[0] < kept[1] < kept[2] == set(range(5, 30))
