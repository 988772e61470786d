"""Read Excel workbooks: the first sheet, with its header in the first row that holds anything."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import MissingExtraError, SourceError
from airflow_provider_osmosdest.core.records.input import ZIP_MAGIC, reason
from airflow_provider_osmosdest.core.records.rows import check_header, table_of, trimmed
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_ROWS, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.input import Input

__all__ = ["read_xlsx"]


def read_xlsx(source: Input) -> Iterator[Rows]:
    """
    Yield the rows of a workbook's first sheet in blocks, as objects of what the cells hold.

    Cells are strings, numbers, booleans, dates and times. An empty cell is an empty string, and so is one that shows
    an error (``#N/A``). Excel has no integers, so a number without fraction is read as one. Rows without any content
    are no records. The sheet is held in memory as a whole: the format allows no other way.

    :raises MissingExtraError: python-calamine is not installed
    :raises SourceError: the file is no workbook, or has no usable header
    """
    try:
        from python_calamine import CalamineWorkbook
    except ImportError as e:
        raise MissingExtraError(f"Reading Excel ({source.name})", "excel") from e

    with source.seekable(ZIP_MAGIC, "an Excel workbook (.xlsx)") as file:
        try:
            sheet = CalamineWorkbook.from_filelike(file).get_sheet_by_index(0)
        except Exception as e:  # calamine passes on what the store's library raises
            raise SourceError(
                f"{source.name}: cannot be read as an Excel workbook: {reason(e)}. Open it in Excel and save it again."
            ) from e
    rows = ((number, row) for number, row in enumerate(sheet.iter_rows(), start=1) if any(cell != "" for cell in row))
    _, header = next(rows, (0, []))
    names = [str(cell) for cell in trimmed(header, 0)]
    check_header(names, source.name)
    while block := list(islice(rows, BLOCK_ROWS)):
        yield Rows(table_of(names, block), textual=True, numbers=[number for number, _ in block])
        source.share = block[-1][0] / sheet.total_height
