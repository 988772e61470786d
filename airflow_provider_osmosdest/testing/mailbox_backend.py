"""A mailbox's store in memory, whose requests can be counted, put in any order, lost and cut off."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.mailbox.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["MemoryBackend", "memory_store"]


def _at_once(_what: str, _name: str, act: Callable[[], Any]) -> Any:
    return act()


class MemoryBackend:
    """
    Objects in a dictionary; each operation is one indivisible request.

    :param perform: called for each request with what it does, the object's name, and the function that does it; what
        it returns is the answer. Tests put requests in order here, and let them fail before or after they are done
    :param clock: seconds since the epoch
    """

    parallel = 1

    def __init__(
        self,
        perform: Callable[[str, str, Callable[[], Any]], Any] = _at_once,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: Counter[str] = Counter()
        self.perform = perform
        self._clock = clock
        self._written: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        """The identity of this store."""
        return f"memory {id(self.objects)}"

    def unsuitable(self) -> str | None:
        """Return ``None``: this one is exclusive."""
        return None

    def tidy(self) -> None:
        """Do nothing."""

    def create(self, name: str, data: bytes) -> bool:
        """Create an object; ``False`` where there is one."""

        def act() -> bool:
            if name in self.objects:
                return False
            self._write(name, data)
            return True

        return bool(self._request("create", name, act))

    def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        self._request("put", name, lambda: self._write(name, data))

    def get(self, name: str, start: int | None = None, stop: int | None = None) -> bytes | None:
        """Return an object or a part of it."""

        def act() -> bytes | None:
            data = self.objects.get(name)
            return None if data is None else data[start:stop]

        found: bytes | None = self._request("get", name, act)
        return found

    def size(self, name: str) -> int | None:
        """Return an object's size."""
        found: int | None = self._request(
            "size", name, lambda: len(self.objects[name]) if name in self.objects else None
        )
        return found

    def modified(self, name: str) -> float | None:
        """Return when an object was written."""
        found: float | None = self._request("size", name, lambda: self._written.get(name))
        return found

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, one request each."""
        for name in names:
            self._request("delete", name, partial(self.objects.pop, name, None))

    def names(self, folder: str) -> list[str]:
        """List what is right below a folder."""

        def act() -> list[str]:
            below = [name.removeprefix(f"{folder}/") for name in self.objects if name.startswith(f"{folder}/")]
            return sorted({each.partition("/")[0] for each in below})

        found: list[str] = self._request("list", folder, act)
        return found

    def sign(self, name: str, seconds: int) -> str | None:  # noqa: ARG002 - the same for every kind of store
        """Return ``None``."""
        return None

    def local_path(self, name: str) -> Path | None:  # noqa: ARG002 - the same for every kind of store
        """Return ``None``."""
        return None

    def _write(self, name: str, data: bytes) -> None:
        self.objects[name] = bytes(data)
        self._written[name] = self._clock()

    def _request(self, what: str, name: str, act: Callable[[], Any]) -> Any:
        def alone() -> Any:
            with self._lock:
                self.requests[what] += 1
                return act()

        return self.perform(what, name, alone)


def memory_store(backend: MemoryBackend | None = None) -> Store:
    """
    Return a store in memory.

    :param backend: its objects, to be looked at or shared; new ones without it
    """
    return Store("memory-backend:/mailbox", backend=MemoryBackend() if backend is None else backend)
