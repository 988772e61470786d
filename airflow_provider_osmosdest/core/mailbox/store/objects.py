"""
A mailbox in an object store, through its fsspec file system.

Only stores that are known to decide on their own side whether an object exists: S3 and what speaks its protocol
(``If-None-Match: *``), Google Cloud Storage (``ifGenerationMatch=0``) and Azure (``If-None-Match: *``). Most other
fsspec file systems look first and write then, so that two writers may both succeed.

The clients repeat requests by themselves, and a repeated one may find the object of the first. So "it exists" may mean
"it is mine": :meth:`Store.create_or_read` reads it to find out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Objects"]

_S3 = frozenset({"s3", "s3a"})
_EXCLUSIVE = _S3 | {"abfs", "abfss", "adl", "az", "gcs", "gs"}

# Another writer has written the object, or is about to: RFC 9110, 15.5.13, and S3's ConditionalRequestConflict.
_CONFLICTS = frozenset({409, 412})


class Objects:
    """
    A prefix in a bucket or container.

    :param filesystem: fsspec's
    :param root: the mailbox's prefix, as that file system names it
    """

    parallel = 8

    def __init__(self, filesystem: Any, root: str) -> None:
        self._fs = _without_listing_cache(filesystem)
        self._root = root.rstrip("/")
        protocol = filesystem.protocol
        self._protocols = {protocol} if isinstance(protocol, str) else set(protocol)
        # With more than one connection s3fs asks for the size first, which doubles the requests of a small read.
        self._reading = {"max_concurrency": 1} if self._protocols & _S3 else {}

    @property
    def identity(self) -> str:
        """A text that identifies this prefix."""
        return f"{hash(self._fs)} {self._root}"

    def unsuitable(self) -> str | None:
        """Return why this kind of store cannot hold a mailbox, or ``None`` where it can."""
        if self._protocols & _EXCLUSIVE:
            return None
        return (
            f"fsspec's {'/'.join(sorted(self._protocols))} file system ({type(self._fs).__name__}) is not known to "
            "create an object exclusively: it looks whether there is one and writes then"
        )

    def tidy(self) -> None:
        """Do nothing: an object appears whole or not at all."""

    def create(self, name: str, data: bytes) -> bool:
        """Create an object; ``False`` where there is one, or another writer is about to."""
        try:
            self._fs.pipe_file(self._path(name), data, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            if any(status in _CONFLICTS for status in _statuses(error)):
                return False
            raise
        return True

    def put(self, name: str, data: bytes) -> None:
        """Write an object, in place of one there may be."""
        self._fs.pipe_file(self._path(name), data)

    def get(self, name: str, start: int | None = None, stop: int | None = None) -> bytes | None:
        """Return an object, or its bytes from ``start`` to before ``stop``; ``None`` where there is none."""
        try:
            return bytes(self._fs.cat_file(self._path(name), start=start, end=stop, **self._reading))
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int | None:
        """Return an object's size in bytes; ``None`` where there is none."""
        found = self._info(name)
        return None if found is None else int(found["size"])

    def modified(self, name: str) -> float | None:
        """Return when an object was written, in seconds since the epoch; ``None`` where there is none."""
        return None if self._info(name) is None else float(self._fs.modified(self._path(name)).timestamp())

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, where they exist."""
        for name in names:
            try:
                self._fs.rm_file(self._path(name))
            except FileNotFoundError:
                continue

    def names(self, folder: str) -> list[str]:
        """List what is right below a folder."""
        try:
            found = self._fs.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(each.rstrip("/").rpartition("/")[2] for each in found)

    def sign(self, name: str, seconds: int) -> str | None:
        """Return a URL that opens an object for a while; ``None`` where these credentials cannot sign."""
        try:
            return str(self._fs.sign(self._path(name), expiration=seconds))
        except Exception:  # noqa: BLE001 - each store has its own way to say that it cannot, and streaming always can
            return None

    def local_path(self, name: str) -> Path | None:  # noqa: ARG002 - the same for every kind of store
        """Return ``None``: an object is no file."""
        return None

    def _info(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._fs.info(self._path(name))
        except FileNotFoundError:
            return None
        return found if found.get("type") == "file" else None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _without_listing_cache(filesystem: Any) -> Any:
    """Return a file system like this one without a listing cache; the one given may be shared, and is left alone."""
    options = {**filesystem.storage_options, "use_listings_cache": False}
    return type(filesystem)(*filesystem.storage_args, **options)


def _statuses(error: BaseException | None) -> Iterator[object]:
    """Yield the HTTP statuses that an error, or what it was raised from, tells of."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):  # botocore's
            yield response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        yield getattr(error, "status_code", None)  # azure-core's
        yield getattr(error, "code", None)  # gcsfs's
        error = error.__cause__
