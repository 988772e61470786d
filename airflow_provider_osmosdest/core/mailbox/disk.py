"""A mailbox on a local or network file system."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Disk"]

_PARTIAL = ".partial"


class Disk:
    """
    A folder whose files appear whole and are on the disk when an operation returns.

    :param root: the mailbox's folder
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, name: str, data: bytes) -> bool:
        partial = self._write(data)
        try:
            target = self._target(name)
            try:
                os.link(partial, target)
            except FileExistsError:
                return False
            _sync_folder(target.parent)
            return True
        finally:
            partial.unlink()

    def put(self, name: str, data: bytes) -> None:
        partial = self._write(data)
        target = self._target(name)
        partial.replace(target)
        _sync_folder(target.parent)

    def get(self, name: str, start: int | None, stop: int | None) -> bytes | None:
        try:
            with (self._root / name).open("rb", buffering=0) as file:
                if start is None or stop is None:
                    return file.readall()
                return os.pread(file.fileno(), stop - start, start)
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int | None:
        try:
            return (self._root / name).stat().st_size
        except FileNotFoundError:
            return None

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            (self._root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._root / folder))
        except FileNotFoundError:
            return []

    def sign(self, name: str, seconds: int) -> str | None:  # noqa: ARG002
        return None

    def local_path(self, name: str) -> Path | None:
        return self._root / name

    def _target(self, name: str) -> Path:
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _write(self, data: bytes) -> Path:
        partial = self._target(f"{_PARTIAL}/{uuid.uuid4().hex}")
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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
