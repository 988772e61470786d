r"""
Count the records of a text without reading them, and find the places between them.

What is a record is what the readers take for one: a line that is not blank (NDJSON), a row that is not empty under a
header (CSV). Most of a text is counted by its line ends alone, several hundred MB a second; only where a CSV has quotes
with line ends in them, or line ends of ``\r``, its rows are read.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from airflow_provider_osmosdest.core.records.readers.csv_rows import strict_rows
from airflow_provider_osmosdest.core.schema.validation.json_cut import BYTE_ORDER_MARK, WHITE_SPACE, split_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LineScan", "RowScan", "Scan", "Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """
    What a stretch of text holds.

    :param size: bytes of it that are whole records; the rest belongs to a record that goes on
    :param records: how many records they are
    :param lines: how many lines they are
    :param broken: what follows is no text of this format, and its records cannot be told apart
    """

    size: int
    records: int
    lines: int
    broken: bool = False


class Scan(Protocol):
    r"""How one format's records are told apart; each stretch of text begins where a record or blank line does."""

    def measure(self, text: bytes, *, last: bool) -> Span:
        r"""
        Count the records of a stretch of text.

        :param text: whole lines, each with its ``\n``
        :param last: the file ends here; the last line may have no line end
        """

    def borders(self, text: bytes) -> Iterator[Span]:
        """Yield what stands before each place behind a record or blank line, of a stretch that is whole records."""


def _line_ends(text: bytes) -> int:
    # Deleting and measuring takes a fraction of the time of bytes.count (CPython 3.11).
    return len(text) - len(text.replace(b"\n", b""))


class LineScan:
    """NDJSON: a record is a line that is not blank."""

    # Begun by a newline, as the pattern that is looked for must be: with an alternative it takes forty times as long.
    _PERHAPS_BLANK = re.compile(rb"\n[ \t\r\n\xef]")

    def measure(self, text: bytes, *, last: bool) -> Span:  # noqa: ARG002 - a line always is whole
        """Count the records of a stretch of text."""
        lines = _line_ends(text) + (not text.endswith(b"\n") and bool(text))
        odd = text[:1] in (b" ", b"\t", b"\r", b"\n", b"\xef") or self._PERHAPS_BLANK.search(text)
        records = len(split_lines(text)) if odd else lines
        return Span(len(text), records, lines)

    def borders(self, text: bytes) -> Iterator[Span]:
        """Yield what stands before each place behind a line."""
        at = records = 0
        for number, line in enumerate(io.BytesIO(text), start=1):
            at += len(line)
            records += bool(line.removeprefix(BYTE_ORDER_MARK).strip(WHITE_SPACE))
            yield Span(at, records, number)


class RowScan:
    """
    CSV and TSV: a record is a row that is not empty; the header counts as one here.

    :param delimiter: between the cells
    """

    _PERHAPS_BLANK = re.compile(rb"\n\r?\n")

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        mark = re.escape(delimiter.encode())
        # From its start: text without quotes, and cells in quotes that hold no line end, each alone in its cell.
        self._regular = re.compile(
            rb'\n[^"]*+(?:(?<=[%b\n])"[^"\n]*+(?:""[^"\n]*+)*+"(?=[%b\r\n])[^"]*+)*+' % (mark, mark)
        )

    def measure(self, text: bytes, *, last: bool) -> Span:
        """Count the records of a stretch of text."""
        if self._is_regular(text):
            lines = _line_ends(text) + (not text.endswith(b"\n") and bool(text))
            blank = 0
            if text[:1] in (b"\r", b"\n") or self._PERHAPS_BLANK.search(text):
                blank = sum(line in (b"", b"\r") for line in text.removesuffix(b"\n").split(b"\n"))
            return Span(len(text), lines - blank, lines)
        rows = _Rows(text, self._delimiter)
        span = next(iter(deque(rows, maxlen=1)), Span(0, 0, 0))
        # An error in the last line may be a row that goes on in the next one.
        return replace(span, broken=rows.failed and (last or not rows.at_end))

    def borders(self, text: bytes) -> Iterator[Span]:
        """Yield what stands before each place behind a row or blank line."""
        yield from _Rows(text, self._delimiter)

    def _is_regular(self, text: bytes) -> bool:
        if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
            return False
        if b'"' not in text:
            return True
        match = self._regular.match(b"\n" + text)
        return match is not None and match.end() == len(text) + 1


class _Rows:
    r"""The borders of rows, by reading them; a row that ends in a lone ``\r`` has none behind it."""

    def __init__(self, text: bytes, delimiter: str) -> None:
        # A character for each byte: what parts cells and rows is ASCII, and no byte of another character is.
        self._lines = list(io.StringIO(text.decode("latin-1"), newline=""))
        self._delimiter = delimiter
        self.failed = False
        self.at_end = False

    def __iter__(self) -> Iterator[Span]:
        ends = list(accumulate(map(len, self._lines), initial=0))
        reader = strict_rows(self._lines, self._delimiter)
        records = 0
        try:
            for row in reader:
                records += bool(row)
                line = reader.line_num
                if self._lines[line - 1].endswith("\n") or line == len(self._lines):
                    yield Span(ends[line], records, line)
        except csv.Error:
            self.failed = True
            self.at_end = reader.line_num == len(self._lines)
