"""
Read a schema document: our own form, or Table Schema (https://specs.frictionlessdata.io/table-schema/).

The two share their keywords. Of Table Schema, what describes the table and not one record
(primary and foreign keys, ``unique``) and what is only an annotation (``title``, ``rdfType``, ``example``,
the ``format`` of a string) is left aside; anything else that could not be honoured is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from typing import Any

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema.checks import schema_problems
from airflow_provider_osmosdest.core.schema.fields import FIELD_TYPES, Constraints, Field, Fields
from airflow_provider_osmosdest.core.schema.types.number_text import NumberFormat

__all__ = ["load_fields"]

_SCHEMA_KEYS = frozenset({"fields", "unknown_fields", "missing_values", "missingValues"})
_TABLE_KEYS = frozenset(
    {"$schema", "profile", "name", "title", "description", "primaryKey", "foreignKeys", "uniqueKeys", "fieldsMatch"}
)
_NUMBER_KEYS = {"decimalChar": "decimal_char", "groupChar": "group_char", "bareNumber": "bare_number"}
_FIELD_KEYS = frozenset(
    {"name", "type", "nullable", "description", "source", "coerce", "format", "default", "write_as"}
    | {"constraints", *_NUMBER_KEYS, *_NUMBER_KEYS.values()}
)
_ANNOTATIONS = frozenset({"title", "rdfType", "example", "examples"})
_CONSTRAINT_NAMES = tuple(each.name for each in dataclass_fields(Constraints))
_CAMEL_CASE = {"minLength": "min_length", "maxLength": "max_length"}

# Table Schema's types that one of ours holds without loss. A yearmonth and a duration are texts in JSON.
_TABLE_TYPES = {"year": "integer", "yearmonth": "string", "duration": "string", "geojson": "object"}
_TABLE_PATTERNS = {"yearmonth": r"-?[0-9]{4}-[0-9]{2}"}


def load_fields(value: Any) -> Fields:
    """
    Read a schema from whatever form it comes in; see :meth:`.DestinationSchema.load`.

    :param value: a schema, a mapping, a list of fields, or the JSON text of either
    :raises SchemaError: naming every field that is wrong
    """
    if isinstance(value, str | bytes):
        value = _parsed(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        value = {"fields": value}
    if not isinstance(value, Mapping):
        raise SchemaError(
            f"The schema cannot be used: expected an object with the key fields, or a list of fields, "
            f"found {type(value).__name__}."
        )
    problems: list[str] = []
    fields = _fields(value, problems)
    unknown_fields, missing_values = _options(value, problems)
    problems.extend(schema_problems(fields, unknown_fields, missing_values))
    if problems:
        raise SchemaError(f"The schema cannot be used: {'; '.join(problems)}.")
    return Fields(fields, unknown_fields, missing_values)


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"The schema cannot be used: it is not JSON: {error}.") from None


def _fields(document: Mapping[str, Any], problems: list[str]) -> tuple[Field, ...]:
    listed = document.get("fields")
    if not isinstance(listed, Sequence) or isinstance(listed, str | bytes):
        problems.append("fields: expected a list of fields" + ("" if "fields" in document else ", found no such key"))
        return ()
    fields = []
    for position, entry in enumerate(listed):
        if isinstance(entry, Field):
            fields.append(entry)
        elif isinstance(entry, Mapping):
            fields.append(_field(entry, position, problems))
        else:
            problems.append(f"field {position}: expected an object with name and type, found {type(entry).__name__}")
    return tuple(fields)


def _options(document: Mapping[str, Any], problems: list[str]) -> tuple[Any, Any]:
    unknown = [key for key in document if key not in _SCHEMA_KEYS | _TABLE_KEYS]
    problems.extend(f"{key}: no such key, expected {', '.join(sorted(_SCHEMA_KEYS))}" for key in unknown)
    if "missing_values" in document and "missingValues" in document:
        problems.append("missing_values and missingValues are the same: give one of them")
    missing = document.get("missing_values", document.get("missingValues", [""]))
    if isinstance(missing, Sequence) and not isinstance(missing, str | bytes):
        # Table Schema 2 may label them: {"value": "-99", "label": "refused"}.
        missing = tuple(each["value"] if isinstance(each, Mapping) and "value" in each else each for each in missing)
    return document.get("unknown_fields", "drop"), missing


def _field(entry: Mapping[str, Any], position: int, problems: list[str]) -> Field:
    name = entry.get("name", "")
    where = f"field {name!r}" if name else f"field {position}"
    found: list[str] = [f"no such key {key!r}" for key in entry if key not in _FIELD_KEYS | _ANNOTATIONS]
    given = entry.get("constraints")
    if given is not None and not isinstance(given, Mapping):
        found.append(f"constraints: expected an object, found {type(given).__name__}")
    constraints = dict(given) if isinstance(given, Mapping) else {}
    type_ = entry.get("type", "string")
    nullable = _nullable(entry, constraints, found)
    if "default" in entry and entry["default"] is None and nullable is False:
        found.append("default: found null, and the field is not nullable")
    format_ = entry.get("format", ())
    if type_ == "string":
        if "%" in str(format_):
            found.append(f"format: {format_!r} is the pattern of a date, time or datetime, and the type is string")
        # Any other is an annotation (email, uri).
        format_ = ()
    if isinstance(type_, str) and type_ not in FIELD_TYPES:
        if type_ in _TABLE_PATTERNS:
            constraints.setdefault("pattern", _TABLE_PATTERNS[type_])
        type_ = _TABLE_TYPES.get(type_, type_)
    limits = _constraints(constraints, found)
    field = Field(
        name,
        type_,
        nullable,
        entry.get("description"),
        limits,
        _written(entry, found),
        source=entry.get("source"),
        coerce=_listed(entry.get("coerce", ())),
        format=() if format_ == "default" else _listed(format_),
        default=entry.get("default"),
        write_as=entry.get("write_as", "string"),
    )
    problems.extend(f"{where}: {problem}" for problem in found)
    return field


def _listed(value: Any) -> Any:
    """Return one name, or a list of such, as a tuple; anything else as it is, for the checks."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _nullable(entry: Mapping[str, Any], constraints: dict[str, Any], found: list[str]) -> Any:
    """Return whether null is allowed, from the keywords of either form; take ``required`` from the constraints."""
    required = constraints.pop("required", None)
    if required is None:
        return entry.get("nullable", True)
    if not isinstance(required, bool):
        found.append(f"constraints: required: expected true or false, found {required!r}")
        return True
    if entry.get("nullable", not required) == required:
        found.append(f"nullable and constraints.required are both {str(required).lower()}: they contradict each other")
    return not required


def _written(entry: Mapping[str, Any], found: list[str]) -> NumberFormat:
    named: dict[str, Any] = {}
    for camel, name in _NUMBER_KEYS.items():
        if camel in entry and name in entry:
            found.append(f"{camel} and {name} are the same: give one of them")
        for key in (camel, name):
            if key in entry:
                named[name] = entry[key]
    return NumberFormat(**named)


def _constraints(given: dict[str, Any], found: list[str]) -> Constraints:
    given.pop("unique", None)
    named: dict[str, Any] = {}
    for key, value in given.items():
        name = _CAMEL_CASE.get(key, key)
        if name not in _CONSTRAINT_NAMES:
            found.append(f"constraints: no such constraint {key!r}, expected {', '.join(_CONSTRAINT_NAMES)}")
        elif name in named:
            found.append(f"constraints: {name} is given twice")
        else:
            named[name] = tuple(value) if name == "enum" and isinstance(value, list) else value
    return Constraints(**named)
