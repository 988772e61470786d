"""
The fast path of rows: columns of cells are read one after the other, and rows put together of what they give.

As on the fast path of JSON, pydantic judges what is refused here: a row with a value that is not plain or not valid,
one without all of its fields, and one that is no object.
"""

from __future__ import annotations

from itertools import starmap
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.schema.validation.cells import FieldCells, FreeCells
from airflow_provider_osmosdest.core.schema.validation.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_osmosdest.core.schema.fields import Fields
    from airflow_provider_osmosdest.core.schema.validation.cells import Cells

__all__ = ["RowPath"]


class RowPath:
    """
    Read rows of one schema; what it refuses may be valid all the same.

    :param schema: the schema of the records
    :param mapping: the source column of each renamed field
    :param textual: the values come from a format without types
    """

    def __init__(self, schema: Fields, mapping: Mapping[str, str], *, textual: bool) -> None:
        self._unknown = schema.unknown_fields
        self._fields = {field.name: FieldCells(schema, field, textual=textual) for field in schema.fields}
        self._columns = {name: mapping.get(name, name) for name in self._fields}
        self._read_columns = frozenset(self._columns.values())
        # A schema that keeps unknown fields renames some of them, too.
        self._renamed = {name: column for name, column in mapping.items() if name not in self._fields}
        self._free = FreeCells()
        self._made: tuple[tuple[str, ...], Callable[..., Any]] | None = None

    def read(self, rows: Sequence[Any]) -> tuple[list[Any], list[int]] | None:
        """
        Return a record for each row, in a form that can be written, and the positions of the rows that are refused.

        What stands for a refused row is to be replaced. None, where nothing can be said about rows like these.

        :param rows: a list of Python objects, or a :class:`.Table`
        """
        table = rows if isinstance(rows, Table) else self._table(rows)
        readers = None if table is None else self._readers(table)
        if table is None or not readers:
            return None
        refused = set(table.odd)
        columns: list[Sequence[Any]] = []
        for at, cells in readers.values():
            if at is None:
                columns.append([None] * len(table))
                continue
            values, found = cells.read(table.columns[at], table.types[at])
            columns.append(values)
            refused.update(found)
        return list(starmap(self._maker(tuple(readers)), zip(*columns, strict=True))), sorted(refused)

    def _readers(self, table: Table) -> dict[str, tuple[int | None, Cells]] | None:
        """Return, for each field of the records, what reads it, and which column that is."""
        at = {name: number for number, name in enumerate(table.names)}
        readers: dict[str, tuple[int | None, Cells]] = {}
        for name, cells in self._fields.items():
            column = at.get(self._columns[name])
            if column is None and not cells.takes_missing:
                return None
            readers[name] = column, cells
        unknown = [name for name in table.names if name not in self._read_columns]
        if self._unknown == "reject" and unknown:
            return None
        if self._unknown == "keep":
            readers |= {name: (at[column], self._free) for name, column in self._renamed.items() if column in at}
            renamed = set(self._renamed.values())
            for name in unknown:
                if name in self._fields or name in self._renamed:
                    return None
                if name not in renamed:
                    readers[name] = at[name], self._free
        return readers

    def _table(self, rows: Sequence[Any]) -> Table | None:
        """Return rows that are dicts as a table; None where they have too little in common."""
        first = next((row for row in rows if type(row) is dict), None)
        if not first:
            return None
        odd: dict[int, Any] = {}
        if set(map(type, rows)) != {dict}:
            odd = {at: row for at, row in enumerate(rows) if type(row) is not dict}
            rows = [first if at in odd else row for at, row in enumerate(rows)]
        if self._unknown == "keep":
            names = tuple(first)
            if set(map(type, names)) != {str} or not all(map(names.__eq__, map(tuple, rows))):
                return None
        else:
            names = tuple(self._read_columns)
        if self._unknown == "reject":
            odd |= {at: row for at, row in enumerate(rows) if not self._read_columns.issuperset(row)}
        return Table(names, self._columns_of(rows, names, odd), odd=odd) if names else None

    def _columns_of(self, rows: Sequence[Any], names: Sequence[str], odd: dict[int, Any]) -> list[Sequence[Any]]:
        """Return the values under each name; rows that lack one without which a record may not be null are odd."""
        try:
            cells = list(map(itemgetter(*names), rows))
        except KeyError:
            needed = {self._columns[name] for name, cells in self._fields.items() if not cells.takes_missing}
            odd |= {at: row for at, row in enumerate(rows) if not needed <= row.keys()}
            return [[row.get(name) for row in rows] for name in names]
        return list(zip(*cells, strict=True)) if len(names) > 1 else [cells]

    def _maker(self, names: tuple[str, ...]) -> Callable[..., Any]:
        if self._made is None or self._made[0] != names:
            self._made = names, _maker(names)
        return self._made[1]


def _maker(names: tuple[str, ...]) -> Callable[..., Any]:
    """Return what makes a record of its values."""
    # A field's name need not be an identifier, an attribute's has to be.
    attributes = {f"a{number}": name for number, name in enumerate(names)}
    try:
        return msgspec.defstruct("_Row", list(attributes), rename=attributes, gc=False)
    except ValueError:
        # msgspec has no names with quotes or backslashes in them.
        return lambda *values: dict(zip(names, values, strict=True))
