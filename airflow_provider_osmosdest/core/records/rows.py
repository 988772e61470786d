"""Rows of cells as records: the header that names them, cells as values, and rows of another length."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.schema.validation.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RaggedRow", "check_header", "table_of", "trimmed"]

_EXACT_FLOAT = 2.0**53


def table_of(names: list[str], rows: Sequence[tuple[int, list[Any]]]) -> Table:
    """
    Return rows as records: objects, or a :class:`RaggedRow` where cells hold something to the right of the header.

    Spreadsheets have no integers, so a number without fraction becomes one.

    :param names: the header
    :param rows: each with its number in the sheet, from 1, and its cells, an empty string where one is empty; those
        missing at the end are not in the record
    """
    width = len(names)
    odd: dict[int, Any] = {}
    whole: list[list[Any]] = []
    for at, (number, cells) in enumerate(rows):
        row = cells if len(cells) == width else trimmed(cells, width)
        if len(row) != width:
            values = _natives(row)
            odd[at] = dict(zip(names, values, strict=False))
            if len(row) > width:
                odd[at] = RaggedRow(values, f"row {number:,}", width, hint="is a name missing in the first row?")
            row = [""] * width
        whole.append(row)
    return Table(names, [_natives(column) for column in zip(*whole, strict=True)], odd=odd)


def trimmed(cells: list[Any], width: int) -> list[Any]:
    """Leave out empty cells at the end, down to a width: rows may be as wide as the widest of their sheet."""
    end = len(cells)
    while end > width and cells[end - 1] == "":
        end -= 1
    return cells[:end]


def _natives(cells: Sequence[Any]) -> list[Any]:
    if float not in set(map(type, cells)):
        return list(cells)
    return [
        int(cell) if type(cell) is float and cell.is_integer() and abs(cell) <= _EXACT_FLOAT else cell for cell in cells
    ]


def check_header(names: Sequence[str], file: str) -> None:
    """
    Check that every column has a name of its own.

    :param names: the header's cells
    :param file: the file, for the message
    :raises SourceError: names are empty or there more than once; the message lists all of them
    """
    empty = [str(number) for number, name in enumerate(names, start=1) if not name.strip()]
    double = [repr(name) for name, count in Counter(names).items() if count > 1 and name.strip()]
    problems = []
    if empty:
        problems.append(f"no name for column {', '.join(empty)}")
    if double:
        problems.append(f"more than one column named {', '.join(double)}")
    if problems:
        raise SourceError(
            f"{file}: the header has {' and '.join(problems)}. The first row must give each of the "
            f"{len(names)} columns a name of its own."
        )


class RaggedRow(list[Any]):
    """
    The cells of a row that has more of them than the header has names: no record, and not dropped either.

    :param cells: the cells as they stand in the file
    :param place: where the row is, such as ``line 17``
    :param width: how many columns the header names
    :param hint: what may be the cause
    """

    def __init__(
        self, cells: list[Any], place: str, width: int, *, hint: str = "is a delimiter inside a cell not quoted?"
    ) -> None:
        super().__init__(cells)
        self.problem = f"{place} has {len(cells):,} cells, but the header names {width:,} columns: {hint}"
        """Why this is no record, for its failure record."""
