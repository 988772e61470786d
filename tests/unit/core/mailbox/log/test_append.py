"""Which place in the log a batch gets, and when it gets none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.log.append import Passed, append
from airflow_provider_osmosdest.core.mailbox.log.entry import Entry, decode, encode, entry_name
from airflow_provider_osmosdest.core.mailbox.log.log import EARLIEST_NAME, TAIL_NAME, Log
from airflow_provider_osmosdest.testing.mailbox_backend import MemoryBackend, memory_store


def draft(batch_id, records=3):
    """Return a batch whose place and time are anything, as they are decided when it is appended."""
    data, points = f"data/{batch_id}.gz", ((records, 200, 90),)
    return Entry(77, batch_id, data, records, 90, 200, "ab", 99, None, "9999", "tests", points)


class Place:
    def __init__(self):
        self.now = 1_700_000_000.0
        self.store = memory_store(MemoryBackend(clock=lambda: self.now))
        self.log = self.another()

    def another(self):
        """The same log, seen by another process."""
        return Log(self.store, clock=lambda: self.now)

    def append(self, batch_id, *, after=0, records=3, log=None):
        return append(self.store, log or self.log, draft(batch_id, records), after=after, clock=lambda: self.now)

    def purge_below(self, seq, *, gone=()):
        self.store.put(EARLIEST_NAME, json.dumps({"seq": seq}).encode())
        self.store.delete([entry_name(each) for each in gone])

    def before_creating(self, monkeypatch, act):
        """Let something happen once between the look at the log's end and the creation of an entry."""
        plain, pending = self.store.create_or_read, [act]

        def create_or_read(name, data):
            if pending:
                pending.pop()()
            return plain(name, data)

        monkeypatch.setattr(self.store, "create_or_read", create_or_read)

    def stored(self, seq):
        return decode(self.store.get(entry_name(seq)), entry_name(seq))


@pytest.fixture
def place():
    return Place()


def test_the_first_batch_is_number_one(place):
    entry, was_there = place.append("a")
    assert not was_there
    assert entry == replace(draft("a"), seq=1, first=0, published_at="2023-11-14T22:13:20.000000+00:00")
    assert place.stored(1) == entry


def test_the_next_ones_follow_and_count_the_records_before(place):
    place.append("a", records=3)
    place.append("b", records=4)
    place.now += 1.5
    entry, was_there = place.append("c")
    assert (entry.seq, entry.first, was_there) == (3, 7, False)
    assert entry.published_at == "2023-11-14T22:13:21.500000+00:00"
    assert place.stored(3) == entry


def test_the_end_is_noted_in_the_store_and_in_memory(place):
    place.append("a")
    place.append("b")
    assert json.loads(place.store.get(TAIL_NAME)) == {"seq": 2}
    place.store.delete([entry_name(2)])
    assert place.log.newest(2).batch_id == "b"


def test_a_batch_is_appended_once_wherever_it_is(place):
    entries = [place.append(each)[0] for each in "abc"]
    assert [place.append(each, log=place.another()) for each in "abc"] == [(entry, True) for entry in entries]
    assert place.store.get(entry_name(4)) is None


def test_what_lies_before_the_number_given_is_not_looked_at(place):
    place.append("a")
    place.append("b")
    place.purge_below(2, gone=[1])
    entry, was_there = place.append("c", after=1, log=place.another())
    assert (entry.seq, entry.first, was_there) == (3, 6, False)


def test_who_loses_a_race_takes_the_next_place(place, monkeypatch):
    place.append("a")
    place.before_creating(monkeypatch, lambda: place.append("b", records=5, log=place.another()))
    entry, was_there = place.append("c")
    assert (entry.seq, entry.first, was_there) == (3, 8, False)
    assert [place.stored(seq).batch_id for seq in (1, 2, 3)] == ["a", "b", "c"]


def test_who_loses_a_race_for_one_batch_finds_it(place, monkeypatch):
    def by_another():
        place.now += 1  # else the two are the same to the byte, and either could have been the one that made it
        place.append("a", log=place.another())

    place.before_creating(monkeypatch, by_another)
    entry, was_there = place.append("a")
    assert (entry.seq, was_there) == (1, True)
    assert place.store.get(entry_name(2)) is None


def test_a_clock_that_is_behind_takes_the_time_of_the_batch_before(place):
    before, _ = place.append("a")
    place.now -= 3_600
    entry, _ = place.append("b")
    assert entry.published_at == before.published_at


def test_a_note_of_the_end_that_fails_costs_nothing(place, monkeypatch):
    def put(name, data):
        raise StorageError("no space")

    monkeypatch.setattr(place.store, "put", put)
    entry, was_there = place.append("a")
    assert (entry.seq, was_there) == (1, False)
    assert place.stored(1) == entry


@pytest.mark.parametrize(("after", "earliest"), [(0, 2), (0, 1_234), (4, 6)])
def test_what_was_purged_before_it_was_looked_at_may_have_been_this_batch(place, after, earliest):
    assert place.log.earliest() == 1  # which is then remembered, and out of date
    place.purge_below(earliest)
    with pytest.raises(Passed) as caught:
        place.append("a", after=after)
    assert caught.value.earliest == earliest
    assert str(caught.value) == (
        f"batches up to {earliest - 1:,} were purged while one was being published. Publish it again"
    )
    assert place.store.get(entry_name(after + 1)) is None


@pytest.mark.parametrize(("after", "earliest"), [(1, 1), (4, 5)])
def test_a_log_that_something_else_has_cut_takes_no_more(place, after, earliest):
    place.purge_below(earliest)
    with pytest.raises(StorageError) as caught:
        place.append("a", after=after)
    assert not isinstance(caught.value, Passed)
    assert str(caught.value) == (
        f"the log's entries {after} and {after + 1} are both missing, and were not purged: something else has deleted "
        "objects of this mailbox. Restore them, or begin a new mailbox in a folder of its own"
    )
    assert place.store.get(entry_name(after + 1)) is None


def stand_still(place, seconds, earliest):
    place.now += seconds
    place.log.earliest()  # another thread asks, which makes the log remember what is out of date a moment later
    place.purge_below(earliest)


def test_a_place_taken_long_after_the_look_may_be_one_that_was_purged(place, monkeypatch):
    place.append("a")
    assert place.log.earliest() == 1
    place.before_creating(monkeypatch, lambda: stand_still(place, 300.5, earliest=3))
    with pytest.raises(Passed) as caught:
        place.append("b")
    assert caught.value.earliest == 3


@pytest.mark.parametrize(
    ("seconds", "earliest"),
    [
        (300.5, 2),  # nothing was purged that was not there before
        (300.0, 3),  # a purge leaves so long what it put out of reach
    ],
)
def test_a_place_that_cannot_have_been_purged_is_kept(place, monkeypatch, seconds, earliest):
    place.append("a")
    place.before_creating(monkeypatch, lambda: stand_still(place, seconds, earliest))
    entry, was_there = place.append("b")
    assert (entry.seq, was_there) == (2, False)


def test_what_else_has_written_in_the_place_is_named(place, monkeypatch):
    place.append("a")
    moved = encode(place.stored(1))
    place.before_creating(monkeypatch, lambda: place.store.create(entry_name(2), moved))
    with pytest.raises(StorageError, match="is the entry of batch 1"):
        place.append("b")
