"""The object store of a mailbox: few operations, one of them exclusive, and every error a ``StorageError``."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import ConfigurationError, OsmosError, StorageError
from airflow_provider_osmosdest.core.mailbox.store.disk import Disk
from airflow_provider_osmosdest.core.mailbox.store.objects import Objects
from airflow_provider_osmosdest.core.mailbox.store.probe import probe
from airflow_provider_osmosdest.core.storage import is_local, private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from airflow_provider_osmosdest.core.mailbox.store.backend import Backend

__all__ = ["Store", "backend_of"]

_STREAM_CHUNK = 256 * 1024

# How often a create may be told "there is one" when there is none: S3 says so while another write is under way.
_CREATE_ATTEMPTS = 20

# What follows the question mark of a URL may be a signature.
_QUERY = re.compile(r"\?\S+")


class Store:
    """
    A mailbox's objects; names are below its root, with slashes.

    Every method raises :class:`StorageError` where the store cannot be reached or refuses.

    :param root: the mailbox's root: a ``pathlib.Path``, ``UPath`` or ``ObjectStoragePath``
    :param backend: its backend, where the path does not tell
    """

    def __init__(self, root: Any, *, backend: Backend | None = None) -> None:
        self.root = root
        self._backend = backend_of(root) if backend is None else backend

    @property
    def parallel(self) -> int:
        """How many reads at once are faster than one after the other."""
        return self._backend.parallel

    def probe(self) -> None:
        """
        Make sure that this store can hold a mailbox; free when repeated, and one request in another process.

        :raises UnsupportedStoreError: it cannot create exclusively; the message says what to use instead
        """
        with self._doing("try out", ""):
            probe(self._backend, str(self.root))

    def create(self, name: str, data: bytes) -> bool:
        """
        Create an object, unless there is one; one request where there is none.

        :param name: the object
        :param data: must differ between writers of whom only one may win: where the response to a request was lost, an
            object with these very bytes is taken for this writer's own
        :returns: whether it was created
        """
        return self.create_or_read(name, data) is None

    def create_once(self, name: str, data: bytes) -> bool:
        """
        Create an object, unless there is one; always one request.

        :param name: the object
        :param data: its bytes
        :returns: ``True`` only if this call created it; ``False`` also if it did so and the response was lost
        """
        with self._doing("create", name):
            return self._backend.create(name, data)

    def create_or_read(self, name: str, data: bytes) -> bytes | None:
        """
        Create an object, unless there is one with other bytes; return those then, and ``None`` when it was created.

        :param name: the object
        :param data: as in :meth:`create`
        """
        with self._doing("create", name):
            for _ in range(_CREATE_ATTEMPTS):
                if self._backend.create(name, data):
                    return None
                found = self._backend.get(name)
                if found is not None:
                    return None if found == data else found
        raise StorageError(
            f"the store said {_CREATE_ATTEMPTS} times that {self._place(name)} exists, and had none: something "
            "deletes it, or the store is not consistent. Try again"
        )

    def put(self, name: str, data: bytes) -> None:
        """Write an object, in place of one there may be; whole or not at all."""
        with self._doing("write", name):
            self._backend.put(name, data)

    def get(self, name: str) -> bytes | None:
        """Return an object, ``None`` where there is none; one request, answered by the store itself."""
        with self._doing("read", name):
            return self._backend.get(name)

    def get_range(self, name: str, start: int, stop: int) -> bytes | None:
        """Return the bytes of an object from ``start`` to before ``stop``, ``None`` where there is no object."""
        with self._doing("read", name):
            return self._backend.get(name, start, stop)

    def size(self, name: str) -> int | None:
        """Return an object's size in bytes, ``None`` where there is no object."""
        with self._doing("look at", name):
            return self._backend.size(name)

    def modified(self, name: str) -> float | None:
        """Return when an object was written, in seconds since the epoch; ``None`` where there is no object."""
        with self._doing("look at", name):
            return self._backend.modified(name)

    def stream(self, name: str, start: int = 0, stop: int | None = None, chunk: int = _STREAM_CHUNK) -> Iterator[bytes]:
        """
        Yield an object in pieces, in constant memory.

        :param name: the object
        :param start: the first byte
        :param stop: the byte to end before; ``None`` reads to the end
        :param chunk: bytes of a piece; each is one request
        :raises StorageError: also where there is no such object, or it ends early
        """
        end = self.size(name) if stop is None else stop
        while end is None or start < end:
            piece = None if end is None else self.get_range(name, start, min(start + chunk, end))
            if not piece:
                raise StorageError(f"{self._place(name)} is gone, or ends before byte {end}: it was deleted meanwhile")
            yield piece
            start += len(piece)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, where they exist."""
        with self._doing("delete from", ""):
            self._backend.delete(names)

    def names(self, folder: str) -> list[str]:
        """Return the base names of what is right below a folder now, sorted; never from a cache."""
        with self._doing("list", folder):
            return self._backend.names(folder)

    def sign(self, name: str, seconds: int) -> str | None:
        """Return a URL that opens an object for so many seconds; ``None`` where the store cannot sign."""
        return self._backend.sign(name, seconds)

    def local_path(self, name: str) -> Path | None:
        """Return the file an object is; ``None`` where the store is not a file system of this machine."""
        return self._backend.local_path(name)

    def _place(self, name: str) -> str:
        return f"{str(self.root).rstrip('/')}/{name}".rstrip("/")

    @contextmanager
    def _doing(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except OsmosError:
            raise
        # Each client library has its own tree of errors, and none has a root of its own.
        except Exception as error:
            advice = (
                "give the credentials the right to it (and to list: a store may refuse like this what is not there)"
                if isinstance(error, PermissionError)
                else "see that the store can be reached and has room, and try again"
            )
            found = _QUERY.sub("?...", str(error)) or "no reason given"
            raise StorageError(
                f"cannot {what} {self._place(name)}: {type(error).__name__}: {found}. What to do: {advice}"
            ) from error


def backend_of(root: Any) -> Backend:
    """
    Return the backend for a path.

    :param root: the path
    :raises ConfigurationError: the package that opens such paths is not installed
    """
    if is_local(root):
        return Disk(private(root))
    try:
        filesystem = root.fs
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"{root} cannot be opened: {error}. Install what Airflow needs for {root.protocol}://, such as the "
            "provider of that cloud, or the fsspec package"
        ) from error
    return Objects(filesystem, root.path)
