"""The ledger as a file in the delivery's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.storage import is_local, write_whole

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.failures import Folder

__all__ = ["FolderLedgerStore", "MemoryLedgerStore"]

_NAME = "ledger.json"


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
        """Whether it is a file of this machine's, which is written in no time."""
        return is_local(self._path)

    def load(self) -> bytes | None:
        """Return the document, ``None`` if there is none."""
        try:
            with self._path.open("rb") as file:
                content: bytes = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", error) from error
        return content

    def save(self, document: bytes, *, last: bool = False) -> None:  # noqa: ARG002 - the protocol's signature
        """Replace the document."""
        try:
            if not self._made:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._made = True
            write_whole(self._path, document)
        except OSError as error:
            raise self._failed("written", error) from error

    def _failed(self, what: str, error: OSError) -> StorageError:
        return StorageError(
            f"the ledger {self._path} cannot be {what}: {error}. Without it a retry would send records twice; mend "
            "the storage ([osmosdest] storage_path), then retry the task."
        )


class MemoryLedgerStore:
    """Keep a ledger for as long as the process lives: for deliveries that nobody retries."""

    def __init__(self) -> None:
        self.document: bytes | None = None

    def load(self) -> bytes | None:
        """Return the document, ``None`` if there is none."""
        return self.document

    def save(self, document: bytes, *, last: bool = False) -> None:  # noqa: ARG002 - the protocol's signature
        """Replace the document."""
        self.document = document
