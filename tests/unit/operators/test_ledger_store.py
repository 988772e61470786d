"""Airflow's task state store as the keeper of a ledger, in place of which a mapping stands here."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.ledger_store import FolderLedgerStore
from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.operators.ledger_store import TaskStateLedgerStore, ledger_store

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
        # Also for whoever comes after a crash.
        for reader in (store, TaskStateLedgerStore(state, tmp_path)):
            assert json.loads(reader.load()) == json.loads(document)


def test_a_large_one_leaves_a_small_note_behind(state, tmp_path):
    store = TaskStateLedgerStore(state, tmp_path)
    for _ in range(10):
        store.save(LARGE)
    assert (tmp_path / "ledger.json").read_bytes() == LARGE
    assert len(json.dumps(state)) < 100
    assert state.writes == 1


def test_a_resumed_one_knows_that_it_is_in_the_folder(state, tmp_path):
    TaskStateLedgerStore(state, tmp_path).save(LARGE)
    store = TaskStateLedgerStore(state, tmp_path)
    assert store.load() == LARGE
    store.save(LARGE)
    assert state.writes == 1


def test_a_file_that_is_missing_is_no_empty_ledger(state, tmp_path):
    TaskStateLedgerStore(state, tmp_path).save(LARGE)
    (tmp_path / "ledger.json").unlink()
    with pytest.raises(StorageError, match="Restore it, or delete the state osmosdest_ledger"):
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
    assert isinstance(ledger_store({"task_state_store": TaskState()}, tmp_path), TaskStateLedgerStore)
    assert isinstance(ledger_store({}, tmp_path), FolderLedgerStore)
