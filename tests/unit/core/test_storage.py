from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from upath import UPath

from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError
from airflow_provider_osmosdest.core.storage import PrivatePath, is_local, private, try_out, write_whole
from tests.modes import modes_below, umask

ACCESS = {"none": (0o600, 0o700), "read": (0o640, 0o750), "write": (0o660, 0o770)}


def mode_of(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_what_is_local(tmp_path):
    assert is_local(tmp_path)
    assert is_local(private(tmp_path))
    assert is_local(UPath(f"file://{tmp_path}"))
    assert not is_local(UPath("memory://box"))


def test_a_file_is_replaced_whole(tmp_path, monkeypatch):
    path = tmp_path / "ledger.json"
    write_whole(path, b"old")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["ledger.json"]


def test_what_could_not_be_written_whole_leaves_nothing(tmp_path):
    (tmp_path / "ledger.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "ledger.json", b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["ledger.json"]


def test_an_object_is_written_as_its_store_does():
    path = UPath("memory://test-storage/ledger.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"


class TestModes:
    @pytest.mark.parametrize("bits", [0, 0o022, 0o077])
    @pytest.mark.parametrize("access", ACCESS)
    def test_they_are_those_that_were_asked_for_whatever_the_umask_is(self, tmp_path, bits, access):
        of_files, of_folders = ACCESS[access]
        root = private(tmp_path, access) / "a"
        with umask(bits):
            (root / "b" / "c").mkdir(parents=True, exist_ok=True)
            (root / "b" / "c").mkdir(parents=True, exist_ok=True)
            with (root / "b" / "c" / "file").open("wb") as file:
                file.write(b"records")
            write_whole(root / "whole", b"records")
            (root / "bytes").write_bytes(b"records")
        assert modes_below(tmp_path) == {"files": {f"{of_files:04o}"}, "folders": {f"{of_folders:04o}"}}

    def test_a_file_has_its_mode_before_it_has_content(self, tmp_path):
        with umask(0), (private(tmp_path) / "file").open("wb") as file:
            assert mode_of(tmp_path / "file") == 0o600
            file.write(b"records")

    def test_a_file_written_anew_is_closed_first(self, tmp_path):
        path = tmp_path / "report.json"
        path.write_bytes(b"old")
        path.chmod(0o644)
        with (private(tmp_path) / "report.json").open("wb") as file:
            assert (mode_of(path), path.read_bytes()) == (0o600, b"")
            file.write(b"new")
        assert path.read_bytes() == b"new"

    def test_whatever_is_reached_from_a_path_is_as_private(self, tmp_path):
        root = private(tmp_path, "read")
        (root / "folder").mkdir()
        reached = [root / "file", (root / "file").parent, *root.glob("*"), *root.iterdir(), root.with_name("x")]
        assert {type(path) for path in reached} == {type(root)}
        assert private(root / "file") == root / "file"
        assert private(root / "file").file_mode == 0o640

    def test_what_is_whole_is_private_whatever_path_it_has(self, tmp_path):
        with umask(0):
            write_whole(tmp_path / "one", b"records")
            write_whole(UPath(f"file://{tmp_path}/two"), b"records")
        assert modes_below(tmp_path)["files"] == {"0600"}

    def test_folders_that_are_there_are_left_alone(self, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine").chmod(0o755)
        (private(tmp_path) / "mine" / "new").mkdir(parents=True, exist_ok=True)
        assert mode_of(tmp_path / "mine") == 0o755
        assert mode_of(tmp_path / "mine" / "new") == 0o700

    def test_the_group_of_a_folder_is_handed_on(self, tmp_path):
        tmp_path.chmod(0o2750)
        with umask(0o077):
            (private(tmp_path, "read") / "a" / "b").mkdir(parents=True)
        assert mode_of(tmp_path / "a" / "b") == 0o2750

    def test_a_file_system_without_modes_will_do(self, tmp_path, monkeypatch):
        def refuse(*_, **__):
            raise PermissionError("Operation not permitted")

        for name in ("fchmod", "chmod"):
            monkeypatch.setattr(os, name, refuse)
        with umask(0o277):
            (private(tmp_path) / "folder").mkdir()
            with (private(tmp_path) / "file").open("wb") as file:
                file.write(b"records")
        monkeypatch.undo()
        (tmp_path / "folder").chmod(0o700)

    def test_making_a_folder_fails_as_it_does_otherwise(self, tmp_path):
        root = private(tmp_path)
        (root / "file").write_bytes(b"")
        with pytest.raises(FileExistsError):
            root.mkdir()
        with pytest.raises(FileExistsError):
            (root / "file").mkdir(exist_ok=True)
        with pytest.raises(FileNotFoundError):
            (root / "a" / "b").mkdir()
        with pytest.raises(NotADirectoryError):
            (root / "file" / "b").mkdir(parents=True, exist_ok=True)

    def test_text_and_reading_are_as_ever(self, tmp_path):
        path = private(tmp_path) / "text"
        path.write_text("ä", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "ä"
        with pytest.raises(FileNotFoundError):
            (private(tmp_path) / "none").open("rb")

    def test_an_object_is_as_its_store_has_it(self):
        path = UPath("memory://box/file")
        assert private(path, "read") is path

    def test_any_other_access_is_named(self, tmp_path):
        with pytest.raises(ConfigurationError, match=r"group_access: found 'all', expected one of none, read, write"):
            private(tmp_path, "all")


class Forgetful(PrivatePath):
    """A disk that gives back other bytes than were written."""

    def open(self, mode="r", *args, **more):
        if mode == "rb":
            self.write_bytes(b"zeros")
        return super().open(mode, *args, **more)


class Sticky(PrivatePath):
    """A disk from which nothing is removed."""

    def unlink(self, missing_ok=False):
        raise PermissionError(1, "Operation not permitted")


class Unreadable(PrivatePath):
    """A disk that can be written alone, as a bucket may be."""

    def open(self, mode="r", *args, **more):
        if mode == "rb":
            raise PermissionError(13, "Permission denied")
        return super().open(mode, *args, **more)


class ClientError(Exception):
    """What a client of an object store may raise, which is no OSError."""


class Away(PrivatePath):
    """A store that cannot be reached."""

    def mkdir(self, mode=0o777, parents=False, exist_ok=False):
        raise ClientError("no route to the store")


class TestTryingOut:
    @pytest.mark.parametrize(
        "at", [lambda path: path, private, lambda path: UPath(f"file://{path}")], ids=["path", "private", "url"]
    )
    def test_a_folder_that_will_do_is_made_and_left_empty(self, tmp_path, at):
        try_out(at(tmp_path / "a" / "b"))
        try_out(at(tmp_path / "a" / "b"))
        assert list((tmp_path / "a" / "b").iterdir()) == []

    def test_an_object_store_will_do(self):
        folder = UPath("memory://test-trial/deliveries")
        try_out(folder)
        assert list(folder.glob("*")) == []

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StorageError) as caught:
            try_out(private(tmp_path / "file" / "deliveries"))
        message = str(caught.value)
        assert f"the folder {tmp_path}/file/deliveries was tried first" in message
        assert "cannot be written: NotADirectoryError" in message
        assert "[osmosdest] storage_path" in message

    def test_a_disk_that_takes_no_files(self):
        # As root, too.
        with pytest.raises(StorageError, match=r"/proc/self .*cannot be written"):
            try_out(private(Path("/proc/self")))

    def test_bytes_that_come_back_as_others(self, tmp_path):
        with pytest.raises(StorageError, match=r"cannot be read back: OSError: 38 bytes were written, and 5 came back"):
            try_out(Forgetful(tmp_path))
        assert list(tmp_path.iterdir()) == []

    def test_files_that_cannot_be_read(self, tmp_path):
        with pytest.raises(StorageError, match=r"cannot be read back: PermissionError"):
            try_out(Unreadable(tmp_path))
        assert list(tmp_path.iterdir()) == []

    def test_files_that_cannot_be_removed(self, tmp_path):
        with pytest.raises(StorageError, match=r"cannot be removed: PermissionError.*Operation not permitted"):
            try_out(Sticky(tmp_path))

    def test_whatever_a_client_raises_is_why(self, tmp_path):
        with pytest.raises(StorageError, match=r"cannot be written: ClientError: no route to the store"):
            try_out(Away(tmp_path))
