"""Writing an object so that a crash leaves it whole or not there, on a disk as in an object store."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["is_local", "write_whole"]


def is_local(path: Any) -> bool:
    """Tell whether a path object, of ``pathlib`` or like ``ObjectStoragePath``, is a file of this machine's."""
    return getattr(path, "protocol", "") in ("", "file", "local")


def write_whole(path: Any, content: bytes) -> None:
    """
    Write an object, in place of one there may be; its folder must be there.

    A file that is overwritten in place can be cut short by a crash, so it is written beside and renamed.

    :param path: a path object, of ``pathlib`` or like ``ObjectStoragePath``
    :raises OSError: when it cannot be written
    """
    if not is_local(path):
        # An object appears whole, when it is closed.
        with path.open("wb") as file:
            file.write(content)
        return
    target = os.fspath(getattr(path, "path", path))
    # Not a name that a listing would take for the object.
    beside = f"{target}.new"
    # Buffered, as that writes on where the system call takes a part only.
    with open(beside, "wb") as file:  # noqa: PTH123 - a path of the operating system, not an object
        file.write(content)
    os.replace(beside, target)  # noqa: PTH105 - likewise
