"""Consumers: commits that come together, late, twice or not at all, and seeks between them."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError
from airflow_provider_osmosdest.core.mailbox.consumers import Consumers, valid_consumer
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from tests.thoroughness import examples

NAME = "acme"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class FakeStore:
    """A store in memory that asks for leave before every operation."""

    def __init__(self, leave=lambda: None):
        self.objects = {}
        self.requests = []
        self.leave = leave

    def _enter(self, what, name):
        self.leave()
        self.requests.append((what, name))

    def create(self, name, data):
        self._enter("create", name)
        if name in self.objects:
            return False
        self.objects[name] = data
        return True

    def put(self, name, data):
        self._enter("put", name)
        self.objects[name] = data

    def get(self, name):
        self._enter("get", name)
        return self.objects.get(name)

    def names(self, folder):
        self._enter("names", folder)
        return sorted({each[len(folder) + 1 :].split("/")[0] for each in self.objects if each.startswith(folder + "/")})

    def delete(self, names):
        for name in names:
            self._enter("delete", name)
            self.objects.pop(name, None)


class Killed(BaseException):
    """A process is gone."""


class Interleaving:
    """Runs operations in threads, of which one at a time takes one step to a store: the one whose turn it is."""

    def __init__(self, turns):
        self._turns = list(turns)
        self._changed = threading.Condition()
        self._may_step = None
        self._busy = None
        self._dead = set()

    def leave(self):
        number = int(threading.current_thread().name)
        with self._changed:
            self._busy = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._may_step == number)
            self._may_step = None
            self._busy = number
            if number in self._dead:
                raise Killed

    def run(self, operations, killed, after_each):
        """Run them all; ``killed`` tells which is killed before its step of which number."""
        results = {}
        done = set()
        steps = dict.fromkeys(range(len(operations)), 0)

        def work(number):
            with suppress(Killed):
                results[number] = operations[number]()
            with self._changed:
                done.add(number)
                self._busy = None
                self._changed.notify_all()

        threads = [threading.Thread(target=work, args=(n,), name=str(n)) for n in range(len(operations))]
        for number, thread in enumerate(threads):
            with self._changed:
                self._busy = number
            thread.start()
            self._settle()
        while len(done) < len(threads):
            left = [n for n in range(len(threads)) if n not in done]
            number = left[(self._turns.pop() if self._turns else 0) % len(left)]
            steps[number] += 1
            if killed.get(number) == steps[number]:
                self._dead.add(number)
            with self._changed:
                self._may_step, self._busy = number, number
                self._changed.notify_all()
            self._settle()
            after_each()
        for thread in threads:
            thread.join()
        return results

    def _settle(self):
        with self._changed:
            self._changed.wait_for(lambda: self._busy is None)


def greatest(store):
    """Return what is committed, read off the objects themselves."""
    found = [each.split("/")[2].split(".") for each in store.objects if each.startswith(f"consumers/{NAME}/0")]
    return max((tuple(map(int, each)) for each in found), default=None)


positions = st.builds(Position, st.integers(1, 3), st.integers(0, 3))
commits = st.tuples(st.just("commit"), st.sampled_from([None, 0, 1, 2]), positions)
seeks = st.tuples(st.just("seek"), st.none(), positions)


@given(
    before=st.lists(st.one_of(commits, seeks), max_size=3),
    operations=st.lists(st.one_of(commits, seeks), min_size=2, max_size=5),
    turns=st.lists(st.integers(0, 4), max_size=40),
    killed=st.dictionaries(st.integers(0, 4), st.integers(1, 4), max_size=2),
)
@settings(max_examples=examples(150), deadline=None)
def test_whatever_comes_between_commits_never_go_back(before, operations, turns, killed):
    store = FakeStore()
    consumers = Consumers(store)

    def act(operation):
        what, generation, position = operation
        if what == "seek":
            return consumers.seek(NAME, position)
        return consumers.commit(NAME, Cursor(position, generation))

    for operation in before:
        act(operation)
    seen = [greatest(store)]
    interleaving = Interleaving(turns)
    store.leave = interleaving.leave
    results = interleaving.run(
        [lambda operation=operation: act(operation) for operation in operations],
        killed,
        lambda: seen.append(greatest(store)),
    )
    store.leave = lambda: None

    # Never back, and never lost to cleaning: generations only grow, and within one, positions only do.
    known = [each for each in seen if each is not None]
    assert known == sorted(known)
    assert seen == [None] * (len(seen) - len(known)) + known
    end = greatest(store)
    for number, result in results.items():
        what, generation, position = operations[number]
        mark = (position.seq, position.offset)
        if what == "seek":
            assert end >= (result.generation, *mark)
        elif result:
            # What was told to be committed is, unless a seek moved the consumer.
            assert end[1:] >= mark or end[0] > (generation or 0)
        else:
            # What was told to be stale is behind, or of a generation that is over or was never there.
            assert generation or end[1:] > mark or end[0] > 0
    assert consumers.committed(NAME) == (None if end is None else Cursor(Position(*end[1:]), end[0]))


def marker(generation, seq):
    return f"consumers/{NAME}/{generation:06d}.{seq:020d}.{0:010d}"


def test_a_consumer_that_is_new_begins_in_generation_0():
    consumers = Consumers(FakeStore())
    assert consumers.committed(NAME) is None
    assert consumers.commit(NAME, Cursor(Position(1, 5)))
    assert consumers.committed(NAME) == Cursor(Position(1, 5), 0)


def test_a_commit_repeated_is_no_error_and_a_lower_one_is_stale():
    store = FakeStore()
    consumers = Consumers(store)
    assert consumers.commit(NAME, Cursor(Position(3, 1), 0))
    objects = dict(store.objects)
    assert consumers.commit(NAME, Cursor(Position(3, 1), 0))
    assert not consumers.commit(NAME, Cursor(Position(3, 0), 0))
    assert not consumers.commit(NAME, Cursor(Position(2, 9), None))
    assert store.objects == objects


def test_after_a_seek_cursors_from_before_have_no_effect():
    consumers = Consumers(FakeStore())
    consumers.commit(NAME, Cursor(Position(9, 0), 0))
    moved = consumers.seek(NAME, Position(2, 0))
    assert moved == consumers.committed(NAME) == Cursor(Position(2, 0), 1)
    assert not consumers.commit(NAME, Cursor(Position(10, 0), 0))
    # Nor one of a generation that has not been handed out.
    assert not consumers.commit(NAME, Cursor(Position(10, 0), 7))
    assert consumers.committed(NAME) == moved
    assert consumers.commit(NAME, Cursor(Position(2, 5), 1))
    assert consumers.seek(NAME, Position(2, 5)).generation == 2


def test_generations_are_compared_as_numbers():
    store = FakeStore()
    consumers = Consumers(store)
    for generation in (999_999, 1_000_000):
        store.objects[marker(generation, 5)] = b""
    assert consumers.committed(NAME).generation == 1_000_000
    assert consumers.seek(NAME, Position(1, 0)).generation == 1_000_001
    assert consumers.committed(NAME) == Cursor(Position(1, 0), 1_000_001)


def test_lower_markers_are_cleaned_but_for_the_last():
    store = FakeStore()
    consumers = Consumers(store)
    for seq in range(1, 20):
        consumers.commit(NAME, Cursor(Position(seq, 0), 0))
        # A listing that is under way may have passed the place of the new one, and finds the one before.
        assert store.objects == {marker(0, each): b"" for each in (seq - 1, seq) if each}
    consumers.seek(NAME, Position(1, 0))
    assert store.objects == {marker(0, 19): b"", marker(1, 1): b""}
    consumers.seek(NAME, Position(7, 0))
    assert store.objects == {marker(1, 1): b"", marker(2, 7): b""}


def test_a_consumer_that_never_committed_can_be_moved():
    store = FakeStore()
    assert Consumers(store).seek(NAME, Position(4, 0)) == Cursor(Position(4, 0), 1)
    assert store.objects == {marker(1, 4): b""}


def test_a_read_is_one_request_and_a_commit_two_and_its_cleaning():
    store = FakeStore()
    consumers = Consumers(store)
    consumers.commit(NAME, Cursor(Position(1, 0), 0))
    assert [what for what, _ in store.requests] == ["names", "create"]
    store.requests.clear()
    consumers.committed(NAME)
    assert [what for what, _ in store.requests] == ["names"]


def test_a_commit_does_not_fail_because_its_cleaning_does():
    store = FakeStore()

    def refuse(names):
        raise StorageError("no")

    store.delete = refuse
    consumers = Consumers(store)
    for seq in (1, 2, 3):
        assert consumers.commit(NAME, Cursor(Position(seq, 0), 0))
    assert consumers.committed(NAME) == Cursor(Position(3, 0), 0)


def test_a_poll_is_noted_once_a_minute_and_never_insisted_upon():
    moment = [NOW]
    store = FakeStore()
    consumers = Consumers(store, now=lambda: moment[0])
    assert consumers.polled(NAME) is None
    store.requests.clear()
    for _ in range(3):
        consumers.note_poll(NAME)
    assert consumers.polled(NAME) == NOW
    assert [what for what, _ in store.requests] == ["put", "get"]
    moment[0] += timedelta(minutes=1)
    consumers.note_poll(NAME)
    assert consumers.polled(NAME) == moment[0]
    assert consumers.committed(NAME) is None

    def refuse(name, data):
        raise StorageError("no")

    store.put = refuse
    moment[0] += timedelta(minutes=1)
    consumers.note_poll(NAME)
    assert consumers.polled(NAME) == NOW + timedelta(minutes=1)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"at": 1}', b'{"at": "soon"}', b"\xff"])
def test_a_note_that_cannot_be_read_is_none(data):
    store = FakeStore()
    store.objects[f"consumers/{NAME}/polled.json"] = data
    assert Consumers(store).polled(NAME) is None


def test_a_forgotten_consumer_is_gone(tmp_path):
    consumers = Consumers(Store(tmp_path))
    consumers.commit("b", Cursor(Position(4, 0), 0))
    consumers.note_poll("a")
    consumers.commit("c", Cursor(Position(4, 0), 0))
    assert consumers.names() == ["a", "b", "c"]
    consumers.forget("b")
    consumers.forget("never-there")
    assert consumers.names() == ["a", "c"]
    assert consumers.committed("b") is None
    assert not consumers.commit("b", Cursor(Position(5, 0), 1))
    assert consumers.commit("b", Cursor(Position(1, 0), 0))


def test_a_forgotten_consumer_that_asks_again_is_noted_at_once():
    store = FakeStore()
    consumers = Consumers(store, now=lambda: NOW)
    consumers.note_poll(NAME)
    consumers.forget(NAME)
    assert consumers.polled(NAME) is None
    consumers.note_poll(NAME)
    assert consumers.polled(NAME) == NOW


@pytest.mark.parametrize("name", ["", ".a", "..", "a/b", "a b", "é", "a\n", "x" * 65, None, 5])
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_asked(name):
    store = FakeStore()
    consumers = Consumers(store)
    assert not valid_consumer(name)
    for act in (
        lambda: consumers.committed(name),
        lambda: consumers.commit(name, Cursor(Position(1, 0))),
        lambda: consumers.seek(name, Position(1, 0)),
        lambda: consumers.polled(name),
        lambda: consumers.note_poll(name),
        lambda: consumers.forget(name),
    ):
        with pytest.raises(ConfigurationError, match="consumer: found"):
            act()
    assert store.requests == []


@pytest.mark.parametrize("name", ["a", "a.b-C_9", "-", "_x", "x" * 64])
def test_other_names_are_fine(name):
    assert valid_consumer(name)
