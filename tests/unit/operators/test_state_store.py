"""Test the ledger in Airflow's task state store, in whose place a mapping stands here."""

from __future__ import annotations

import json
from itertools import count

import pytest

from airflow_provider_osmosdest.core.delivery.ledger import journal
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.errors import StorageError, SupersededError
from airflow_provider_osmosdest.operators import state_store as module
from airflow_provider_osmosdest.operators.state_store import TaskStateLedgerStore, ledger_store
from tests.unit.core.delivery.two_attempts import Server, stopped_at

SMALL = b'{"a":"small"}'
LARGE = b'{"a":"' + b"x" * 60_000 + b'"}'


class TaskState(dict):
    """What the accessor does: JSON values in, and out again."""

    def __init__(self):
        super().__init__()
        self.writes = 0

    def set(self, key, value):
        self.writes += 1
        self[key] = json.loads(json.dumps(value))


class Broken:
    def get(self, key):
        raise RuntimeError("API_SERVER_ERROR")

    set = None


class ReadOnly(TaskState):
    def set(self, key, value):
        raise RuntimeError("API_SERVER_ERROR")


@pytest.fixture
def state():
    return TaskState()


def test_nothing_at_first(state, tmp_path):
    assert TaskStateLedgerStore(state, tmp_path).load() is None


def test_a_small_one_never_touches_the_folder(state, tmp_path):
    TaskStateLedgerStore(state, tmp_path / "folder").save(SMALL)
    assert json.loads(TaskStateLedgerStore(state, tmp_path).load()) == {"a": "small"}
    assert list(tmp_path.iterdir()) == []


def test_every_document_replaces_the_one_before(state, tmp_path):
    store = TaskStateLedgerStore(state, tmp_path)
    for document in (SMALL, LARGE, b'{"b":1}', LARGE, LARGE.replace(b"x", b"y"), SMALL):
        store.save(document)
        # Also for the attempt after a crash.
        for reader in (store, TaskStateLedgerStore(state, tmp_path)):
            assert json.loads(reader.load()) == json.loads(document)


def test_a_large_one_leaves_a_small_note_behind(state, tmp_path):
    store = TaskStateLedgerStore(state, tmp_path)
    for _ in range(10):
        store.save(LARGE)
    assert (tmp_path / "ledger.json").read_bytes() == LARGE
    assert len(json.dumps(state)) < 100
    assert state.writes == 1


def test_a_resumed_one_finds_that_it_is_in_the_folder(state, tmp_path):
    TaskStateLedgerStore(state, tmp_path).save(LARGE)
    store = TaskStateLedgerStore(state, tmp_path)
    assert store.load() == LARGE
    store.save(LARGE)
    assert state.writes == 1


def test_a_file_that_is_missing_is_no_empty_ledger(state, tmp_path):
    TaskStateLedgerStore(state, tmp_path).save(LARGE)
    (tmp_path / "ledger.json").unlink()
    with pytest.raises(StorageError, match=r"Restore it; or begin anew with .airflow osmosdest delivery forget"):
        TaskStateLedgerStore(state, tmp_path).load()


def test_an_api_server_that_is_down_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match=r"cannot be read in Airflow's task state store: API_SERVER_ERROR"):
        TaskStateLedgerStore(Broken(), tmp_path).load()
    with pytest.raises(StorageError, match=r"cannot be written in Airflow's task state store: API_SERVER_ERROR"):
        TaskStateLedgerStore(ReadOnly(), tmp_path).save(SMALL)


def test_a_ledger_that_was_not_spilled_is_spilled_next_time(tmp_path):
    class Flaky(TaskState):
        def set(self, key, value):
            super().set(key, value)
            if self.writes == 1:
                raise RuntimeError("lost")

    state = Flaky()
    store = TaskStateLedgerStore(state, tmp_path)
    with pytest.raises(StorageError):
        store.save(LARGE)
    store.save(LARGE)
    assert state.writes == 2


