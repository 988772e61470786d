"""The interface between a mailbox and disks or object stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Backend"]


class Backend(Protocol):
    """
    The operations of one kind of store, with its own exceptions.

    Names are below the mailbox's root, with slashes. :class:`Disk` and :class:`Objects` implement it.
    """

    parallel: int
    """How many reads at once are faster than one after the other."""

    @property
    def identity(self) -> str:
        """A text that identifies this root."""

    def unsuitable(self) -> str | None:
        """Return why this kind of store cannot hold a mailbox; ``None`` where it has to be tried out."""

    def tidy(self) -> None:
        """Remove the partial files of killed writers."""

    def create(self, name: str, data: bytes) -> bool:
        """Create an object whole and durably; ``False`` where there is one, perhaps of this very call."""

    def put(self, name: str, data: bytes) -> None:
        """Write an object whole and durably, in place of one there may be."""

    def get(self, name: str, start: int | None = None, stop: int | None = None) -> bytes | None:
        """Return an object or a part of it, in one request; ``None`` where there is none."""

    def size(self, name: str) -> int | None:
        """Return an object's size; ``None`` where there is none."""

    def modified(self, name: str) -> float | None:
        """Return when an object was written, in seconds since the epoch; ``None`` where there is none."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, where they exist."""

    def names(self, folder: str) -> list[str]:
        """List what is right below a folder, now."""

    def sign(self, name: str, seconds: int) -> str | None:
        """Return a URL that opens an object for a while; ``None`` where there is none."""

    def local_path(self, name: str) -> Path | None:
        """Return the file an object is; ``None`` where it is none."""
