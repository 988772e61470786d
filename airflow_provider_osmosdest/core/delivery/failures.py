"""
The failures file: one line for each record that was not delivered, fit to be delivered again.

A line is ``{"index", "outcome", "status", "error", "attempts", "record"}``. An object store cannot append, so the file
comes in parts, ``failures-00000.ndjson`` and on; most deliveries need one.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any, Protocol

from airflow_provider_osmosdest.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FailuresFile", "Folder"]

_PART_BYTES = 256 * 1024 * 1024
_BUFFER_BYTES = 256 * 1024


class Folder(Protocol):
    """What a delivery's folder must be able to do: the part of ``ObjectStoragePath`` and ``Path`` that is used."""

    def __truediv__(self, name: str) -> Any:
        """Return the path of something in the folder."""

    def mkdir(self, *, parents: bool, exist_ok: bool) -> Any:
        """Make the folder."""


class FailuresFile:
    """
    Write failure records; nothing is made in storage before there is one.

    :param folder: the delivery's folder
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._parts: list[str] = []
        self._file: IO[bytes] | None = None
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._written = 0

    def write(
        self,
        outcome: str,
        records: Iterable[tuple[int, bytes]],
        *,
        status: int | None,
        error: str,
        attempts: int,
    ) -> int:
        """
        Write records that share one fate.

        :param records: index and JSON of each
        :return: how many there were
        :raises StorageError: when the folder cannot be written
        """
        middle = (
            f',"outcome":"{outcome}","status":{json.dumps(status)},'
            f'"error":{json.dumps(error, ensure_ascii=False)},"attempts":{attempts},"record":'
        ).encode(errors="replace")
        count = 0
        for index, record in records:
            line = b'{"index":%d%s%s}\n' % (index, middle, record)
            self._buffer.append(line)
            self._buffered += len(line)
            count += 1
            if self._buffered >= _BUFFER_BYTES:
                self._drain()
        return count

    def close(self) -> None:
        """Make everything written durable."""
        self._drain()
        self._end_part()

    @property
    def path(self) -> str | None:
        """The path of the file, with ``*`` for the numbers where there are several parts; ``None`` for no failures."""
        if not self._parts:
            return None
        name = self._parts[0] if len(self._parts) == 1 else "failures-*.ndjson"
        return str(self._folder / name)

    def _drain(self) -> None:
        if not self._buffer:
            return
        try:
            if self._file is None:
                name = f"failures-{len(self._parts):05d}.ndjson"
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = (self._folder / name).open("wb")
                self._parts.append(name)
            self._file.write(b"".join(self._buffer))
        except OSError as error:
            raise self._failed(error) from error
        self._written += self._buffered
        self._buffer, self._buffered = [], 0
        if self._written >= _PART_BYTES:
            self._end_part()

    def _end_part(self) -> None:
        file, self._file, self._written = self._file, None, 0
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise self._failed(error) from error

    def _failed(self, error: OSError) -> StorageError:
        return StorageError(
            f"the failures file in {self._folder} cannot be written: {error}. Free space or mend access there "
            "([osmosdest] storage_path), then retry the task."
        )
