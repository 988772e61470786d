"""The ledger as a file in the delivery's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.storage import is_local, write_whole

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["FolderLedgerStore", "MemoryLedgerStore"]

_NAME = "ledger.json"
_HOLDER = "attempt"
"""The file with the id of the attempt that goes on with the delivery."""


class FolderLedgerStore:
    """
    Keep a ledger as ``ledger.json``, or another document that is replaced whole.

    :param folder: the delivery's folder
    :param name: of the file
    """

    def __init__(self, folder: Folder, name: str = _NAME) -> None:
        self._folder = folder
        self._path: Any = folder / name
        self._made = False

    @property
    def is_local(self) -> bool:
        """Whether it is a local file, which is fast to write."""
        return is_local(self._path)

    def load(self) -> bytes | None:
        """Return the document, ``None`` if there is none."""
        return self._read(self._path)

    def save(self, document: bytes, *, last: bool = False) -> None:  # noqa: ARG002 - the protocol's signature
        """Replace the document."""
        self._write(self._path, document)

    def claim(self, attempt: str) -> None:
        """Let an attempt take over the delivery."""
        self._write(self._folder / _HOLDER, attempt.encode())

    def holder(self) -> str | None:
        """Return the id of the attempt that claimed the delivery last."""
        content = self._read(self._folder / _HOLDER)
        return None if content is None else content.decode(errors="replace")

    def _read(self, path: Any) -> bytes | None:
        try:
            with path.open("rb") as file:
                content: bytes = file.read()
        except FileNotFoundError:
            return None
        # The clients of object stores have trees of errors of their own.
        except Exception as error:
            raise _failed(path, "read", error) from error
        return content

    def _write(self, path: Any, content: bytes) -> None:
        try:
            if not self._made:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._made = True
            write_whole(path, content)
        except Exception as error:
            raise _failed(path, "written", error) from error


def _failed(path: Any, what: str, error: Exception) -> StorageError:
    return StorageError(
        f"the ledger {path} cannot be {what}: {error}. Without it a retry would send records twice; mend "
        "the storage ([osmosdest] storage_path), then try again."
    )


class MemoryLedgerStore:
    """Keep a ledger in memory: for deliveries that are not retried."""

    def __init__(self) -> None:
        self.document: bytes | None = None
        self.attempt: str | None = None

    def load(self) -> bytes | None:
        """Return the document, ``None`` if there is none."""
        return self.document

    def save(self, document: bytes, *, last: bool = False) -> None:  # noqa: ARG002 - the protocol's signature
        """Replace the document."""
        self.document = document

    def claim(self, attempt: str) -> None:
        """Let an attempt take over the delivery."""
        self.attempt = attempt

    def holder(self) -> str | None:
        """Return the id of the attempt that claimed the delivery last."""
        return self.attempt
