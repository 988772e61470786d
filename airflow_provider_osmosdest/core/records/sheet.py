"""Read sheets as their APIs return them: a list of rows, each a list of cells, with the header in the first."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.records.rows import check_header, record_of, trimmed
from airflow_provider_osmosdest.core.records.values import digest_of
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_ROWS, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SheetSource"]


class SheetSource:
    """
    The records of a sheet, such as ``GSheetsHook.get_values`` returns it.

    The first row that holds anything names the columns; blanks around a name are dropped. Rows may be shorter than the
    header, as the Sheets API cuts empty cells off; rows without any content are no records. A row with content to the
    right of the header is none either, and is not dropped: it becomes an invalid record that says so.

    :param rows: the rows; an empty sheet is an empty list
    :raises ConfigurationError: it is no list of lists
    """

    format = "sheet"

    def __init__(self, rows: Any) -> None:
        self._rows = _checked(rows)
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
            self._taken = block[-1][0]
            records = [record_of(names, row, number) for number, row in block]
            yield Rows(records, textual=True, numbers=[number for number, _ in block])

    def _numbered(self) -> Iterator[tuple[int, list[Any]]]:
        for number, row in enumerate(self._rows, start=1):
            yield number, ["" if cell is None else cell for cell in row]


def _checked(rows: Any) -> list[Any]:
    if not isinstance(rows, list | tuple):
        raise ConfigurationError(
            f"records is a {type(rows).__name__}, and records_format 'sheet' expects a list of rows, each a list of "
            "cells, as GSheetsHook.get_values returns it."
        )
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list | tuple):
            raise ConfigurationError(
                f"records: row {number:,} is a {type(row).__name__}, and records_format 'sheet' expects each row to be "
                "a list of cells. Leave records_format out for a list of objects."
            )
    return list(rows)
