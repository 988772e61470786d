from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.ledger_store import FolderLedgerStore
from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.operators.ledger_store import TaskStateLedgerStore, ledger_store


class TaskState:
    """What ``context["task_state_store"]`` does, kept in a dict."""

    def __init__(self):
        self.values, self.writes = {}, 0

    def get(self, key, default=None):
        return self.values.get(key, default)

    def set(self, key, value):
        self.values[key] = json.loads(json.dumps(value))
        self.writes += 1


class Desk:
    def __init__(self, folder):
        self.state, self.now = TaskState(), 1_000.0
        self.folder = folder
        self.store = self.another()

    def another(self):
        """The store as the next attempt has it."""
        return TaskStateLedgerStore(self.state, self.folder, clock=lambda: self.now)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def ledger(number, size=0):
    return json.dumps({"number": number, "padding": "x" * size}).encode()


def test_there_is_nothing_at_first(desk):
    assert desk.store.load() is None


def test_calm_writes_go_to_the_state(desk):
    for number in range(3):
        desk.store.save(ledger(number))
        desk.now += 1.0
    assert json.loads(desk.another().load())["number"] == 2
    assert not list(desk.folder.iterdir())


def test_writes_all_the_time_go_to_the_file_and_cost_the_state_one(desk):
    for number in range(100):
        desk.store.save(ledger(number))
        desk.now += 0.01
        assert json.loads(desk.another().load())["number"] == number, "a crash here finds the last one"
    assert desk.state.writes == 2


def test_the_last_one_comes_back_to_the_state(desk):
    for number in range(5):
        desk.store.save(ledger(number), last=number == 4)
    assert desk.state.values["osmosdest_ledger"]["number"] == 4
    assert json.loads(desk.another().load())["number"] == 4


def test_a_large_one_goes_to_the_file_however_calm(desk):
    for number in range(3):
        desk.store.save(ledger(number, size=100_000), last=True)
        desk.now += 60.0
        assert json.loads(desk.another().load())["number"] == number
    assert desk.state.writes == 1


def test_an_object_store_is_not_written_all_the_time(desk, monkeypatch):
    monkeypatch.setattr(FolderLedgerStore, "is_local", property(lambda self: False))
    for number in range(10):
        desk.store.save(ledger(number))
    assert desk.state.writes == 10


def test_a_file_that_is_gone_is_an_error_and_no_fresh_start(desk):
    desk.store.save(ledger(0, size=100_000))
    (desk.folder / "ledger.json").unlink()
    with pytest.raises(StorageError, match=r"not in its folder.*send everything again"):
        desk.another().load()


@pytest.mark.parametrize("method", ["get", "set"])
def test_a_state_store_that_fails_is_named(desk, monkeypatch, method):
    def fail(*args):
        raise RuntimeError("API server is away")

    monkeypatch.setattr(desk.state, method, fail)
    with pytest.raises(StorageError, match=r"task state store: API server is away.*twice"):
        desk.store.save(ledger(1)) if method == "set" else desk.store.load()


def test_without_a_state_store_it_is_a_file(tmp_path):
    assert isinstance(ledger_store({}, tmp_path), FolderLedgerStore)
    assert isinstance(ledger_store({"task_state_store": TaskState()}, tmp_path), TaskStateLedgerStore)
