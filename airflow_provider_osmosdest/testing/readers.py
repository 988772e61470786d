# ruff: noqa: D102, PLR2004 - a test's name is its documentation, and its numbers are there to be read
"""
What every reader promises, as tests.

Subclass :class:`ReaderContract` for a format of your own::

    class TestFixedWidth(ReaderContract):
        format = Format("fixed", (".txt",), read_fixed)

        def encode(self, records):
            return ...

It needs pytest, and of pytest's fixtures only ``tmp_path``.
"""

from __future__ import annotations

import gzip
import tracemalloc
from abc import ABC, abstractmethod
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records import FORMATS, open_source
from airflow_provider_osmosdest.core.records.sampling import records_in
from airflow_provider_osmosdest.core.schema.validation.blocks import JsonLines, Rows

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from airflow_provider_osmosdest.core.records import Format, Source
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["ReaderContract", "records_of"]

_SAMPLE = (
    {"id": "0", "name": "plain", "note": "x"},
    {"id": "1", "name": "Zoë 東京 🚲", "note": 'a "quote", a comma'},
    {"id": "2", "name": "},{", "note": "]}, {[ \\ "},
    {"id": "3", "name": "two\nlines", "note": " edges "},
)


def records_of(source: Source) -> tuple[list[Any], SourceError | None]:
    """Read a source to its end or its fault; return its records, and the fault."""
    records: list[Any] = []
    try:
        for block in source.blocks():
            records.extend(records_in(block))
    except SourceError as e:
        return records, e
    return records, None


