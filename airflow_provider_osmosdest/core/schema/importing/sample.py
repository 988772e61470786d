"""
Infer a schema from sample records: the narrowest type that takes every value seen, and a warning for each guess.

A guess that could lose something is not made: a code with leading zeros, a phone number with its plus
and a product number like ``12E5`` stay text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import ValidationError

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema.fields import Field, FieldType, UnknownFields
from airflow_provider_osmosdest.core.schema.importing.naming import field_names
from airflow_provider_osmosdest.core.schema.importing.time_samples import TimeSamples
from airflow_provider_osmosdest.core.schema.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.types.core_schemas import constant

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Draft", "infer_schema"]

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
_MAX_SHOWN = 40

# From narrow to wide; each takes the values of those before it in its row.
_WIDENING: tuple[tuple[FieldType, ...], ...] = (("integer", "number", "decimal"), ("date", "datetime"))
_TEXTS = frozenset({"date", "time", "datetime", "string"})
_TO_STRING = frozenset({"integer", "number", "decimal", "boolean"})


@dataclass(frozen=True, slots=True)
class Draft:
    """
    A schema made of samples, for a person to look over.

    :param schema: the schema
    :param mapping: the column of each field that has another name
    :param warnings: what was guessed, widened, renamed or left out, a line each
    """

    schema: DestinationSchema
    mapping: dict[str, str]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Column:
    """What was seen of one column: by type an example and a count, and in how many records it had a value."""

    name: str
    textual: bool
    examples: dict[FieldType, Any] = field(default_factory=dict)
    counts: Counter[FieldType] = field(default_factory=Counter)
    empty: int = 0
    times: TimeSamples = field(default_factory=TimeSamples)

    def add(self, value: Any) -> None:
        if isinstance(value, str) and not value and not self.textual:
            self.empty += 1
            return
        type_ = _cell_type(value) if self.textual else _value_type(value)
        if type_ is None:
            return
        self.examples.setdefault(type_, value)
        self.counts[type_] += 1
        if type_ in _TEXTS and isinstance(value, str):
            self.times.add(value.strip() if self.textual else value)


@dataclass(slots=True)
class _Guess:
    """What a column is taken to be, without a type passed on as it is; and in how many records it has a value."""

    type: FieldType | None
    filled: int = 0
    coerce: tuple[str, ...] = ()
    format: tuple[str, ...] = ()
    warning: str | None = None


def infer_schema(records: Iterable[Any], *, textual: bool, rename: bool = False) -> Draft:
    """
    Infer a schema from sample records; a field is nullable where a sample lacks it or leaves it blank.

    :param records: the samples, at least one; columns come out in the order in which they are first seen
    :param textual: the values come from a format without types (CSV, TSV, a spreadsheet)
    :param rename: give the fields names of small letters, digits and underscores
    :raises SchemaError: where there is no record with a column
    """
    columns: dict[Any, _Column] = {}
    count = 0
    for record in records:
        count += 1
        for name, value in record.items():
            columns.setdefault(name, _Column(name, textual)).add(value)
    if not count:
        raise SchemaError("No schema can be inferred: expected at least one sample record, found none.")
    named = {name: column for name, column in columns.items() if _can_be_named(name)}
    if not named:
        raise SchemaError("No schema can be inferred: the sample records have no key with a name.")
    names = field_names(named) if rename else {name: name for name in named}
    guesses = {name: _guess(column) for name, column in named.items()}
    fields = [
        Field(names[name], each.type, each.filled < count, coerce=each.coerce, format=each.format)
        for name, each in guesses.items()
        if each.type is not None
    ]
    unknown_fields: UnknownFields = "drop" if len(fields) == len(named) else "keep"
    mapping = {name: column for column, name in names.items() if name != column}
    fate = "left out" if unknown_fields == "drop" else "passed on as it is"
    warnings = [
        *(f"field {name!r}: {each.warning}" for name, each in guesses.items() if each.warning),
        *(f"the key {name!r} is {fate}, as a field needs a name" for name in columns if name not in named),
        *(f"field {name!r}: renamed, its column is {column!r}" for name, column in mapping.items()),
    ]
    return Draft(DestinationSchema(tuple(fields), unknown_fields), mapping, tuple(warnings))


def _can_be_named(name: Any) -> bool:
    try:
        return isinstance(name, str) and bool(name.strip() and name.encode())
    except UnicodeEncodeError:
        return False


def _guess(column: _Column) -> _Guess:
    types = column.examples.keys()
    if not types:
        guess = _Guess("string", warning="it has no value in the sample, so that string is a guess")
    else:
        guess = _one_type(column) if len(types) == 1 else _several_types(column)
    guess.filled = column.counts.total()
    if guess.type in (None, "string"):
        guess.filled += column.empty
    elif column.empty:
        also = f"it has empty texts ({column.empty:,}), which are null by the coercion empty_to_null"
        guess.coerce = (*guess.coerce, "empty_to_null")
        guess.warning = f"{guess.warning}; {also}" if guess.warning else also
    return guess


def _one_type(column: _Column) -> _Guess:
    (type_,) = column.examples
    found = column.times.patterns if type_ == "string" else None
    if found is None:
        return _Guess(type_)
    shown = f"texts like {_shown(column.examples[type_])}"
    if found.sure:
        by = " or ".join(found.patterns)
        return _Guess(found.type, format=found.patterns, warning=f"{shown} are read as a {found.type} by {by}")
    may_be = " or ".join(f'"format": "{pattern}"' for pattern in found.patterns)
    return _Guess(
        type_, warning=f'it is taken as string; if {shown} are dates, write "type": "{found.type}" and {may_be}'
    )


def _several_types(column: _Column) -> _Guess:
    types = column.examples.keys()
    seen = " and ".join(
        f"{type_} ({count:,}, such as {_shown(column.examples[type_])})" for type_, count in column.counts.most_common()
    )
    for row in _WIDENING:
        if types <= set(row):
            wide = max(types, key=row.index)
            return _Guess(wide, warning=f"it has {seen}; {wide} takes all of them")
    if column.textual or types <= _TEXTS:
        return _Guess("string", warning=f"it has {seen}; string takes all of them")
    if types <= _TEXTS | _TO_STRING:
        how = "string takes all of them, with the coercion to_string: numbers and booleans are delivered as text"
        return _Guess("string", coerce=("to_string",), warning=f"it has {seen}; {how}")
    return _Guess(
        None,
        warning=f"it has {seen}; no type takes all of them, so that it is no field and is passed on as it is "
        f"(unknown_fields: keep)",
    )


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


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
