"""The object store a mailbox lives in: few operations, of which one is exclusive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_osmosdest.core.mailbox.disk import Disk
from airflow_provider_osmosdest.core.mailbox.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Backend", "Store", "backend_of"]

_STREAM_CHUNK = 256 * 1024


class Backend(Protocol):
    """What a kind of store must be able to do, in its own words; names are below the mailbox's root."""

    def create(self, name: str, data: bytes) -> bool: ...
    def put(self, name: str, data: bytes) -> None: ...
    def get(self, name: str, start: int | None, stop: int | None) -> bytes | None: ...
    def size(self, name: str) -> int | None: ...
    def delete(self, names: Iterable[str]) -> None: ...
    def names(self, folder: str) -> list[str]: ...
    def sign(self, name: str, seconds: int) -> str | None: ...
    def local_path(self, name: str) -> Path | None: ...


class Store:
    def __init__(self, root: Any) -> None:
        self.root = root
        self._backend: Backend = backend_of(root)

    def create(self, name: str, data: bytes) -> bool:
        return self.create_or_read(name, data) is None

    def create_or_read(self, name: str, data: bytes) -> bytes | None:
        while True:
            if self._backend.create(name, data):
                return None
            found = self.get(name)
            if found is not None:
                return None if found == data else found

    def put(self, name: str, data: bytes) -> None:
        self._backend.put(name, data)

    def get(self, name: str) -> bytes | None:
        return self._backend.get(name, None, None)

    def get_range(self, name: str, start: int, stop: int) -> bytes | None:
        return self._backend.get(name, start, stop)

    def size(self, name: str) -> int | None:
        return self._backend.size(name)

    def stream(self, name: str, start: int = 0, stop: int | None = None, chunk: int = _STREAM_CHUNK) -> Iterator[bytes]:
        end = self._backend.size(name) if stop is None else stop
        for at in range(start, end or 0, chunk):
            yield self._backend.get(name, at, min(at + chunk, end or 0)) or b""

    def delete(self, names: Iterable[str]) -> None:
        self._backend.delete(names)

    def names(self, folder: str) -> list[str]:
        return self._backend.names(folder)

    def sign(self, name: str, seconds: int) -> str | None:
        return self._backend.sign(name, seconds)

    def local_path(self, name: str) -> Path | None:
        return self._backend.local_path(name)

    def probe(self) -> None:
        return


def backend_of(root: Any) -> Backend:
    """Return how to work with the store a path lies in."""
    if isinstance(root, Path):
        return Disk(Path(root))
    if root.protocol in {"", "file", "local"}:
        return Disk(Path(root.path))
    return Objects(root.fs, root.path)