def test_the_context_decides(tmp_path):
    # Airflow 3.3 has the store; 3.2 has not.
    assert isinstance(ledger_store(TaskState(), tmp_path), TaskStateLedgerStore)
    assert isinstance(ledger_store(None, tmp_path), FolderLedgerStore)


class TestAFolderOfOneMachine:
    """A retry may run elsewhere, so nothing goes to the folder."""

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
        return tmp_path / "folder"

    def test_a_large_one_is_compressed(self, state, folder):
        ledger_store(state, folder).save(LARGE)
        assert not folder.exists()
        assert len(json.dumps(state)) < 1_000
        assert ledger_store(state, folder).load() == LARGE

    def test_one_that_is_written_all_the_time_stays(self, state, folder):
        store = ledger_store(state, folder)
        for _ in range(20):
            store.save(SMALL)
        assert not folder.exists()
        assert state.writes == 20

    def test_what_was_changed_by_hand_is_an_error(self, state, folder):
        state["osmosdest_ledger"] = {"zlib": "damaged"}
        with pytest.raises(StorageError, match="cannot be read in Airflow's task state store"):
            ledger_store(state, folder).load()


class Tries:
    """A task instance, of whose tries Airflow has state for the last one only."""

    def __init__(self):
        self.state = TaskState()
        self.last = 0

    def begin(self):
        self.last += 1
        return Try(self, self.last)


class Try:
    def __init__(self, tries, number):
        self._tries, self._number = tries, number

    def get(self, key):
        return self._tries.state.get(key) if self._number == self._tries.last else None

    def set(self, key, value):
        if self._number != self._tries.last:
            raise RuntimeError("API_SERVER_ERROR: 404")
        self._tries.state.set(key, value)


class TestTwoAttempts:
    @pytest.mark.parametrize("stopped_for", ["long", "short"])
    @pytest.mark.parametrize("large", [False, True], ids=["in the state", "in the folder"])
    @pytest.mark.parametrize("write_mode", ["batch", "record"])
    def test_the_older_one_sends_and_writes_no_more(self, tmp_path, monkeypatch, write_mode, large, stopped_for):
        if stopped_for == "long":
            monkeypatch.setattr(module, "_HOLDER_SECONDS", 0.0)
            monkeypatch.setattr(journal, "PERIOD", 0.0)
        # Each in its place from the first write to the last.
        monkeypatch.setattr(module, "STATE_BYTES", 0 if large else 10**6)
        monkeypatch.setattr(module, "_OFTEN_SECONDS", 0.0)
        for at in count(1):
            tries, server, folder = Tries(), Server(honours=False), tmp_path / str(at)

            def stores(tries=tries, folder=folder):
                return TaskStateLedgerStore(tries.begin(), folder)

            course = stopped_at(at, folder, server, stores, write_mode=write_mode, guarantee="at_most_once")
            if course.reached is None:
                assert at > 10
                return
            # Airflow's answer that there is no such task instance any more is an error too, and the ledger stays.
            assert isinstance(course.error, (SupersededError, StorageError)), course
            if large or stopped_for == "long":
                assert course.changed == [], course
            assert "report.json" not in course.changed
            assert max(server.taken.values()) == 1, course
            assert (folder / "ledger.json").exists() is large
            if stopped_for == "long":
                assert isinstance(course.error, SupersededError), course
                assert course.late == [] or course.reached == "send", course

    def test_the_holder_of_a_ledger_in_the_folder_is_looked_up_each_time(self, state, tmp_path):
        older, newer = TaskStateLedgerStore(state, tmp_path), TaskStateLedgerStore(state, tmp_path)
        older.claim("a")
        older.save(LARGE)
        assert older.holder() == "a"
        newer.claim("b")
        assert older.holder() == "b"

    def test_the_holder_that_the_state_names_is_looked_up_once_a_second(self, state, tmp_path):
        now = [0.0]
        older = TaskStateLedgerStore(state, tmp_path, clock=lambda: now[0])
        older.claim("a")
        assert older.holder() == "a"
        TaskStateLedgerStore(state, tmp_path).claim("b")
        now[0] = 0.9
        assert older.holder() == "a"
        now[0] = 1.0
        assert older.holder() == "b"
