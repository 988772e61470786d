"""
Files and folders below a storage path: their permissions, atomic writes, and a check before they are needed.

What is stored holds records, so on a disk only its owner may read it, or a group that the setting names. The path
carries the modes: :func:`private` makes one, every path derived from it is one, too, and so all modules that write
below it keep to them. An object store has no modes, and its paths are taken as they are.
"""

from __future__ import annotations

import os
import stat
import uuid
from contextlib import suppress
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Folder", "PrivatePath", "is_local", "private", "try_out", "write_whole"]


class Folder(Protocol):
    """What a folder must be able to do: the part of ``ObjectStoragePath`` and ``Path`` that is used."""

    def __truediv__(self, name: str) -> Any:
        """Return the path of something in the folder."""

    def mkdir(self, *, parents: bool, exist_ok: bool) -> Any:
        """Make the folder."""

    def glob(self, pattern: str) -> Iterable[Any]:
        """Yield the paths in the folder whose names match."""


class PrivatePath(PosixPath):
    """
    A path of this machine; the files and folders that it makes are their owner's alone, whatever the umask is.

    A file has its mode before it has content. What is there already keeps its mode, but for a file written anew.
    """

    file_mode: ClassVar[int] = 0o600
    """Permissions of a new file; a folder's are these, and the right to enter it for all who may read."""

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """Open the file as ``open`` does."""
        return open(self, mode, buffering, encoding, errors, newline, opener=self._opened)

    def _opened(self, path: str, flags: int) -> int:
        handle = os.open(path, flags, self.file_mode)
        if flags & os.O_CREAT:
            # An umask may have taken bits away, and a file that was there has the bits it had.
            found = stat.S_IMODE(os.fstat(handle).st_mode)
            if found != self.file_mode:
                with _without_modes():
                    os.fchmod(handle, self.file_mode)
        return handle

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as in pathlib
        """
        Make the folder, and with ``parents`` those above it, which pathlib would leave open to all.

        :param mode: permissions of which it gets those that its group may have
        """
        mode &= self.file_mode | (self.file_mode & 0o444) >> 2
        try:
            os.mkdir(self, mode)  # noqa: PTH102 - this is it
        except FileNotFoundError:
            if not parents or self.parent == self:
                raise
            self.parent.mkdir(parents=True, exist_ok=True)
            self.mkdir(mode, exist_ok=exist_ok)
        except OSError:
            if not exist_ok or not self.is_dir():
                raise
        else:
            found = stat.S_IMODE(self.stat().st_mode)
            if found & 0o777 != mode:
                with _without_modes():
                    # The setgid bit stays: it is what gives all below to the folder's group.
                    self.chmod(found & ~0o777 | mode)


class _GroupReadPath(PrivatePath):
    """A path whose files the group may read."""

    file_mode = 0o640


class _GroupWritePath(PrivatePath):
    """A path whose files the group may read and write."""

    file_mode = 0o660


# A class for each, as a path hands on its class to those that are made from it, and in Python 3.11 nothing else.
_KINDS: dict[str, type[PrivatePath]] = {"none": PrivatePath, "read": _GroupReadPath, "write": _GroupWritePath}


def _without_modes() -> suppress:
    """Ignore that a file system has no modes, or those of its mount, which then decide who may read."""
    return suppress(OSError)


def private(path: Any, group_access: str = "none") -> Any:
    """
    Return a path whose files and folders have restricted modes; of an object store, the path as it is.

    :param path: a path object, of ``pathlib`` or like ``ObjectStoragePath``; a private one keeps what its group may do
    :param group_access: what the group may do: ``none``, ``read`` or ``write``
    :raises ConfigurationError: when it is none of these
    """
    kind = _KINDS.get(group_access)
    if kind is None:
        found, expected = repr(group_access), ", ".join(_KINDS)
        raise ConfigurationError(f"[osmosdest] group_access: found {found}, expected one of {expected}")
    if isinstance(path, PrivatePath) or not is_local(path):
        return path
    return kind(path if isinstance(path, Path) else path.path)


def is_local(path: Any) -> bool:
    """Return whether a path object, of ``pathlib`` or like ``ObjectStoragePath``, is a file of this machine's."""
    return getattr(path, "protocol", "") in ("", "file", "local")


def write_whole(path: Any, content: bytes) -> None:
    """
    Write or replace an object atomically: after a crash it is whole, or as before. Its folder must exist.

    A file that is overwritten in place can be cut short by a crash, so it is written beside and renamed.

    :param path: a path object, of ``pathlib`` or like ``ObjectStoragePath``
    :raises OSError: when it cannot be written
    """
    if not is_local(path):
        # An object appears whole, when it is closed.
        with path.open("wb") as file:
            file.write(content)
        return
    target: PrivatePath = private(path)
    # Not a name that a listing would take for the object.
    beside = target.with_name(f"{target.name}.new")
    try:
        # Buffered, as that writes on where the system call takes a part only.
        with beside.open("wb") as file:
            file.write(content)
        os.replace(beside, target)  # noqa: PTH105 - what the tests of crashes break
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def _read_back(path: Any, written: bytes) -> None:
    with path.open("rb") as file:
        found: bytes = file.read()
    if found != written:
        raise OSError(f"{len(written)} bytes were written, and {len(found)} came back that are not the same")


def try_out(folder: Any) -> None:
    """
    Write a file in a folder, read it back and remove it, so that storage that fails is found before anything is sent.

    :param folder: a path object, of ``pathlib`` or like ``ObjectStoragePath``; it is made if it is not there
    :raises StorageError: naming the folder, and which of the three failed
    """
    # A name of its own: another attempt may be at it, and what it had written must not be taken for this.
    path = folder / f"trial-{uuid.uuid4().hex}"
    content = str(path.name).encode()
    doing = "written"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
        doing = "read back"
        _read_back(path, content)
        doing = "removed"
        path.unlink()
    # The clients of object stores have trees of errors of their own.
    except Exception as error:
        with suppress(Exception):
            path.unlink()
        raise StorageError(
            f"the folder {folder} was tried first, and a file in it cannot be {doing}: {type(error).__name__}: "
            f"{error}. Nothing was sent or asked for in this attempt, as its outcome could not be kept. Let the worker "
            "create, read and remove files there, and see that there is room, or set [osmosdest] storage_path to "
            "another place; then try again."
        ) from error
