"""
Blocks: what a reader yields and the bulk validator takes.

A block is a run of consecutive records, small enough to stay in the processor's cache and large
enough that the work per block does not count (measured: 64-256 KB of JSON, or about 1,000 rows).
A reader yields the one of the three forms that costs it least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BLOCK_BYTES", "BLOCK_ROWS", "Block", "JsonElements", "JsonLines", "Rows"]

BLOCK_BYTES = 128 * 1024
"""How much JSON text a reader puts into one block, in bytes, unless a single record is larger."""

BLOCK_ROWS = 1_000
"""How many rows a reader puts into one block."""


@dataclass(frozen=True, slots=True)
class JsonLines:
    r"""
    Newline-aligned NDJSON: whole lines, each one record; blank lines are no records. ``\r\n`` is fine.

    :param data: the lines
    :param as_sent: the records stand as they are delivered, and so under the fields' own names and with ISO 8601 dates
    """

    data: bytes
    as_sent: bool = False


@dataclass(frozen=True, slots=True)
class JsonElements:
    """Whole elements of one JSON array, with the commas between them and without the brackets around them."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Rows:
    """
    Records as Python objects, normally dicts (anything else in the list is an invalid record).

    :param rows: the records, in source order
    :param textual: the values come from a format without types (CSV, TSV, a spreadsheet), so strings are
        coerced to the field's type and the schema's ``missing_values`` are null
    :param numbers: of each record the row of its sheet or the line of its file that it begins in, from 1; ``None``
        where they have none
    """

    rows: Sequence[Any]
    textual: bool = False
    numbers: Sequence[int] | None = None


Block = JsonLines | JsonElements | Rows
