"""Try out once whether a store can hold a mailbox; remembered in the process and in the store."""

from __future__ import annotations

import errno
import json
import uuid
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import UnsupportedStoreError

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.store.backend import Backend

__all__ = ["PROBED_NAME", "probe"]

PROBED_NAME = "probed.json"
"""The object that says that the store was tried out."""

_INSTEAD = (
    "Use a folder on a local disk or NFS (file://), Amazon S3 or a store with its conditional writes (s3://), "
    "Google Cloud Storage (gs://) or Azure Blob Storage (abfs://) as the mailbox's path"
)

_probed: set[str] = set()
_lock = Lock()


def probe(backend: Backend, place: str) -> None:
    """
    Make sure that a store creates exclusively.

    :param backend: the store
    :param place: its path, for the message
    :raises UnsupportedStoreError: it does not
    """
    reason = backend.unsuitable()
    if reason is not None:
        raise UnsupportedStoreError(_message(place, reason))
    with _lock:
        if backend.identity in _probed:
            return
    backend.tidy()
    if backend.get(PROBED_NAME) is None:
        reason = _try_out(backend)
        if reason is not None:
            raise UnsupportedStoreError(_message(place, reason))
        backend.put(PROBED_NAME, json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds")}).encode())
    with _lock:
        _probed.add(backend.identity)


def _try_out(backend: Backend) -> str | None:
    """Create the same object twice; return what went wrong, or ``None``."""
    name = f"probe/{uuid.uuid4().hex}"
    one, other = b'{"try":1}', b'{"try":2}'
    try:
        try:
            created = backend.create(name, one)
            again = backend.create(name, other)
        except (OSError, TypeError, ValueError, NotImplementedError) as error:
            if isinstance(error, OSError) and not _cannot(error):
                raise
            return f"it cannot create an object exclusively ({type(error).__name__}: {error})"
        found = backend.get(name)
        if not created and found != one:
            return "it said that a new object exists already"
        if again or found != one:
            return "it created an object that was there already, so two writers would overwrite each other"
        return None
    finally:
        backend.delete([name])


def _cannot(error: OSError) -> bool:
    """Tell whether the store lacks an operation, and is not just out of order."""
    return error.errno in {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV, errno.EMLINK}


def _message(place: str, reason: str) -> str:
    return (
        f"{place} cannot hold a mailbox: {reason}. A mailbox needs a store that creates an object only if there is "
        f"none, and decides that itself, so that writers at the same moment cannot both succeed. {_INSTEAD}"
    )
