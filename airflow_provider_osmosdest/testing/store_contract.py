# ruff: noqa: D102 - a test's name is its documentation
"""
What every store of a mailbox promises, as tests.

Subclass :class:`StoreContract` for a store of your own::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def root(self):
            return ObjectStoragePath("mine://bucket/mailbox", conn_id="my_store")

It needs pytest. Each test gets a root of its own, with nothing in it.
"""

from __future__ import annotations

import threading
import uuid
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.probe import PROBED_NAME
from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["StoreContract"]

_WRITERS = 8


class StoreContract(ABC):
    """The promises of a store; a subclass says where it is."""

    @pytest.fixture
    @abstractmethod
    def root(self) -> Any:
        """Return the path of an empty mailbox."""

    @pytest.fixture
    def store(self, root: Any) -> Store:
        return Store(root)

    def test_it_can_hold_a_mailbox_and_remembers_that(self, store: Store) -> None:
        store.probe()
        assert store.get(PROBED_NAME) is not None
        assert store.names("probe") == []
        store.probe()

    def test_what_is_not_there_is_none(self, store: Store) -> None:
        assert store.get("log/none.json") is None
        assert store.get_range("log/none.json", 0, 10) is None
        assert store.size("log/none.json") is None
        assert store.modified("log/none.json") is None
        assert store.names("log") == []
        store.delete(["log/none.json"])

    def test_create_is_exclusive_and_keeps_the_first(self, store: Store) -> None:
        assert store.create("log/1.json", b"one")
        assert not store.create("log/1.json", b"two")
        assert store.create_or_read("log/1.json", b"three") == b"one"
        assert store.get("log/1.json") == b"one"

    def test_the_same_bytes_are_taken_for_the_same_write(self, store: Store) -> None:
        assert store.create("log/1.json", b"one")
        assert store.create_or_read("log/1.json", b"one") is None
        assert not store.create_once("log/1.json", b"one")

    def test_of_writers_at_the_same_moment_one_wins(self, store: Store) -> None:
        for number in range(5):
            start = threading.Barrier(_WRITERS)
            name = f"race/{number}.json"

            def write(_: int, start: threading.Barrier = start, name: str = name) -> bytes | None:
                mine = uuid.uuid4().bytes
                start.wait(10)
                return mine if store.create(name, mine) else None

            with ThreadPoolExecutor(_WRITERS) as pool:
                winners = [each for each in pool.map(write, range(_WRITERS)) if each is not None]
            assert winners == [store.get(name)]

    def test_what_was_written_is_read_at_once(self, store: Store) -> None:
        for number in range(3):
            store.put("tail.json", b"%d" % number)
            assert store.get("tail.json") == b"%d" % number
            assert store.size("tail.json") == 1
        assert store.names("consumers/one") == []
        store.create("consumers/one/000000.1", b"")
        assert store.names("consumers/one") == ["000000.1"]
        store.create("consumers/one/000000.2", b"")
        assert store.names("consumers/one") == ["000000.1", "000000.2"]
        store.delete(["consumers/one/000000.1"])
        assert store.names("consumers/one") == ["000000.2"]
        assert store.get("consumers/one/000000.2") == b""

    def test_a_part_is_that_part(self, store: Store) -> None:
        data = bytes(range(256)) * 4096
        store.put("data/large", data)
        assert store.get("data/large") == data
        assert store.get_range("data/large", 1000, 70_000) == data[1000:70_000]
        assert store.get_range("data/large", len(data) - 5, len(data)) == data[-5:]
        assert b"".join(store.stream("data/large", chunk=300_000)) == data
        assert b"".join(store.stream("data/large", 10, 500_000, chunk=100_000)) == data[10:500_000]

    def test_an_object_that_ends_early_is_not_taken_for_whole(self, store: Store) -> None:
        store.put("data/short", b"123")
        with pytest.raises(StorageError, match="data/short"):
            list(store.stream("data/short", 0, 10, chunk=2))
        with pytest.raises(StorageError, match="gone"):
            list(store.stream("data/none"))

    def test_a_mailbox_works_in_it(self, store: Store) -> None:
        mailbox = Mailbox(store, MailboxSettings("contract"))
        records = [b'{"n":%d}\n' % number for number in range(2500)]
        for number in range(0, 2500, 500):
            assert not mailbox.publish(records[number : number + 500], batch_id=f"b{number}").already
        assert mailbox.publish(records[:500], batch_id="b0").already
        elsewhere = Mailbox(Store(store.root), MailboxSettings("contract"))
        found, cursor = b"", None
        while True:
            page = elsewhere.read(cursor, limit=700, max_bytes=10**6)
            found += page.lines
            cursor = elsewhere.cursor_text(page.next.position)
            if page.up_to_date:
                break
        assert found == b"".join(records)
        assert not elsewhere.has_new(page.next.position)
