from __future__ import annotations

import multiprocessing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.seen.compaction import LARGEST, foldable
from airflow_provider_osmosdest.core.seen.keys import KEY_BYTES
from airflow_provider_osmosdest.core.seen.segments import GoneError, Segment, list_segments
from airflow_provider_osmosdest.core.seen.store import SeenStore
from tests.thoroughness import examples


def key(number):
    return number.to_bytes(16, "little")


def keys(*numbers):
    return [key(number) for number in numbers]


def held(store, upto=200, **options):
    table = store.load(**options)
    return {number for number in range(upto) if table.contains([key(number)])[0]}


def test_a_new_store_holds_nothing(tmp_path):
    store = SeenStore(tmp_path / "seen")
    assert len(store.load()) == 0
    store.append("d", [])
    store.fold()
    assert store.forget(keys(1)) == store.forget_since(0) == 0
    assert not (tmp_path / "seen").exists()


def test_what_is_added_is_found_by_all_but_the_delivery_that_did(tmp_path):
    store = SeenStore(tmp_path)
    store.append("one", keys(1, 2, 2, 1))
    store.append("two", keys(3))
    assert held(SeenStore(tmp_path)) == {1, 2, 3}
    assert held(store, without="one") == {3}
    assert [segment.keys for segment in list_segments(tmp_path)] in ([2, 1], [1, 2])


def test_adding_rewrites_nothing(tmp_path):
    store = SeenStore(tmp_path)
    store.append("one", keys(1, 2))
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    store.append("two", keys(3))
    after = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert len(after) == 2
    assert before.items() <= after.items()


def test_many_small_segments_become_one_and_keep_their_blocks(tmp_path):
    times = iter(range(100))
    store = SeenStore(tmp_path, clock=lambda: next(times))
    for number in range(20):
        store.append(f"d{number}", keys(number))
        store.fold()
    assert len(list_segments(tmp_path)) < 8
    assert held(store) == set(range(20))
    assert held(store, without="d3") == set(range(20)) - {3}
    blocks = [block for _, each in store.segments() for block in each]
    assert sorted((block.at, block.delivery, block.keys) for block in blocks) == [(n, f"d{n}", 1) for n in range(20)]
    assert store.forget_since(15) == 5
    assert held(store) == set(range(15))


def test_forgetting_keys(tmp_path):
    store = SeenStore(tmp_path)
    store.append("one", keys(*range(10)))
    store.append("two", keys(5, 20))
    store.append("three", keys(30))
    assert store.forget(keys(5, 20, 99)) == 2
    assert held(store) == {*range(10), 30} - {5}
    assert len(list_segments(tmp_path)) == 2
    assert store.forget_since(0) == 10
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=examples(60))
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.lists(st.integers(0, 50), max_size=6)),
            st.tuples(st.just("forget"), st.lists(st.integers(0, 50), max_size=6)),
            st.tuples(st.just("fold"), st.none()),
        ),
        max_size=40,
    )
)
def test_it_holds_what_a_set_holds(tmp_path_factory, steps):
    store = SeenStore(tmp_path_factory.mktemp("seen"))
    model = set()
    for number, (what, numbers) in enumerate(steps):
        if what == "append":
            store.append(str(number), keys(*numbers))
            model |= set(numbers)
        elif what == "forget":
            assert store.forget(keys(*numbers)) == len(model & set(numbers))
            model -= set(numbers)
        else:
            store.fold()
    assert held(store, 51) == model


@pytest.mark.parametrize("changes", range(14))
def test_a_crash_at_any_change_loses_and_invents_no_key(crashing, changes):
    folder, crash = crashing
    store = SeenStore(folder())
    for number in range(7):
        store.append(f"d{number}", keys(number))
    dying = SeenStore(folder(changes))
    added = set(range(7))
    try:
        dying.append("last", keys(7))
        added.add(7)
        dying.fold()
        for number in range(8, 12):
            dying.append("last", keys(number))
            added.add(number)
    except crash:
        pass
    assert held(store) == added
    assert held(store, without="d3") == added - {3}
    store.fold()
    for number in range(20, 30):
        store.append("after", keys(number))
        store.fold()
    assert held(store) == added | set(range(20, 30))
    blocks = {block for _, each in store.segments() for block in each}
    assert sum(block.keys for block in blocks) == len(added) + 10


