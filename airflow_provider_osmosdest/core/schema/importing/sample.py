"""
Infer a schema from sample records: the narrowest type that takes every value seen.

A guess that could lose something is not made: a code with leading zeros, a phone number with its plus
and a product number like ``12E5`` stay text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import ValidationError

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema.fields import Field, FieldType
from airflow_provider_osmosdest.core.schema.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.types.core_schemas import constant

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["infer_schema"]

# 18 digits fit every consumer's 64-bit integer; longer runs of digits are account numbers and the like.
_INTEGER_CELL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
# A bare exponent makes a number only with its sign: "1e-05" is written by programs, "12E5" by people.
_NUMBER_CELL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-][0-9]+)")
_TEMPORAL_TEXT: tuple[tuple[FieldType, re.Pattern[str]], ...] = (
    ("date", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")),
    ("datetime", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}.*")),
    ("time", re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}.*")),
)

_EXACT_FLOAT = 2.0**53

# From narrow to wide; each takes the values of those before it in its row.
_WIDENING: tuple[tuple[FieldType, ...], ...] = (("integer", "number", "decimal"), ("date", "datetime"))
_WRITTEN_AS_TEXT = frozenset({"date", "time", "datetime", "string"})


@dataclass(slots=True)
class _Column:
    """What was seen of one column: an example of each type, by type, and in how many records it had a value."""

    examples: dict[FieldType, Any] = field(default_factory=dict)
    filled: int = 0


def infer_schema(records: Iterable[Mapping[str, Any]], *, textual: bool) -> DestinationSchema:
    """
    Infer a schema from sample records; a field is nullable where a sample lacks it or leaves it blank.

    :param records: the samples, at least one; columns come out in the order in which they are first seen
    :param textual: the values come from a format without types (CSV, TSV, a spreadsheet)
    :raises SchemaError: where there is no record, a record is not an object, or no type takes all values of a column
    """
    columns: dict[str, _Column] = {}
    count = 0
    for count, record in enumerate(records, 1):
        if not isinstance(record, Mapping):
            raise SchemaError(
                f"No schema can be inferred: sample record {count - 1} is no object but {type(record).__name__}."
            )
        for name, value in record.items():
            if not isinstance(name, str):
                raise SchemaError(
                    f"No schema can be inferred: sample record {count - 1} has a value under {name!r}, "
                    f"expected a column's name. Has it more cells than there are headers?"
                )
            column = columns.setdefault(name, _Column())
            if (type_ := _cell_type(value) if textual else _value_type(value)) is not None:
                column.filled += 1
                column.examples.setdefault(type_, value)
    if not count:
        raise SchemaError("No schema can be inferred: expected at least one sample record, found none.")
    fields = [Field(name, _widest(name, seen, textual=textual), seen.filled < count) for name, seen in columns.items()]
    return DestinationSchema(tuple(fields))


def _widest(name: str, column: _Column, *, textual: bool) -> FieldType:
    types = column.examples.keys()
    if len(types) == 1:
        return next(iter(types))
    for row in _WIDENING:
        if types and types <= set(row):
            return max(types, key=row.index)
    if textual or types <= _WRITTEN_AS_TEXT:
        return "string"
    found = ", ".join(f"{type_} (such as {str(value)[:40]!r})" for type_, value in column.examples.items())
    raise SchemaError(
        f"No schema can be inferred: field {name!r} has values of several types: {found}; no type takes all of them. "
        f"Write this field's type by hand."
    )


def _cell_type(value: Any) -> FieldType | None:  # noqa: PLR0911 - a table of forms
    """Return the type of a cell, None for a blank one."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        # Spreadsheets have no other numbers than floats, and no other dates than datetimes.
        return "integer"
    if isinstance(value, datetime) and value.tzinfo is None and value.time() == time():
        return "date"
    if not isinstance(value, str):
        return _value_type(value)
    text = value.strip()
    if not text:
        return None
    if text.lower() in ("true", "false"):
        return "boolean"
    if _INTEGER_CELL.fullmatch(text):
        return "integer"
    if _NUMBER_CELL.fullmatch(text):
        return "number" if Decimal(repr(float(text))) == Decimal(text) else "decimal"
    return _text_type(text)


def _value_type(value: Any) -> FieldType | None:
    """Return the type of a typed value, None for null."""
    if value is None:
        return None
    if isinstance(value, str):
        return _text_type(value)
    for class_, type_ in _CLASSES:
        if isinstance(value, class_):
            return type_
    return "string"


def _text_type(text: str) -> FieldType:
    for type_, form in _TEMPORAL_TEXT:
        if form.fullmatch(text) and _is_valid(type_, text):
            return type_
    return "string"


def _is_valid(type_: str, text: str) -> bool:
    try:
        constant(type_, text)
    except ValidationError:
        return False
    return True


# The order matters: a bool is an int, a datetime is a date.
_CLASSES = cast(
    "tuple[tuple[type, FieldType], ...]",
    (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (Decimal, "decimal"),
        (datetime, "datetime"),
        (date, "date"),
        (time, "time"),
        (Mapping, "object"),
        (list, "array"),
        (tuple, "array"),
    ),
)
