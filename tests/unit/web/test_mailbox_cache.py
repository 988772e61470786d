from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError
from airflow_provider_osmosdest.web.mailbox_cache import MailboxCache, UndecidedError


def box(settings="s", root="r"):
    return SimpleNamespace(settings=settings, store=SimpleNamespace(root=root))


class Loading:
    """Finds what it was given, and notes what it was asked for."""

    def __init__(self, found):
        self.found = found
        self.asked = []
        self.now = 0.0
        self.mailboxes = MailboxCache(self, clock=lambda: self.now)

    def __call__(self, mailbox_id):
        self.asked.append(mailbox_id)
        found = self.found.get(mailbox_id)
        if isinstance(found, Exception):
            raise found
        return found

    def find(self, mailbox_id="a"):
        return asyncio.run(self.mailboxes.find(mailbox_id))


def test_a_mailbox_is_looked_up_again_after_five_seconds():
    loading = Loading({"a": box()})
    first = loading.find()
    loading.now = 4.9
    assert loading.find() is first
    assert loading.asked == ["a"]
    loading.now = 5.0
    loading.found["a"] = box("changed")
    assert loading.find().settings == "changed"
    assert loading.asked == ["a", "a"]


def test_one_that_is_gone_is_gone_after_five_seconds():
    loading = Loading({"a": box()})
    loading.find()
    del loading.found["a"]
    loading.now = 5.0
    assert loading.find() is None


def test_the_open_one_is_kept_while_nothing_changed_but_not_for_ever():
    loading = Loading({"a": box()})
    first = loading.find()
    loading.found["a"] = box()
    loading.now = 10.0
    assert loading.find() is first
    loading.now = 301.0
    assert loading.find() is loading.found["a"]


def test_what_is_no_mailbox_is_remembered_too():
    loading = Loading({})
    assert loading.find() is None
    assert loading.find() is None
    assert loading.asked == ["a"]


def test_a_broken_connection_looks_like_none_and_is_logged(caplog):
    loading = Loading({"a": ConfigurationError("path is missing")})
    assert loading.find() is None
    assert "path is missing" in caplog.text


def test_what_cannot_be_looked_up_now_is_tried_again():
    loading = Loading({"a": StorageError("down")})
    with pytest.raises(StorageError):
        loading.find()
    loading.found["a"] = box()
    assert loading.find() is loading.found["a"]
    assert loading.mailboxes._opening == {}


def test_a_database_that_is_down_makes_no_mailbox_unknown_and_tells_a_stranger_nothing():
    loading = Loading({"a": box(), "b": UndecidedError("down")})
    first = loading.find()
    assert loading.find("b") is None
    loading.found["a"] = UndecidedError("down")
    loading.now = 5.0
    with pytest.raises(StorageError):
        loading.find()
    loading.found["a"] = box()
    assert loading.find() is first


def test_guessed_ids_do_not_pile_up():
    loading = Loading({})

    async def run():
        await asyncio.gather(*(loading.mailboxes.find(str(number)) for number in range(1100)))

    asyncio.run(run())
    assert len(loading.mailboxes._known) == 1024
    assert loading.mailboxes._opening == {}


def test_many_who_ask_at_once_look_it_up_once_even_if_the_first_goes():
    go_on = threading.Event()
    asked = []

    def load(mailbox_id):
        asked.append(mailbox_id)
        go_on.wait(5)
        return box()

    async def run():
        registry = MailboxCache(load)
        first, *others = [asyncio.create_task(registry.find("a")) for _ in range(8)]
        await asyncio.sleep(0)
        first.cancel()
        go_on.set()
        return await asyncio.gather(*others)

    found = asyncio.run(run())
    assert asked == ["a"]
    assert len(set(map(id, found))) == 1
    assert found[0] is not None


def test_the_stores_of_what_was_asked_for_last():
    loading = Loading({name: box(root=f"root {name}") for name in "abcdef"})
    assert loading.mailboxes.stores() == {}
    for name in ("a", "b", "nowhere", "c", "d", "e", "a"):
        loading.find(name)
    found = loading.mailboxes.stores()
    assert list(found) == ["root a", "root e", "root d", "root c"]
    assert found["root a"].root == "root a"
