from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from upath import UPath

from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError, UnsupportedStoreError
from airflow_provider_osmosdest.core.mailbox.store.disk import Disk
from airflow_provider_osmosdest.core.mailbox.store.objects import Objects
from airflow_provider_osmosdest.core.mailbox.store.probe import PROBED_NAME
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.storage import private
from airflow_provider_osmosdest.testing.mailbox_backend import MemoryBackend, memory_store
from airflow_provider_osmosdest.testing.store_contract import StoreContract
from tests.modes import modes_below, umask


class TestDisk(StoreContract):
    @pytest.fixture
    def root(self, tmp_path):
        return tmp_path / "mailbox"


class TestDiskAsObjectStorage(StoreContract):
    @pytest.fixture
    def root(self, tmp_path):
        from airflow.sdk import ObjectStoragePath

        return ObjectStoragePath(f"file://{tmp_path}/mailbox")


class TestMemoryBackend(StoreContract):
    @pytest.fixture
    def root(self):
        return None

    @pytest.fixture
    def store(self):
        return memory_store()

    def test_a_mailbox_works_in_it(self, store, monkeypatch):
        monkeypatch.setattr("airflow_provider_osmosdest.testing.store_contract.Store", lambda _root: store)
        super().test_a_mailbox_works_in_it(store)


def test_a_store_that_looks_and_then_writes_is_refused():
    with pytest.raises(UnsupportedStoreError, match=r"memory.*file system.*looks whether there is one.*Use a folder"):
        Store(UPath("memory://mailbox")).probe()


class Overwriting(MemoryBackend):
    def create(self, name, data):
        self.put(name, data)
        return True


class Denying(MemoryBackend):
    def create(self, name, data):
        return False


class Lacking(MemoryBackend):
    def create(self, name, data):
        raise OSError(errno.EPERM, "no hard links")


class Unreachable(MemoryBackend):
    def create(self, name, data):
        raise OSError(errno.EIO, "unplugged")


@pytest.mark.parametrize(
    ("backend", "reason"),
    [(Overwriting, "created an object that was there"), (Denying, "exists already"), (Lacking, "no hard links")],
)
def test_a_store_that_fails_when_tried_is_refused_and_not_marked(backend, reason):
    objects = backend()
    with pytest.raises(UnsupportedStoreError, match=f"mailbox cannot hold a mailbox: .*{reason}"):
        memory_store(objects).probe()
    assert PROBED_NAME not in objects.objects


def test_a_store_that_is_out_of_order_is_no_unsuitable_one():
    with pytest.raises(StorageError, match=r"unplugged.*try again"):
        memory_store(Unreachable()).probe()


def test_what_a_probe_found_is_remembered_in_the_process_and_in_the_store():
    backend = MemoryBackend()
    memory_store(backend).probe()
    backend.requests.clear()
    memory_store(backend).probe()
    assert not backend.requests
    elsewhere = MemoryBackend()
    elsewhere.objects = dict(backend.objects)
    memory_store(elsewhere).probe()
    assert elsewhere.requests == {"get": 1}


def test_a_lost_answer_to_a_create_is_settled_by_reading_back():
    backend = MemoryBackend(lambda what, _name, act: (act(), act())[1] if what == "create" else act())
    store = memory_store(backend)
    assert store.create("log/1.json", b"mine")
    assert not store.create("log/1.json", b"other")


def test_a_create_that_never_comes_to_an_end_says_so():
    with pytest.raises(StorageError, match=r"20 times.*exists, and had none"):
        memory_store(Denying()).create("log/1.json", b"mine")


def test_what_follows_a_question_mark_is_not_told():
    def perform(_what, _name, _act):
        raise OSError("GET https://host/box/a?sig=SECRET&se=2026 failed")

    with pytest.raises(
        StorageError, match=r"cannot read .*/a: OSError: GET https://host/box/a\?\.\.\. failed"
    ) as caught:
        memory_store(MemoryBackend(perform)).get("a")
    assert "SECRET" not in str(caught.value)


class Unopened:
    """What Airflow's path is where the provider of its store is not installed."""

    protocol = "s3"

    def __str__(self):
        return "s3://box/mail"

    @property
    def fs(self):
        raise ValueError("No filesystem registered for scheme s3")


def test_a_missing_provider_is_named():
    with pytest.raises(ConfigurationError, match=r"s3://box/mail cannot be opened.*Install.*s3://"):
        Store(Unopened())


def test_killed_writers_files_are_swept_after_a_day(tmp_path):
    partial = tmp_path / ".partial"
    partial.mkdir()
    for name, age in (("old", 90_000), ("new", 60)):
        (partial / name).write_bytes(b"x")
        then = (partial / name).stat().st_mtime - age
        os.utime(partial / name, (then, then))
    Store(tmp_path).probe()
    assert [each.name for each in partial.iterdir()] == ["new"]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "link", "replace"):
        plain = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, plain=plain: (calls.append(name), plain(*args))[1])
    disk = Disk(tmp_path)
    (tmp_path / "log").mkdir()
    (tmp_path / ".partial").mkdir()
    disk.create("log/1.json", b"one")
    assert calls == ["fsync", "link", "fsync"]
    calls.clear()
    disk.put("log/1.json", b"two")
    assert calls[0] == "fsync"
    assert calls[-1] == "fsync"
    assert list((tmp_path / ".partial").iterdir()) == []


class Refusing:
    """An fsspec file system of S3's kind whose conditional write ends in an error."""

    protocol = ("s3", "s3a")
    storage_args = ()

    def __init__(self, **options):
        self.storage_options = options

    def pipe_file(self, path, data, mode="overwrite"):
        raise self.storage_options["error"]


def _caused(status):
    error = OSError(errno.EIO, "refused")
    error.__cause__ = Exception("botocore's")
    error.__cause__.response = {"ResponseMetadata": {"HTTPStatusCode": status}}
    return error


@pytest.mark.parametrize(
    "error",
    [FileExistsError(), _caused(409), _caused(412), type("E", (Exception,), {"status_code": 409})()],
)
def test_a_conflict_is_another_writers_object_until_read(error):
    assert Objects(Refusing(error=error), "box/mail").create("log/1.json", b"x") is False


def test_another_error_is_no_conflict():
    with pytest.raises(OSError, match="refused"):
        Objects(Refusing(error=_caused(503)), "box/mail").create("log/1.json", b"x")


def test_a_store_that_cannot_sign_has_no_url():
    filesystem = SimpleNamespace(protocol="s3", storage_args=(), storage_options={})
    assert Objects.sign(SimpleNamespace(_fs=filesystem, _path=str), "data/x", 60) is None


@pytest.mark.parametrize("kind", [Path, lambda path: UPath(f"file://{path}")], ids=["path", "url"])
def test_a_mailbox_on_a_disk_is_its_owners_alone(tmp_path, kind):
    with umask(0):
        store = Store(kind(tmp_path / "box"))
        store.probe()
        store.create("log/1", b"records")
        store.put("consumers/billing", b"cursor")
    assert modes_below(tmp_path) == {"files": {"0600"}, "folders": {"0700"}}


def test_a_mailbox_may_be_opened_to_a_group(tmp_path):
    with umask(0o077):
        store = Store(private(tmp_path / "box", "write"))
        store.create("log/1", b"records")
        store.put("consumers/billing", b"cursor")
    assert modes_below(tmp_path) == {"files": {"0660"}, "folders": {"0770"}}
