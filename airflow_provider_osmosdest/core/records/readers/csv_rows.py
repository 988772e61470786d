"""Read CSV and TSV: rows of text under a header."""

from __future__ import annotations

import csv
import re
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.readers.csv_text import BadTextError, Ending, csv_lines
from airflow_provider_osmosdest.core.records.rows import RaggedRow, check_header
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_ROWS, Rows

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
    table = _Table(source, delimiter)
    header = table.header()
    if header is None:
        return
    width = len(header)
    fault: SourceError | None = None
    while fault is None:
        before = table.line
        rows, fault = table.take(BLOCK_ROWS)
        if not rows and fault is None:
            return
        if table.ending.unterminated and rows and 0 < len(rows[-1]) < width and fault is None:
            short = len(rows.pop())
            fault = SourceError(
                f"{source.name}: breaks off in line {table.line:,}: the last row has no line end and only {short:,} "
                f"of {width:,} cells. Fetch or write the file again."
            )
        block = _block(rows, header, before, plain=table.line - before == len(rows))
        if block.rows:
            yield block
    raise fault


def _block(rows: list[list[str]], header: list[str], before: int, *, plain: bool) -> Rows:
    """
    Return rows as records.

    :param before: lines of the file before them
    :param plain: each row is one line
    """
    width = len(header)
    if plain and set(map(len, rows)) <= {width}:
        numbers = range(before + 1, before + 1 + len(rows))
        return Rows([dict(zip(header, row, strict=True)) for row in rows], textual=True, numbers=numbers)
    records: list[Any] = []
    lines: list[int] = []
    line = before + 1
    for row in rows:
        if row:
            ragged = len(row) > width
            records.append(RaggedRow(row, f"line {line:,}", width) if ragged else dict(zip(header, row, strict=False)))
            lines.append(line)
        line += _lines([row])
    return Rows(records, textual=True, numbers=lines)


def _lines(rows: list[list[str]]) -> int:
    return len(rows) + sum(len(_LINE_END.findall(cell)) for row in rows for cell in row)


class _Table:
    """A file of rows being read."""

    def __init__(self, source: Input, delimiter: str | None) -> None:
        self._name = source.name
        self._delimiter = delimiter
        self._blank = source.lines_before
        self._reader: Any = None
        self.ending = Ending()
        self._text = csv_lines(source, self.ending)

    @property
    def line(self) -> int:
        """Return the number of lines read."""
        return self._blank + (self._reader.line_num if self._reader is not None else 0)

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
        delimiter = self._delimiter or delimiter_of(first)
        self._reader = strict_rows(chain((first,), self._text), delimiter)
        rows, fault = self.take(1)
        if fault is not None:
            raise fault
        check_header(rows[0], self._name)
        return rows[0]

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
            for line in self._text:
                if line.strip("\r\n"):
                    return line
                self._blank += 1
        except BadTextError as e:
            raise self._bad_text(e) from e
        return None

    def _bad_text(self, error: BadTextError) -> SourceError:
        return SourceError(f"{self._name}: line {self.line + 1:,}, byte {error.place:,}: {error}")