@pytest.mark.parametrize("late", [False, True])
def test_what_is_forgotten_while_it_is_put_together_stays_forgotten(tmp_path, monkeypatch, late):
    store = SeenStore(tmp_path)
    for number in range(8):
        store.append(f"d{number}", keys(number))
    read = Segment.read
    reads = []

    def read_and_forget(segment):
        content = list(read(segment)) if late else None
        reads.append(segment)
        if len(reads) == (8 if late else 1):
            SeenStore(tmp_path).forget(keys(7))
        return iter(content) if late else read(segment)

    monkeypatch.setattr(Segment, "read", read_and_forget)
    store.fold()
    monkeypatch.undo()
    assert held(store) == set(range(7))


def test_what_is_put_together_while_it_is_loaded_is_loaded(tmp_path, monkeypatch):
    store = SeenStore(tmp_path)
    for number in range(8):
        store.append(f"d{number}", keys(number))
    read = Segment.read
    reads = []

    def read_after_folding(segment):
        reads.append(segment)
        if len(reads) == 4:
            SeenStore(tmp_path).fold()
        return read(segment)

    monkeypatch.setattr(Segment, "read", read_after_folding)
    assert held(store, 8) == set(range(8))


def test_others_that_put_together_all_the_time_are_waited_for(tmp_path, monkeypatch):
    slept = []
    store = SeenStore(tmp_path, sleep=slept.append)
    store.append("d", keys(1))
    read = Segment.read

    def read_late(segment):
        if len(slept) < 6:
            raise GoneError("another process changes it")
        return read(segment)

    monkeypatch.setattr(Segment, "read", read_late)
    assert len(store.load()) == len(keys(1))
    assert slept == sorted(slept)
    assert 0 < sum(slept) < 2


@pytest.mark.parametrize(
    ("damage", "how"),
    [
        (lambda content: content[:-1], "it is shorter than it says"),
        (lambda content: content[:-16], "it is shorter than it says"),
        (lambda content: b"x" + content, "it is no segment"),
        (lambda content: b"", "it is no segment"),
        (lambda content: content.replace(b'"keys":2', b'"keys":3'), "its name and its content differ"),
        (lambda content: content.replace(b'"blocks"', b'"blacks"'), "its list of blocks cannot be read"),
    ],
)
def test_a_damaged_segment_is_named(tmp_path, damage, how):
    store = SeenStore(tmp_path)
    store.append("one", keys(1, 2))
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match=f"{path.name}, which .* is damaged: {how}. Restore it, or remove it"):
        store.load()


def test_storage_that_fails_is_named(tmp_path):
    (tmp_path / "seen").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match=r"is kept in .*seen.*, which cannot be used: .*storage_path"):
        SeenStore(tmp_path / "seen").append("one", keys(1))


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    store = SeenStore(tmp_path)
    store.append("one", keys(1))
    for name in ("notes.keys", "0-x-y.keys", "0000-5-abc.keys.new"):
        (tmp_path / name).write_text("?")
    assert held(store) == {1}


@given(st.lists(st.integers(1, 3 * LARGEST), max_size=80))
def test_putting_together_comes_to_an_end_with_few_segments(sizes):
    segments = [Segment(None, size) for size in sizes]
    while chosen := foldable(segments):
        assert len(chosen) > 1
        assert sum(segment.keys for segment in chosen) <= 2 * LARGEST
        segments = [segment for segment in segments if not any(segment is each for each in chosen)]
        segments.append(Segment(None, sum(segment.keys for segment in chosen)))
    assert sum(segment.keys for segment in segments) == sum(sizes)
    assert len([segment for segment in segments if segment.keys < LARGEST]) <= 7 * 4


def _add(folder, number):
    store = SeenStore(folder)
    for round_ in range(12):
        store.append("d", [(number * 100 + round_).to_bytes(KEY_BYTES, "big")])
        store.fold()


def test_processes_that_add_and_merge_at_once_lose_no_key(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add, args=(tmp_path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    keys = [(number * 100 + round_).to_bytes(KEY_BYTES, "big") for number in range(4) for round_ in range(12)]
    assert all(SeenStore(tmp_path).load().contains(keys))
