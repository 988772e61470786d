"""Looking at a mailbox: how often, at what price, and through which faults."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.retention.purge import purge
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.triggers.polling import LogWatcher, polling, records_waiting


class Counting(Store):
    """A store that keeps count of what it is asked for."""

    def __init__(self, root):
        super().__init__(root)
        self.asked = []

    def get(self, name):
        self.asked.append(name)
        return super().get(name)

    def names(self, folder):
        self.asked.append(folder)
        return super().names(folder)

    def size(self, name):
        self.asked.append(name)
        return super().size(name)


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(Counting(tmp_path / "mailbox"), MailboxSettings("orders", max_bytes=1))


def publish(mailbox, count=2):
    tail = mailbox.log.tail()
    number = 1 if tail is None else tail.seq + 1
    return mailbox.publish([b'{"id":1}\n'] * count, batch_id=f"batch-{number}")


class TestLogWatcher:
    def test_sees_the_newest_batch(self, mailbox):
        watcher = LogWatcher(mailbox)
        assert watcher.newest() is None
        for number in (1, 2):
            publish(mailbox)
            assert watcher.newest().seq == number
        publish(mailbox)
        publish(mailbox)
        assert watcher.newest().seq == watcher.newest().seq == 4

    @pytest.mark.parametrize("batches", [1, 7])
    def test_an_idle_look_is_one_request(self, mailbox, batches):
        for _ in range(batches):
            publish(mailbox)
        watcher = LogWatcher(mailbox)
        watcher.newest()
        watcher.waiting("billing")
        mailbox.store.asked.clear()
        watcher.newest()
        assert mailbox.store.asked == [f"log/{batches + 1:020d}.json"]
        mailbox.store.asked.clear()
        watcher.waiting("billing")
        assert mailbox.store.asked == [f"log/{batches + 1:020d}.json"]

    def test_counts_what_waits(self, mailbox):
        watcher = LogWatcher(mailbox)
        assert watcher.waiting("billing") == 0
        publish(mailbox, 3)
        publish(mailbox, 4)
        assert watcher.waiting("billing") == 7
        mailbox.consumers.commit("billing", Cursor(Position(1, 2)))
        publish(mailbox, 1)
        assert watcher.waiting("billing") == 6
        assert watcher.waiting("other") == 8 or watcher.waiting("billing") == 6

    def test_what_was_purged_unread_still_ends_a_wait(self, mailbox):
        publish(mailbox, 3)
        mailbox.consumers.commit("billing", Cursor(Position(1, 1)))
        publish(mailbox, 4)
        purge(mailbox, now=datetime.now(UTC))
        fresh = Mailbox(mailbox.store, mailbox.settings)
        assert records_waiting(fresh, "billing") >= 1
        assert records_waiting(fresh, "other") == 4


class Clock:
    """Time that goes by only where a test sleeps."""

    def __init__(self):
        self.now = 0.0
        self.waits = []

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def __call__(self):
        return self.now


def first(count, polls):
    """Return the first so many things that are seen."""

    async def collect():
        seen = []
        async for each in polls:
            seen.append(each)
            if len(seen) == count:
                break
        await polls.aclose()
        return seen

    return asyncio.run(collect())


class TestPolling:
    def test_looks_for_ever_with_jitter(self, mailbox):
        clock = Clock()
        numbers = iter(range(1_000))
        polls = polling("orders", 2, lambda _: next(numbers), opener=lambda _: mailbox, sleep=clock.sleep, clock=clock)
        assert first(50, polls) == list(range(50))
        assert all(1.5 <= wait <= 2 for wait in clock.waits)
        assert len(set(clock.waits)) > 40

    def test_outlives_any_error_and_says_so_once(self, mailbox, caplog):
        caplog.set_level(logging.INFO)
        clock = Clock()
        faults = iter([StorageError("the store is away")] * 8 + [ZeroDivisionError()] * 3)
        opened = []

        def opener(conn_id):
            opened.append(conn_id)
            return mailbox

        def read(_):
            if fault := next(faults, None):
                raise fault
            return "seen"

        assert first(2, polling("orders", 2, read, opener=opener, sleep=clock.sleep, clock=clock)) == ["seen", "seen"]
        said = [record.getMessage() for record in caplog.records if "osmosdest" in record.name]
        assert said == [
            "Mailbox 'orders' cannot be looked at; trying on until it can be: the store is away",
            "Mailbox 'orders' can be looked at again, after 11 failures.",
        ]
        # Each wait is up to twice the one before, and none longer than a minute.
        assert clock.waits[0] <= 2
        assert 1.5 * 8 <= clock.waits[3] <= 2 * 8
        assert all(45 <= wait <= 60 for wait in clock.waits[5:11])
        assert clock.waits[11] <= 2
        # It opens the mailbox anew each time: it may be the connection that was mended.
        assert len(opened) == 12

    def test_a_connection_that_cannot_be_had_is_an_error_like_others(self, mailbox):
        clock = Clock()
        mailboxes = iter([LookupError("no such connection"), mailbox])

        def opener(_):
            found = next(mailboxes)
            if isinstance(found, Exception):
                raise found
            return found

        assert first(1, polling("orders", 2, LogWatcher.newest, opener=opener, sleep=clock.sleep, clock=clock)) == [
            None
        ]

    def test_asks_for_the_connection_anew_now_and_then(self, mailbox):
        clock = Clock()
        opened = []

        def opener(_):
            opened.append(clock.now)
            return mailbox

        first(400, polling("orders", 2, LogWatcher.newest, opener=opener, sleep=clock.sleep, clock=clock))
        assert len(opened) == 3
        assert all(300 <= later - earlier <= 303 for earlier, later in pairwise(opened))
