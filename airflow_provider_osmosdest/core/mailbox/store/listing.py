"""List a folder of a mailbox with sizes and ages, for purges and people; reading does not need it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Listed", "listing"]

# What the file systems of fsspec call it: s3fs, adlfs, gcsfs, and the local and most other ones.
_MODIFIED = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")


@dataclass(frozen=True, slots=True)
class Listed:
    """
    One object.

    :param size: in bytes
    :param modified: when it was last written; ``None`` where the store does not tell
    """

    size: int
    modified: datetime | None

    def before(self, cutoff: datetime) -> bool:
        """Tell whether it was surely written before a time."""
        return self.modified is not None and self.modified < cutoff


def listing(root: Any, folder: str) -> dict[str, Listed]:
    """
    List the objects right below a folder, as they are now: one request for each thousand or so.

    :param root: the mailbox's root, a path of ``pathlib`` or ``upath``
    :param folder: below the root
    :return: by name; nothing for a folder that is not there
    """
    try:
        return _on_disk(root / folder) if isinstance(root, Path) else _in_store(root / folder)
    except FileNotFoundError:
        return {}


def _on_disk(folder: Path) -> dict[str, Listed]:
    found = {}
    with os.scandir(folder) as entries:
        for each in entries:
            if each.is_file(follow_symlinks=False):
                stat = each.stat(follow_symlinks=False)
                found[each.name] = Listed(stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))
    return found


def _in_store(folder: Any) -> dict[str, Listed]:
    folder.fs.invalidate_cache(folder.path)
    found = {}
    for each in folder.fs.ls(folder.path, detail=True):
        if each["type"] == "file":
            modified = next((each[key] for key in _MODIFIED if each.get(key)), None)
            found[each["name"].rpartition("/")[2]] = Listed(int(each["size"] or 0), _time(modified))
    return found


def _time(value: Any) -> datetime | None:
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
