"""Read CSV and TSV: rows of text under a header."""

from __future__ import annotations

import csv
import re
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.readers.csv_plain import is_plain, line_count, plain_columns, plain_rows
from airflow_provider_osmosdest.core.records.readers.csv_text import BadTextError, CsvText
from airflow_provider_osmosdest.core.records.rows import RaggedRow, check_header
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_ROWS, Rows
from airflow_provider_osmosdest.core.schema.validation.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_osmosdest.core.records.input import Input

__all__ = ["delimiter_of", "read_csv", "read_tsv", "strict_rows"]

_MAX_CELL_CHARS = 16 * 1024 * 1024
_QUOTED = re.compile(r'"[^"]*"')
_LINE_END = re.compile(r"\r\n|\n|\r")


def read_csv(source: Input) -> Iterator[Rows]:
    """
    Yield the rows of a CSV file (RFC 4180) in blocks, as objects of strings.

    The delimiter is the comma; if the header line has none outside quotes but a semicolon or a tab, it is that.
    Blank lines are no records. A row with fewer cells than the header lacks the last fields; one with more is no
    record (:class:`RaggedRow`).

    :raises SourceError: no usable header, text that is not UTF-8, a quote that is not closed, or a file that breaks
        off: its last row is short and has no line end
    """
    return _read(source, None)


def read_tsv(source: Input) -> Iterator[Rows]:
    """Yield the rows of a file delimited by tabs; all else is as for :func:`read_csv`."""
    return _read(source, "\t")


def delimiter_of(line: str) -> str:
    """Return the delimiter of a CSV file: the comma, unless its header's first line has none and has another."""
    bare = _QUOTED.sub("", line)
    return next((mark for mark in ",;\t" if mark in bare), ",")


def strict_rows(lines: Iterable[str], delimiter: str) -> Any:
    """
    Return the rows of lines, each a list of cells; a blank line is an empty list.

    :param lines: each with its line end
    :param delimiter: between the cells
    :return: a ``csv.reader``, which raises ``csv.Error`` where a quote is not closed, or not doubled
    """
    # The limit belongs to the whole process: it is raised, never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL_CHARS))
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _read(source: Input, delimiter: str | None) -> Iterator[Rows]:
    file = _File(source, delimiter)
    header = file.header()
    if header is None:
        return
    width = len(header)
    fault: SourceError | None = None
    while fault is None:
        before = file.line
        run, fault = file.take_plain()
        if run and (columns := plain_columns(run, file.delimiter, width)) is not None:
            for start in range(0, len(columns[0]), BLOCK_ROWS):
                table = Table(header, [each[start : start + BLOCK_ROWS] for each in columns])
                first = before + 1 + start
                yield Rows(table, textual=True, numbers=range(first, first + len(table)))
            continue
        rows = plain_rows(run, file.delimiter) if run else []
        if not run and fault is None:
            rows, fault = file.take(BLOCK_ROWS)
            if not rows and fault is None:
                return
        if file.breaks_off and rows and 0 < len(rows[-1]) < width and fault is None:
            short = len(rows.pop())
            fault = SourceError(
                f"{source.name}: breaks off in line {file.line:,}: the last row has no line end and only {short:,} "
                f"of {width:,} cells. Fetch or write the file again."
            )
        for start in range(0, len(rows), BLOCK_ROWS):
            block = _block(
                rows[start : start + BLOCK_ROWS], header, before + start, plain=file.line - before == len(rows)
            )
            if block.rows:
                yield block
    raise fault


def _block(rows: list[list[str]], header: list[str], before: int, *, plain: bool) -> Rows:
    """
    Return rows as records; blank ones are none, and those of another width are odd.

    :param before: lines of the file before them
    :param plain: each row is one line
    """
    width = len(header)
    if plain and set(map(len, rows)) == {width}:
        table = Table(header, list(zip(*rows, strict=True)))
        return Rows(table, textual=True, numbers=range(before + 1, before + 1 + len(rows)))
    odd: dict[int, Any] = {}
    whole: list[list[str]] = []
    lines: list[int] = []
    line = before + 1
    for row in rows:
        if len(row) > width:
            odd[len(whole)] = RaggedRow(row, f"line {line:,}", width)
        elif row and len(row) < width:
            odd[len(whole)] = dict(zip(header, row, strict=False))
        if row:
            whole.append(row if len(row) == width else [""] * width)
            lines.append(line)
        line += 1 if plain else _lines([row])
    return Rows(Table(header, list(zip(*whole, strict=True)), odd=odd), textual=True, numbers=lines)


def _lines(rows: list[list[str]]) -> int:
    return len(rows) + sum(map(_line_ends, map("\0".join, rows)))


def _line_ends(cells: str) -> int:
    return len(_LINE_END.findall(cells)) if "\n" in cells or "\r" in cells else 0


class _File:
    """A file of rows being read."""

    def __init__(self, source: Input, delimiter: str | None) -> None:
        self._name = source.name
        self.delimiter = delimiter or ""
        self._passed = source.lines_before
        self._reader: Any = None
        self._text = CsvText(source)

    @property
    def line(self) -> int:
        """Return the number of lines read."""
        return self._passed + (self._reader.line_num if self._reader is not None else 0)

    @property
    def breaks_off(self) -> bool:
        """Whether all of the file has been taken, and its last line had no line end."""
        return self._text.breaks_off

    def header(self) -> list[str] | None:
        """
        Read the header; return ``None`` if the file holds nothing but blank lines.

        :raises SourceError: there is a header and it cannot be used
        """
        first = self._first_line()
        if first is None:
            return None
        if first.startswith(("{", "[{")):
            raise SourceError(
                f"{self._name}: looks like JSON, expected a header that names the columns. "
                "Set records_format to 'ndjson' or 'json'."
            )
        self.delimiter = self.delimiter or delimiter_of(first)
        self._reader = strict_rows(chain((first,), self._text.lines()), self.delimiter)
        rows, fault = self.take(1)
        if fault is not None:
            raise fault
        check_header(rows[0], self._name)
        return rows[0]

    def take_plain(self) -> tuple[str, SourceError | None]:
        """Take the text read last if it has no quotes; return it, or nothing, and why nothing follows."""
        try:
            run = self._text.take_run()
        except BadTextError as e:
            return "", self._bad_text(e)
        except SourceError as e:
            return "", e
        if len(run) > _MAX_CELL_CHARS or not is_plain(run):
            self._text.put_back(run)
            return "", None
        self._passed += line_count(run) if run else 0
        return run, None

    def take(self, count: int) -> tuple[list[list[str]], SourceError | None]:
        """Read up to ``count`` rows; return them, and the error that the next one raised."""
        rows: list[list[str]] = []
        before = self.line
        try:
            rows.extend(islice(self._reader, count))
        except csv.Error as e:
            line = before + _lines(rows) + 1
            fault = SourceError(
                f"{self._name}: line {line:,}: the row that begins here is not CSV ({e}). "
                "Is a quote in it not closed, or not doubled?"
            )
            fault.__cause__ = e
            return rows, fault
        except BadTextError as e:
            return rows, self._bad_text(e)
        except SourceError as e:
            return rows, e
        return rows, None

    def _first_line(self) -> str | None:
        try:
            for line in self._text.lines():
                if line.strip("\r\n"):
                    return line
                self._passed += 1
        except BadTextError as e:
            raise self._bad_text(e) from e
        return None

    def _bad_text(self, error: BadTextError) -> SourceError:
        return SourceError(f"{self._name}: line {self.line + 1:,}, byte {error.place:,}: {error}")
