"""The folder of seen keys, and objects in it that are written whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.storage import write_whole

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["matching", "remove", "unusable", "write"]


def matching(folder: Folder, pattern: str) -> list[Any]:
    """
    Return the paths in a folder whose names match, by name.

    :raises StorageError: when it cannot be listed
    """
    # The process caches listings of object stores; other processes write here, too.
    forget = getattr(getattr(folder, "fs", None), "invalidate_cache", None)
    if forget is not None:
        forget()
    try:
        return sorted(folder.glob(pattern), key=lambda path: str(path.name))
    except FileNotFoundError:
        return []
    except Exception as error:
        raise unusable(folder, error) from error


def write(folder: Folder, name: str, content: bytes) -> None:
    """
    Write an object of a folder; after a crash it is there whole, or not there.

    :raises StorageError: when it cannot be written
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, content)
    except Exception as error:
        raise unusable(folder, error) from error


def remove(path: Any) -> None:
    """
    Remove an object, if it is there.

    :raises StorageError: when it cannot be removed
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except Exception as error:
        raise unusable(path, error) from error


def unusable(where: Any, error: Exception) -> StorageError:
    """Return the error for storage that fails."""
    return StorageError(
        f"what was delivered before is kept in {where}, which cannot be used: {error}. Without it records would be "
        "sent twice; mend the storage ([osmosdest] storage_path), then try again."
    )
