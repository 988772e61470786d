"""Check a schema before any record is read; every problem found names its field."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaValidator, ValidationError

from airflow_provider_osmosdest.core.schema.fields import (
    FIELD_TYPES,
    UNKNOWN_FIELDS,
    WRITE_AS,
    Constraints,
    Field,
)
from airflow_provider_osmosdest.core.schema.types.branches import FAST
from airflow_provider_osmosdest.core.schema.types.core_schemas import constant, field_schema, with_json_values
from airflow_provider_osmosdest.core.schema.types.number_text import number_format_problems
from airflow_provider_osmosdest.core.schema.types.patterns import pattern_problem
from airflow_provider_osmosdest.core.schema.types.reading import coercion_problems
from airflow_provider_osmosdest.core.schema.types.time_patterns import pattern_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CONSTRAINT_TYPES", "schema_problems"]

_ORDERED = ("integer", "number", "decimal", "date", "time", "datetime")
_SIZED = ("string", "object", "array")
_BOUNDS = ("minimum", "maximum")
_LENGTHS = ("min_length", "max_length")
_MAX_SHOWN = 100

CONSTRAINT_TYPES: dict[str, tuple[str, ...]] = {
    "minimum": _ORDERED,
    "maximum": _ORDERED,
    "min_length": _SIZED,
    "max_length": _SIZED,
    "pattern": ("string",),
    "enum": FIELD_TYPES,
}
"""The field types that each constraint can be put on."""


def schema_problems(fields: Sequence[Any], unknown_fields: Any, missing_values: Any) -> list[str]:
    """
    Return what is wrong with the parts of a schema, in the order of its fields; an empty list where nothing is.

    :param fields: the fields, each a :class:`.Field` whose values may be anything
    :param unknown_fields: as in :class:`.DestinationSchema`
    :param missing_values: as in :class:`.DestinationSchema`
    """
    problems: list[str] = []
    names: Counter[str] = Counter()
    for position, each in enumerate(fields):
        if not isinstance(each, Field):
            problems.append(f"field {position}: expected a Field, found {_shown(each)}")
            continue
        problems.extend(_field_problems(each, position))
        if each.name:
            names[repr(each.name)] += 1
    problems.extend(f"field {name}: {count} fields have this name" for name, count in names.items() if count > 1)
    if unknown_fields not in UNKNOWN_FIELDS:
        problems.append(f"unknown_fields: expected one of {', '.join(UNKNOWN_FIELDS)}, found {_shown(unknown_fields)}")
    if not isinstance(missing_values, tuple) or not all(isinstance(text, str) for text in missing_values):
        problems.append(f"missing_values: expected a list of texts, found {_shown(missing_values)}")
    return problems


def _field_problems(field: Any, position: int) -> Iterator[str]:
    if not isinstance(field.name, str):
        yield f"field {position}: expected a name, found {_shown(field.name)}"
        return
    if not field.name.strip():
        yield f"field {position}: the name is empty"
        return
    try:
        field.name.encode()
    except UnicodeEncodeError:
        yield f"field {position}: the name {field.name!r} is not valid Unicode"
        return
    where = f"field {field.name!r}"
    if not isinstance(field.nullable, bool):
        yield f"{where}: nullable: expected true or false, found {_shown(field.nullable)}"
    if field.description is not None and not isinstance(field.description, str):
        yield f"{where}: description: expected text, found {_shown(field.description)}"
    if field.type not in FIELD_TYPES:
        yield f"{where}: unknown type {_shown(field.type)}, expected one of {', '.join(FIELD_TYPES)}"
        return
    problems = [*_reading_problems(field), *_constraint_problems(field.type, field.constraints)]
    if not problems and field.default is not None:
        problems.extend(_default_problems(field))
    yield from (f"{where}: {problem}" for problem in problems)


def _reading_problems(field: Any) -> Iterator[str]:
    if field.source is not None and (not isinstance(field.source, str) or not field.source):
        yield f"source: expected the name of a key or column, found {_shown(field.source)}"
    yield from number_format_problems(field.type, field.written)
    yield from coercion_problems(field.type, field.coerce)
    yield from pattern_problems(field.type, field.format)
    if field.write_as not in WRITE_AS:
        yield f"write_as: expected {' or '.join(WRITE_AS)}, found {_shown(field.write_as)}"
    elif field.write_as != "string" and field.type != "decimal":
        yield f"write_as applies only to decimal, not to {field.type}"


def _default_problems(field: Field) -> Iterator[str]:
    plain = field_schema(replace(field, nullable=False, coerce=(), format=(), default=None))
    try:
        SchemaValidator(with_json_values(plain)).validate_python(field.default)
    except ValidationError as error:
        reasons = [each["msg"] for each in error.errors(include_url=False) if FAST not in each["loc"]]
        yield f"default: {_shown(field.default)} is no value of the field: {reasons[0]}"


def _constraint_problems(type_: str, constraints: Constraints) -> Iterator[str]:
    given = constraints.given()
    for name in list(given):
        if type_ not in CONSTRAINT_TYPES[name]:
            yield f"{name} does not apply to {type_}, only to {', '.join(CONSTRAINT_TYPES[name])}"
            del given[name]
    yield from _length_problems(given)
    yield from _bound_problems(type_, given)
    if "pattern" in given:
        yield from _pattern_problems(given["pattern"])
    if "enum" in given:
        yield from _enum_problems(type_, given["enum"])


def _length_problems(given: dict[str, Any]) -> Iterator[str]:
    lengths = {name: given[name] for name in _LENGTHS if name in given}
    bad = [name for name, length in lengths.items() if type(length) is not int or not 0 <= length < 2**63]
    for name in bad:
        yield f"{name}: expected a whole number from 0 up, found {_shown(lengths[name])}"
    if not bad and len(lengths) == len(_LENGTHS) and lengths["min_length"] > lengths["max_length"]:
        yield f"min_length {lengths['min_length']} is more than max_length {lengths['max_length']}"


def _bound_problems(type_: str, given: dict[str, Any]) -> Iterator[str]:
    bounds: dict[str, Any] = {}
    for name in _BOUNDS:
        if name not in given:
            continue
        try:
            bounds[name] = constant(type_, given[name])
            if type_ == "number" and float(bounds[name]) != bounds[name]:
                yield f"{name}: {given[name]} is not held exactly by a double; give the field the type decimal"
            if type_ == "decimal" and math.isinf(float(bounds[name])):
                yield f"{name}: {given[name]} is beyond every number that JSON readers agree on (1.8e308)"
        except (ValidationError, OverflowError):
            yield f"{name}: expected a value of type {type_}, found {_shown(given[name])}"
    if len(bounds) == len(_BOUNDS):
        try:
            if bounds["minimum"] > bounds["maximum"]:
                yield f"minimum {_shown(given['minimum'])} is more than maximum {_shown(given['maximum'])}"
        except TypeError:
            yield "minimum and maximum cannot be compared: give both a time zone, or neither"


def _pattern_problems(pattern: Any) -> Iterator[str]:
    if not isinstance(pattern, str):
        yield f"pattern: expected a regular expression, found {_shown(pattern)}"
        return
    if (reason := pattern_problem(pattern)) is not None:
        yield f"pattern: {_shown(pattern)} is no regular expression in Rust's syntax, which has no lookaround: {reason}"


def _enum_problems(type_: str, values: Any) -> Iterator[str]:
    if not isinstance(values, tuple) or not values:
        yield f"enum: expected a list of at least one value, found {_shown(values)}"
        return
    for value in values:
        try:
            constant(type_, value)
        except ValidationError:
            yield f"enum: expected values of type {type_}, found {_shown(value)}"


def _shown(value: Any) -> str:
    """Return a value as the schema's author wrote it, cut to a line."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