class ReaderContract(ABC):
    """The promises of a reader; a subclass names the format and how a file of it is written."""

    format: ClassVar[Format]
    """The format under test."""

    streams: ClassVar[bool] = True
    """The format can be read from front to end: its records come before all of the file has been read."""

    text: ClassVar[bool] = True
    """The format is text: a file without bytes holds no records, and a byte order mark is passed over."""

    @abstractmethod
    def encode(self, records: Iterable[dict[str, str]]) -> bytes:
        """Return a file of this format with ``records``, whose values are all strings."""

    def broken(self, data: bytes) -> bytes:
        """Return a written file as it is when it breaks off in its last record; by default 3 bytes short."""
        return data[:-3]

    def path(self, folder: Path, data: bytes, ending: str = "") -> Path:
        """Write a file named for its format and return its path."""
        path = folder / f"records{self.format.suffixes[0]}{ending}"
        path.write_bytes(data)
        return path

    def open(self, path: Any, records_format: str | None = None) -> Source:
        """Open a path with the format under test among the formats there are."""
        formats = {**FORMATS, self.format.name: self.format}
        return open_source(path, records_format=records_format, formats=formats)

    def numbered(self, count: int) -> Iterator[dict[str, str]]:
        """Yield records that are all different and about 300 bytes long."""
        return ({"id": str(n), "name": f"name {n}", "note": f"{n:09d}" * 30} for n in range(count))

    def test_reads_what_was_written(self, tmp_path: Path) -> None:
        source = self.open(self.path(tmp_path, self.encode(_SAMPLE)))
        assert records_of(source) == (list(_SAMPLE), None)
        assert source.format == self.format.name
        assert self.format.name in source.description

    def test_keeps_the_order_over_many_blocks(self, tmp_path: Path) -> None:
        written = list(self.numbered(5_000))
        source = self.open(self.path(tmp_path, self.encode(written)))
        blocks = list(source.blocks())
        assert [record for block in blocks for record in records_in(block)] == written
        assert len(blocks) > 1

    def test_blocks_are_small(self, tmp_path: Path) -> None:
        for block in self.open(self.path(tmp_path, self.encode(self.numbered(5_000)))).blocks():
            size = len(block.rows) if isinstance(block, Rows) else len(block.data)
            assert size <= (1_000 if isinstance(block, Rows) else 1024 * 1024)

    def test_every_block_of_lines_holds_whole_lines(self, tmp_path: Path) -> None:
        source = self.open(self.path(tmp_path, self.encode(self.numbered(5_000))))
        lines = [block.data for block in source.blocks() if isinstance(block, JsonLines)]
        assert all(data.endswith(b"\n") for data in lines[:-1])

    def test_progress_goes_from_nothing_to_all(self, tmp_path: Path) -> None:
        source = self.open(self.path(tmp_path, self.encode(self.numbered(5_000))))
        assert source.progress == 0.0
        seen = [source.progress or 0.0 for _ in source.blocks()]
        assert seen == sorted(seen)
        assert source.progress == 1.0

    @pytest.mark.parametrize("ending", [".gz", ""])
    def test_reads_gzip_whatever_its_name(self, tmp_path: Path, ending: str) -> None:
        path = self.path(tmp_path, gzip.compress(self.encode(_SAMPLE)), ending)
        assert records_of(self.open(path)) == (list(_SAMPLE), None)

    def test_reads_gzip_of_several_members(self, tmp_path: Path) -> None:
        data = self.encode(_SAMPLE)
        members = gzip.compress(data[:40]) + gzip.compress(b"") + gzip.compress(data[40:])
        assert records_of(self.open(self.path(tmp_path, members, ".gz"))) == (list(_SAMPLE), None)

    def test_the_format_can_be_named(self, tmp_path: Path) -> None:
        path = tmp_path / "no_suffix"
        path.write_bytes(self.encode(_SAMPLE))
        assert records_of(self.open(path, self.format.name)) == (list(_SAMPLE), None)

    def test_no_records_are_no_fault(self, tmp_path: Path) -> None:
        assert records_of(self.open(self.path(tmp_path, self.encode([])))) == ([], None)

    def test_a_file_without_bytes(self, tmp_path: Path) -> None:
        records, fault = records_of(self.open(self.path(tmp_path, b"")))
        assert records == []
        assert (fault is None) == self.text

    def test_a_byte_order_mark_is_passed_over(self, tmp_path: Path) -> None:
        if not self.text:
            pytest.skip("not a text format")
        path = self.path(tmp_path, b"\xef\xbb\xbf" + self.encode(_SAMPLE))
        assert records_of(self.open(path)) == (list(_SAMPLE), None)

    def test_a_file_that_breaks_off(self, tmp_path: Path) -> None:
        written = list(self.numbered(3_000))
        path = self.path(tmp_path, self.broken(self.encode(written)))
        records, fault = records_of(self.open(path))
        assert fault is not None
        assert str(path) in str(fault)
        assert records == (written[:-1] if self.streams else [])

    def test_gzip_that_breaks_off(self, tmp_path: Path) -> None:
        written = list(self.numbered(3_000))
        path = self.path(tmp_path, gzip.compress(self.encode(written), mtime=0)[:-2_000], ".gz")
        records, fault = records_of(self.open(path))
        assert fault is not None
        assert "gzip" in str(fault)
        assert str(path) in str(fault)
        assert records == written[: len(records)]
        assert (len(records) > 1_000) == self.streams

    def test_a_page_in_place_of_the_data(self, tmp_path: Path) -> None:
        records, fault = records_of(self.open(self.path(tmp_path, b"\n<!DOCTYPE html>\n<html><body>Log in</body>")))
        assert records == []
        assert "HTML" in str(fault)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        path = tmp_path / f"missing{self.format.suffixes[0]}"
        with pytest.raises(SourceError, match="no such file"):
            self.open(path)

    def test_reads_from_object_storage(self, tmp_path: Path) -> None:
        from airflow.sdk import ObjectStoragePath

        written = list(self.numbered(5_000))
        path = ObjectStoragePath(self.path(tmp_path, self.encode(written)).as_uri())
        source = self.open(path)
        assert source.fingerprint is not None
        assert records_of(source) == (written, None)
        assert source.progress == 1.0
        assert records_of(self.open(path.parent / f"*{self.format.suffixes[0]}")) == (written, None)
        assert records_of(self.open(path.parent)) == (written, None)

    def test_a_store_that_fails_midway(self, tmp_path: Path) -> None:
        path = self.path(tmp_path, self.encode(self.numbered(5_000)))
        records, fault = records_of(self.open(_FailingPath(path, after=1_000_000 if self.streams else 1_000)))
        assert "the line is dead" in str(fault)
        assert records == list(self.numbered(len(records)))
        assert bool(records) == self.streams

    def test_several_files_are_read_in_order(self, tmp_path: Path) -> None:
        written = list(self.numbered(30))
        for part in (2, 0, 1):
            path = tmp_path / f"part-{part}{self.format.suffixes[0]}"
            path.write_bytes(self.encode(written[part * 10 : part * 10 + 10]))
        (tmp_path / "_SUCCESS").touch()
        pattern = tmp_path / f"part-*{self.format.suffixes[0]}"
        assert records_of(self.open(pattern)) == (written, None)
        assert records_of(self.open(tmp_path)) == (written, None)

    def test_the_fingerprint_tells_contents_apart(self, tmp_path: Path) -> None:
        path = self.path(tmp_path, self.encode(self.numbered(3)))
        before = self.open(path).fingerprint
        assert before is not None
        assert self.open(path).fingerprint == before
        path.write_bytes(self.encode(self.numbered(4)))
        assert self.open(path).fingerprint != before

    def test_stopping_early_closes_the_file(self, tmp_path: Path) -> None:
        path = _FailingPath(self.path(tmp_path, self.encode(self.numbered(5_000))))
        with closing(cast("Generator[Block]", self.open(path).blocks())) as blocks:
            next(blocks)
        assert [file.closed for file in path.opened] == [True] * len(path.opened)

    def test_memory_does_not_grow_with_the_file(self, tmp_path: Path) -> None:
        if not self.streams:
            pytest.skip("the format is read as a whole")
        data = self.encode(self.numbered(40_000))
        path = self.path(tmp_path, data)
        source = self.open(path)
        del data
        tracemalloc.start()
        try:
            for _ in source.blocks():
                pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < path.stat().st_size / 2


class _FailingPath:
    """A path whose files stop answering after some bytes, and which remembers what it opened."""

    def __init__(self, path: Path, after: int | None = None) -> None:
        self._path = path
        self._after = after
        self.opened: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._path, name)

    def __str__(self) -> str:
        return str(self._path)

    def open(self, mode: str) -> Any:
        file = _FailingFile(self._path.open(mode), self._after)
        self.opened.append(file)
        return file


class _FailingFile:
    def __init__(self, file: Any, after: int | None) -> None:
        self._file = file
        self._left = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        if self._left is None:
            return cast("bytes", self._file.read(size))
        data = cast("bytes", self._file.read(size))
        self._left -= len(data)
        if self._left < 0:
            raise OSError("the line is dead")
        return data
