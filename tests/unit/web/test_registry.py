from __future__ import annotations

import threading
from types import SimpleNamespace

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.web.registry import Registry


def box(settings="s", root="r"):
    return SimpleNamespace(settings=settings, store=SimpleNamespace(root=root))


class Loading:
    def __init__(self, found):
        self.found = found
        self.asked = []
        self.now = 0.0
        self.registry = Registry(self, clock=lambda: self.now)

    def __call__(self, mailbox_id):
        self.asked.append(mailbox_id)
        found = self.found.get(mailbox_id)
        if isinstance(found, Exception):
            raise found
        return found


def test_a_mailbox_is_looked_up_again_after_five_seconds():
    loading = Loading({"a": box()})
    first = loading.registry.get("a")
    assert loading.registry.fresh("a") == (True, first)
    loading.now = 4.9
    loading.registry.get("a")
    assert loading.asked == ["a"]
    loading.now = 5.0
    assert loading.registry.fresh("a") == (False, None)
    loading.found["a"] = box("changed")
    assert loading.registry.get("a").settings == "changed"


def test_the_open_one_is_kept_while_nothing_changed_but_not_for_ever():
    loading = Loading({"a": box()})
    first = loading.registry.get("a")
    loading.found["a"] = box()
    loading.now = 10.0
    assert loading.registry.get("a") is first
    loading.now = 301.0
    assert loading.registry.get("a") is loading.found["a"]


def test_what_is_no_mailbox_is_remembered_too():
    loading = Loading({})
    assert loading.registry.get("a") is None
    assert loading.registry.get("a") is None
    assert loading.asked == ["a"]


def test_a_broken_connection_looks_like_none_and_is_logged(caplog):
    loading = Loading({"a": ConfigurationError("path is missing")})
    assert loading.registry.get("a") is None
    assert "path is missing" in caplog.text


def test_guessed_ids_do_not_pile_up():
    loading = Loading({})
    for number in range(1100):
        loading.registry.get(str(number))
    assert len(loading.registry._known) == 1024
    assert loading.registry._loading == {}


def test_many_threads_look_it_up_once():
    begun, go_on = threading.Event(), threading.Event()
    asked = []

    def load(mailbox_id):
        asked.append(mailbox_id)
        begun.set()
        go_on.wait(5)
        return box()

    registry = Registry(load)
    found = []
    threads = [threading.Thread(target=lambda: found.append(registry.get("a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.wait(5)
    go_on.set()
    for thread in threads:
        thread.join()
    assert asked == ["a"]
    assert len(set(map(id, found))) == 1
