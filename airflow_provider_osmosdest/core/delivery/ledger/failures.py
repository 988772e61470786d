"""
The failures file: one line for each record that was not delivered, fit to be delivered again.

A line is ``{"index", "outcome", "status", "error", "attempts", "record"}``. An invalid record's has ``"textual": true``
where it comes from a format without types, or ``"as_sent": true`` where it stands as it would have been sent; that of a
row of a sheet has ``"row"``, and that of one that had failed before ``"first_index"`` and ``"first_error"``.
An object store cannot append, so the file comes in parts; most deliveries end with one.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.schema.validation.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from airflow_provider_osmosdest.core.storage import Folder

__all__ = [
    "FAILURES_PATTERN",
    "Failure",
    "FailuresFile",
    "RecordForm",
    "check_parts",
    "failed_indexes",
    "fold_parts",
    "index_of",
    "lines_of",
    "missing_part",
    "remove_parts",
]

RecordForm = Literal["source", "textual", "as_sent"]
"""How an invalid record stands in its failure record: as in the source, the same without types, or as it is sent."""

FAILURES_PATTERN = "failures-*.ndjson"
"""What the names of all parts match."""

_PART_BYTES = 256 * 1024 * 1024
_BUFFER_BYTES = 256 * 1024
_FOLD_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Failure:
    """
    Why records were not delivered.

    :param outcome: what became of them
    :param error: why
    :param status: of the answer that said so, ``None`` where there was none
    :param attempts: requests that their chunk took
    """

    outcome: str
    error: str
    status: int | None = None
    attempts: int = 0


class FailuresFile:
    """
    Write failure records; nothing is made in storage before there is one.

    :param folder: the delivery's folder
    :param prefix: what the names of its parts begin with
    :param parts: names of parts that are there already and stay
    :param origin: returns further fields for the record with an index, as the end of a JSON object
    """

    def __init__(
        self,
        folder: Folder,
        *,
        prefix: str = "failures-",
        parts: Iterable[str] = (),
        origin: Callable[[int], bytes] | None = None,
    ) -> None:
        self._folder = folder
        self._origin = origin or _nothing
        self._prefix = prefix
        self.parts = list(parts)
        self._number = 1 + max((_number(name) for name in self.parts), default=-1)
        self._file: IO[bytes] | None = None
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._written = 0

    def write(self, failure: Failure, records: Iterable[tuple[int, bytes]]) -> list[int]:
        """
        Write records that were not delivered for the same reason; they are durable after :meth:`close`.

        :param failure: the reason
        :param records: index and JSON of each
        :return: their indexes
        :raises StorageError: when the folder cannot be written
        """
        middle = b',"outcome":"%s","status":%s,"error":%s,"attempts":%d,"record":' % (
            failure.outcome.encode(),
            encode(failure.status),
            _encoded(failure.error),
            failure.attempts,
        )
        indexes: list[int] = []
        for index, record in records:
            self._keep(b'{"index":%d%s%s%s}\n' % (index, middle, record, self._origin(index)))
            indexes.append(index)
        return indexes

    def write_each(self, outcome: str, records: Iterable[tuple[int, str, bytes]], form: RecordForm = "source") -> None:
        """
        Write records that were never sent, each for its own reason; they are durable after :meth:`close`.

        :param records: index, error and JSON of each, a block's at most
        :param form: of their JSON
        :raises StorageError: when the folder cannot be written
        """
        before = b',"outcome":"%s","status":null,"error":' % outcome.encode()
        mark = b"" if form == "source" else b',"%s":true' % form.encode()
        origin = self._origin
        lines = [
            b'{"index":%d%s%s,"attempts":0,"record":%s%s%s}\n'
            % (index, before, _encoded(error), record, mark, origin(index))
            for index, error, record in records
        ]
        if lines:
            self._keep(b"".join(lines))

    def _keep(self, lines: bytes) -> None:
        self._buffer.append(lines)
        self._buffered += len(lines)
        if self._buffered >= _BUFFER_BYTES:
            self._drain()

    def close(self) -> None:
        """Make everything written durable; more may be written after, into another part."""
        self._drain()
        self._end_part()

    def _drain(self) -> None:
        if not self._buffer:
            return
        try:
            if self._file is None:
                name = f"{self._prefix}{self._number:05d}.ndjson"
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = (self._folder / name).open("wb")
                self._number += 1
                self.parts.append(name)
            self._file.write(b"".join(self._buffer))
        except Exception as error:
            if self._file is not None:
                with suppress(OSError):
                    self._file.close()
            raise _unwritable(self._folder, error) from error
        self._written += self._buffered
        self._buffer, self._buffered = [], 0
        if self._written >= _PART_BYTES:
            self._end_part()

    def _end_part(self) -> None:
        file, self._file, self._written = self._file, None, 0
        if file is not None:
            try:
                file.close()
            except Exception as error:
                raise _unwritable(self._folder, error) from error


def check_parts(folder: Folder, parts: Iterable[str]) -> None:
    """
    Make sure that the parts an earlier attempt wrote are there still.

    :raises StorageError: when one is gone: its records are settled, and which they are stands nowhere else
    """
    if part := missing_part(folder, parts):
        raise StorageError(
            f"{folder / part} is gone, which an earlier attempt of this delivery wrote its failures to. Restore it; or "
            "begin anew with 'airflow osmosdest delivery forget', after which all is sent again under the same keys."
        )


def missing_part(folder: Folder, parts: Iterable[str]) -> str | None:
    """
    Return the first of some parts that is not there, ``None`` where all are.

    :raises StorageError: when the folder cannot be read
    """
    for part in parts:
        try:
            (folder / part).stat()
        except FileNotFoundError:
            return part
        except Exception as error:
            raise _unwritable(folder, error) from error
    return None


def failed_indexes(folder: Folder, parts: Iterable[str]) -> Iterator[int]:
    """
    Return the indexes of the records in parts of a failures file.

    :raises StorageError: when one cannot be read
    """
    return map(index_of, lines_of(folder, parts))


def lines_of(folder: Folder, parts: Iterable[str]) -> Iterator[bytes]:
    """
    Yield the lines of parts of a failures file.

    :raises StorageError: when one cannot be read
    """
    names = list(parts)
    check_parts(folder, names)
    for part in names:
        try:
            with (folder / part).open("rb") as file:
                yield from file
        except Exception as error:
            raise _unwritable(folder, error) from error


def fold_parts(folder: Folder, parts: Collection[str], name: str) -> bool:
    """
    Write several parts as one, its lines in the order of their indexes.

    The parts stay; the caller names the new one before it removes them.

    :param name: of the new part
    :return: whether it was done: parts of more than 64 MB together stay as they are
    :raises StorageError: when the folder cannot be read or written
    """
    try:
        lines: list[bytes] = []
        size = 0
        for part in parts:
            size += (folder / part).stat().st_size
            if size > _FOLD_BYTES:
                return False
            with (folder / part).open("rb") as file:
                lines += file.read().splitlines(keepends=True)
        lines.sort(key=index_of)
        with (folder / name).open("wb") as file:
            file.write(b"".join(lines))
    except Exception as error:
        raise _unwritable(folder, error) from error
    return True


def remove_parts(folder: Folder, keep: Collection[str]) -> None:
    """
    Remove the parts that are not to be kept: the records in them are not settled.

    :raises StorageError: when the folder cannot be written
    """
    try:
        for path in list(folder.glob(FAILURES_PATTERN)):
            if path.name not in keep:
                path.unlink()
    except FileNotFoundError:
        return
    except Exception as error:
        raise _unwritable(folder, error) from error


def _nothing(_index: int) -> bytes:
    return b""


def _encoded(error: str) -> bytes:
    try:
        return encode(error)
    except UnicodeEncodeError:
        # A lone surrogate, out of an exception's text.
        return encode(error.encode(errors="replace").decode())


def _number(name: str) -> int:
    digits = name.rpartition("-")[2].partition(".")[0]
    return int(digits) if digits.isdigit() else -1


def index_of(line: bytes) -> int:
    """Return the index of the record that a line of a failures file is about."""
    # {"index":123,"outcome":…
    return int(line[9 : line.index(b",")])


def _unwritable(folder: Folder, error: Exception) -> StorageError:
    return StorageError(
        f"the failures file in {folder} cannot be written: {error}. Free space or mend access there "
        "([osmosdest] storage_path), then try again."
    )
