"""What health asks, how often, and for how long it waits; its answers are in ``routes/test_health.py``."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.web.health import Checks, Findings, Health, check_store

LONG = 3600.0


class Asked:
    """Answers or fails, when it may; counts how often it was asked."""

    def __init__(self, error=None, gate=None):
        self.error = error
        self.gate = gate
        self.count = 0

    def __call__(self):
        self.count += 1
        if self.gate is not None:
            assert self.gate.wait(30)
        if self.error is not None:
            raise self.error


class Stored(Asked):
    """A store whose mailbox is there, or not."""

    def __init__(self, error=None, content=b"{}"):
        super().__init__(error)
        self.content = content

    def get(self, name):
        assert name == "probed.json"
        self()
        return self.content


def found(checks=None, stores=None, **options):
    async def run():
        return await Health(checks or Checks(), lambda: stores or {}, **options).findings()

    return asyncio.run(run())


def test_nothing_to_ask():
    assert found() == Findings(database=True, store=True)


@pytest.mark.parametrize("database", [None, OSError("no")])
@pytest.mark.parametrize("storage", [None, StorageError("no")])
def test_what_does_not_answer_is_told_apart(database, storage, caplog):
    assert found(Checks(Asked(database), Asked(storage))) == Findings(database is None, storage is None)
    assert ("the database does not answer" in caplog.text) is (database is not None)
    assert ("storage_path does not answer" in caplog.text) is (storage is not None)


def test_the_stores_in_use_are_asked_and_one_that_answers_will_do():
    unused = Asked(StorageError("no"))
    good, bad = Stored(), Stored(StorageError("no"))
    assert found(Checks(storage=unused), {"a": good}).store
    assert found(Checks(storage=unused), {"a": bad, "b": good}).store
    assert not found(Checks(storage=Asked()), {"a": bad}).store
    assert unused.count == 0


def test_a_store_that_lost_its_mailbox_does_not_answer(tmp_path):
    store = Store(tmp_path / "box")
    assert not found(stores={"box": store}).store
    with pytest.raises(StorageError, match=r"not mounted"):
        check_store(store)
    store.probe()
    assert found(stores={"box": store}).store


def test_many_ask_once_and_again_only_after_a_while():
    async def run():
        database = Asked()
        health = Health(Checks(database), dict, ttl=LONG)
        await asyncio.gather(*(health.findings() for _ in range(50)))
        await health.findings()
        assert database.count == 1
        health._ttl = 0.0
        await health.findings()
        assert database.count == 2

    asyncio.run(run())


def test_what_hangs_is_waited_for_briefly_and_not_asked_once_more(caplog):
    async def run():
        gate = threading.Event()
        database = Asked(gate=gate)
        health = Health(Checks(database), dict, ttl=0.0, timeout=0.01)
        assert [await health.findings() for _ in range(3)] == [Findings(database=False, store=True)] * 3
        assert database.count == 1
        gate.set()
        health._stop_policy = LONG
        assert (await health.findings()).database
        assert (await health.findings()).database
        assert database.count == 2

    asyncio.run(run())
    assert "no answer from the database after 0.01 s" in caplog.text


def test_who_asked_first_may_go():
    async def run():
        gate = threading.Event()
        health = Health(Checks(Asked(gate=gate)), dict, ttl=LONG, timeout=LONG)
        first, second = asyncio.create_task(health.findings()), asyncio.create_task(health.findings())
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        assert (await second).database
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(run())
