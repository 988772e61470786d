"""The modes of what a test has had written."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["modes_below", "umask"]


@contextmanager
def umask(bits: int) -> Iterator[None]:
    """Run with another umask; 0 takes nothing away from the modes that are asked for."""
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)


def modes_below(folder: Any) -> dict[str, set[str]]:
    """Return the modes of the files and of the folders below a folder, which must have some of both, in octal."""
    found: dict[str, set[str]] = {"files": set(), "folders": set()}
    for path in Path(str(folder)).rglob("*"):
        found["folders" if path.is_dir() else "files"].add(f"{stat.S_IMODE(path.stat().st_mode):04o}")
    return found
