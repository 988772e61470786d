"""Read sheets as their APIs return them: a list of rows, each a list of cells, with the header in the first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.records.rows import check_header, table_of, trimmed
from airflow_provider_osmosdest.core.records.values import digest_of
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_ROWS, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SheetSource"]

# A1 notation, such as ``'New users'!$A$5:E``.
_FIRST_ROW = re.compile(r"(?:.*!)?\$?[A-Za-z]{1,3}\$?(\d+)(?::.*)?", re.DOTALL)


class SheetSource:
    """
    The records of a sheet, as the Sheets API returns it.

    The first row that holds anything names the columns; blanks around a name are dropped. Rows may be shorter than the
    header, as the Sheets API cuts empty cells off; rows without any content are no records. A row with content to the
    right of the header is none either, and is not dropped: it becomes an invalid record that says so.

    :param rows: the rows as ``GSheetsHook.get_values`` returns them, an empty list for an empty sheet; or an object
        with them as ``values`` and their ``range`` in A1 notation, so that rows have the numbers they have in the sheet
    :raises ConfigurationError: it is neither
    """

    format = "sheet"

    def __init__(self, rows: Any) -> None:
        self._first_row, rows = _apart(rows)
        self._rows = _checked(rows, self._first_row)
        self._taken = 0

    @property
    def description(self) -> str:
        """Return the size of the sheet, for the log."""
        return f"a sheet of {len(self._rows):,} rows"

    @cached_property
    def fingerprint(self) -> str | None:
        """Digest the rows; ``None`` if a cell has no JSON form."""
        return digest_of(self._rows)

    @property
    def progress(self) -> float | None:
        """Return how many of the rows were taken."""
        return self._taken / len(self._rows) if self._rows else None

    def blocks(self) -> Iterator[Rows]:
        """
        Yield the records in blocks.

        :raises SourceError: a column has no name, or the name of another
        """
        rows = ((number, row) for number, row in self._numbered() if any(cell != "" for cell in row))
        _, header = next(rows, (0, []))
        names = [str(cell).strip() for cell in trimmed(header, 0)]
        check_header(names, self.description)
        while block := list(islice(rows, BLOCK_ROWS)):
            self._taken = block[-1][0] - self._first_row + 1
            yield Rows(table_of(names, block), textual=True, numbers=[number for number, _ in block])

    def _numbered(self) -> Iterator[tuple[int, list[Any]]]:
        for number, row in enumerate(self._rows, start=self._first_row):
            yield number, ["" if cell is None else cell for cell in row]


def _apart(rows: Any) -> tuple[int, Any]:
    """Return the number of the first row, and the rows."""
    if not isinstance(rows, Mapping):
        return 1, rows
    if not rows.keys() >= {"range"} or not isinstance(rows["range"], str):
        raise ConfigurationError(
            f"records: found an object with {', '.join(map(repr, rows)) or 'no keys'}, and records_format 'sheet' "
            "expects 'range' and 'values', as the Sheets API answers, or a list of rows."
        )
    found = _FIRST_ROW.fullmatch(rows["range"].strip())
    # Rows from the first on have a range of columns alone, and an empty sheet has no values.
    return int(found[1]) if found else 1, rows.get("values", [])


def _checked(rows: Any, first_row: int) -> list[Any]:
    if not isinstance(rows, list | tuple):
        raise ConfigurationError(
            f"records is a {type(rows).__name__}, and records_format 'sheet' expects a list of rows, each a list of "
            "cells, as GSheetsHook.get_values returns it."
        )
    for number, row in enumerate(rows, start=first_row):
        if not isinstance(row, list | tuple):
            raise ConfigurationError(
                f"records: row {number:,} is a {type(row).__name__}, and records_format 'sheet' expects each row to be "
                "a list of cells. Leave records_format out for a list of objects."
            )
    return list(rows)
