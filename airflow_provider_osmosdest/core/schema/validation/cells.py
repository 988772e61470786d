"""
What a field makes of the values in a column of rows: at a glance where that is certain, else by pydantic.

A look at a column is one call for a thousand values. Where one of them is not as plain as the others, the column is
looked at in pieces, and pydantic judges the piece with the value in it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from pydantic_core import CoreSchema, SchemaValidator
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.fields import Field, Fields
from airflow_provider_osmosdest.core.schema.record_schema import record_schema
from airflow_provider_osmosdest.core.schema.types.core_schemas import field_schema, free_schema, with_json_values
from airflow_provider_osmosdest.core.schema.validation.encoding import as_number
from airflow_provider_osmosdest.core.schema.validation.plain_cells import PlainCells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_osmosdest.core.schema.validation.plain_cells import Types

__all__ = ["Cells", "FieldCells", "FreeCells"]

_PIECE = 32

_INVALID = object()


class Cells(Protocol):
    """Read a column."""

    def read(self, values: Sequence[Any], types: Types) -> tuple[Sequence[Any], Sequence[int]]:
        """
        Return what is to be written for each of the values, and the positions of those that are refused.

        What is refused may be valid in its record all the same.

        :param values: of the field in consecutive rows
        :param types: what they are instances of, where that is known
        """
        ...


class FieldCells:
    """
    Read the values of a field.

    :param schema: the schema of the records
    :param field: one of its fields
    :param textual: the values come from a format without types
    """

    def __init__(self, schema: Fields, field: Field, *, textual: bool) -> None:
        # A property of fields that is not among these is for the schema of the whole record to deal with.
        known = Field(
            field.name,
            field.type,
            field.nullable,
            field.description,
            field.constraints,
            field.written,
            source=field.source,
        )
        plain = field == known
        self.takes_missing = plain and field.nullable
        """Whether a row without the field is one where it is null."""
        self._pydantic = (_of_field if plain else _of_record)(schema, field, textual=textual)
        self._plain: PlainCells | None = None
        if plain:
            texts = frozenset(map(str.strip, schema.missing_values)) if textual else frozenset()
            self._plain = PlainCells.of(field, texts, textual=textual)

    def read(self, values: Sequence[Any], types: Types) -> tuple[Sequence[Any], Sequence[int]]:
        """Return what is to be written, and what is refused; see :meth:`Cells.read`."""
        if self._plain is None:
            return _judged(self._pydantic, values)
        if (read := self._plain.read(values, types)) is not None:
            return read, ()
        if len(values) <= _PIECE:
            return _judged(self._pydantic, values)
        whole: list[Any] = []
        refused: list[int] = []
        for start in range(0, len(values), _PIECE):
            piece = values[start : start + _PIECE]
            part = self._plain.read(piece, types)
            if part is None:
                part, found = _judged(self._pydantic, piece)
                refused += [start + at for at in found]
            whole += part
        return whole, refused


class FreeCells:
    """Read the values of a field that is not in the schema and kept."""

    _PLAIN = frozenset({str, int, bool, type(None)})

    def __init__(self) -> None:
        self._pydantic = _listed(free_schema())

    def read(self, values: Sequence[Any], types: Types) -> tuple[Sequence[Any], Sequence[int]]:
        """Return what is to be written, and what is refused; see :meth:`Cells.read`."""
        if self._PLAIN.issuperset(types or map(type, values)):
            return values, ()
        return _judged(self._pydantic, values)


def _judged(pydantic: Callable[[list[Any]], list[Any]], values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[int]]:
    read = pydantic(list(values))
    return read, [at for at, value in enumerate(read) if value is _INVALID]


def _of_field(schema: Fields, field: Field, *, textual: bool) -> Callable[[list[Any]], list[Any]]:
    missing = schema.missing_values if textual else ()
    return _listed(field_schema(field, textual=textual, missing_values=missing))


def _of_record(schema: Fields, field: Field, *, textual: bool) -> Callable[[list[Any]], list[Any]]:
    """Return what reads each value as a record's only one."""
    name = field.name
    alone = Fields((field,), "drop", schema.missing_values)
    record = record_schema(alone, {name: name}, textual=textual, verbatim=not textual)
    each = cs.with_default_schema(record, default=None, on_error="default")
    validate = SchemaValidator(cs.list_schema(each)).validate_python

    def read(values: list[Any]) -> list[Any]:
        records = validate([{name: value} for value in values])
        found = [_INVALID if record is None else record[name] for record in records]
        if field.write_as == "number":
            return [as_number(value) if isinstance(value, Decimal) else value for value in found]
        return found

    return read


def _listed(schema: CoreSchema) -> Callable[[list[Any]], list[Any]]:
    """Return what validates a list of values, with a mark in place of each that is invalid."""
    each = cs.with_default_schema(schema, default=_INVALID, on_error="default")
    return SchemaValidator(with_json_values(cs.list_schema(each))).validate_python
