"""
A mailbox on a local or network file system.

Bytes go to a file of their own first and are on the disk before the file gets its name; the name comes with a hard
link, which is exclusive, or with a rename, which replaces. So no reader sees half a file, and after a power failure
there is either all of it or nothing.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.storage import private

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Disk"]

_PARTIAL = ".partial"
_ABANDONED_SECONDS = 24 * 3600


class Disk:
    """
    A folder whose files appear whole, and are on the disk when an operation returns.

    :param root: the mailbox's folder; its files are private, as they hold records
    """

    parallel = 1

    def __init__(self, root: Path) -> None:
        self._root: Path = private(root)

    @property
    def identity(self) -> str:
        """A text that identifies this folder."""
        return str(self._root.absolute())

    def unsuitable(self) -> str | None:
        """Return ``None``: whether hard links are exclusive here has to be tried out."""
        return None

    def tidy(self) -> None:
        """Remove the partial files of killed writers."""
        before = time.time() - _ABANDONED_SECONDS
        with suppress(FileNotFoundError):
            for partial in (self._root / _PARTIAL).iterdir():
                with suppress(FileNotFoundError):
                    if partial.stat().st_mtime < before:
                        partial.unlink()

    def create(self, name: str, data: bytes) -> bool:
        """Create a file; ``False`` where there is one."""
        target = self._root / name
        if target.exists():
            return False
        partial = self._write(data)
        try:
            _make_folder(target.parent)
            try:
                os.link(partial, target)
            except FileExistsError:
                return False
            _sync_folder(target.parent)
            return True
        finally:
            with suppress(OSError):
                partial.unlink()

    def put(self, name: str, data: bytes) -> None:
        """Write a file, in place of one there may be."""
        target = self._root / name
        partial = self._write(data)
        try:
            _make_folder(target.parent)
            partial.replace(target)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
        _sync_folder(target.parent)

    def get(self, name: str, start: int | None = None, stop: int | None = None) -> bytes | None:
        """Return a file, or its bytes from ``start`` to before ``stop``; ``None`` where there is none."""
        try:
            handle = os.open(self._root / name, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            if start is None or stop is None:
                start, stop = 0, os.fstat(handle).st_size
            parts = []
            while start < stop and (part := os.pread(handle, stop - start, start)):
                parts.append(part)
                start += len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            os.close(handle)

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes; ``None`` where there is none."""
        try:
            return (self._root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, where they exist."""
        for name in names:
            (self._root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """List what is right below a folder."""
        try:
            return sorted(each.name for each in (self._root / folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def modified(self, name: str) -> float | None:
        """Return when a file was written, in seconds since the epoch; ``None`` where there is none."""
        try:
            return (self._root / name).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None

    def sign(self, name: str, seconds: int) -> str | None:  # noqa: ARG002 - the same for every kind of store
        """Return ``None``: a file has no URL."""
        return None

    def local_path(self, name: str) -> Path | None:
        """Return a file's path."""
        return self._root / name

    def _write(self, data: bytes) -> Path:
        """Write a file that has no name of its own yet, in the root so that it is on the same file system."""
        folder = self._root / _PARTIAL
        _make_folder(folder)
        partial = folder / uuid.uuid4().hex
        try:
            with partial.open("xb", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
        return partial


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, on the disk before anything is in them."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
