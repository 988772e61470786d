"""Rows of a spreadsheet's cells, and the records they are."""

from __future__ import annotations

from typing import Any

from airflow_provider_osmosdest.core.records.ragged import RaggedRow

__all__ = ["record_of", "trimmed"]

_EXACT_FLOAT = 2.0**53


def record_of(names: list[str], cells: list[Any], number: int) -> Any:
    """
    Return what a row says: an object, or a :class:`RaggedRow` where cells hold something to the right of the header.

    Spreadsheets know no integers, so a number without fraction becomes one.

    :param names: the header
    :param cells: the row's cells, an empty string where one is empty; those missing at the end are not in the record
    :param number: the row's number in the sheet, from 1
    """
    values = [_native(cell) for cell in trimmed(cells, len(names))]
    if len(values) > len(names):
        return RaggedRow(values, f"row {number:,}", len(names), hint="is a name missing in the first row?")
    return dict(zip(names, values, strict=False))


def trimmed(cells: list[Any], width: int) -> list[Any]:
    """Leave out empty cells at the end, down to a width: rows may be as wide as the widest of their sheet."""
    end = len(cells)
    while end > width and cells[end - 1] == "":
        end -= 1
    return cells[:end]


def _native(cell: Any) -> Any:
    if type(cell) is float and cell.is_integer() and abs(cell) <= _EXACT_FLOAT:
        return int(cell)
    return cell
