"""A mailbox in an object store, through its fsspec file system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Objects"]


class Objects:
    """
    A prefix in a bucket or container.

    :param filesystem: fsspec's
    :param root: the mailbox's prefix, as that file system names it
    """

    def __init__(self, filesystem: Any, root: str) -> None:
        self._fs = filesystem
        self._root = root.rstrip("/")

    def create(self, name: str, data: bytes) -> bool:
        try:
            self._fs.pipe_file(self._path(name), data, mode="create")
        except FileExistsError:
            return False
        return True

    def put(self, name: str, data: bytes) -> None:
        self._fs.pipe_file(self._path(name), data)

    def get(self, name: str, start: int | None, stop: int | None) -> bytes | None:
        try:
            return bytes(self._fs.cat_file(self._path(name), start=start, end=stop))
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int | None:
        try:
            return int(self._fs.info(self._path(name), refresh=True)["size"])
        except FileNotFoundError:
            return None

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                self._fs.rm_file(self._path(name))
            except FileNotFoundError:
                continue

    def names(self, folder: str) -> list[str]:
        try:
            found = self._fs.ls(self._path(folder), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(each.rstrip("/").rpartition("/")[2] for each in found)

    def sign(self, name: str, seconds: int) -> str | None:
        try:
            return str(self._fs.sign(self._path(name), expiration=seconds))
        except NotImplementedError:
            return None

    def local_path(self, name: str) -> Path | None:  # noqa: ARG002
        return None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"
