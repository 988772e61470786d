"""Write a schema as JSON Schema (draft 2020-12): of a record as it is delivered, and of one as it is taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.schema.types.core_schemas import constant
from airflow_provider_osmosdest.core.schema.types.time_patterns import ISO

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.schema.fields import Field, Fields

__all__ = ["field_json_schema", "taken_field_json_schema", "taken_json_schema", "to_json_schema"]

_TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "decimal": {"type": ["string", "number"], "format": "decimal"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "datetime": {"type": "string", "format": "date-time"},
    "object": {"type": "object"},
    "array": {"type": "array"},
}

# JSON Schema has no bounds for dates; these two keywords are those of its widest extension (ajv-formats).
_TEMPORAL_BOUNDS = {"minimum": "formatMinimum", "maximum": "formatMaximum"}

_LENGTHS = {
    "string": ("minLength", "maxLength"),
    "object": ("minProperties", "maxProperties"),
    "array": ("minItems", "maxItems"),
}


def to_json_schema(schema: Fields) -> dict[str, Any]:
    """
    Return the JSON Schema of a record as it is delivered.

    :param schema: the schema of the records
    """
    properties = {field.name: field_json_schema(field) for field in schema.fields}
    return _document(schema, properties, [field.name for field in schema.fields if not field.nullable])


def taken_json_schema(schema: Fields) -> dict[str, Any]:
    """
    Return the JSON Schema of a record that is taken: under the names that fields are read from, and as they are read.

    What satisfies it is taken, but for a text that is to be read as something else, whose form it can only describe.

    :param schema: the schema of the records
    """
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in schema.fields:
        name = field.source or field.name
        # Where two fields are read from one key, both have to take its value.
        mine = taken_field_json_schema(field)
        properties[name] = {"allOf": [properties[name], mine]} if name in properties else mine
        if not field.nullable and field.default is None and name not in required:
            required.append(name)
    return _document(schema, properties, required)


def _document(schema: Fields, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
    }
    if required:
        document["required"] = required
    if schema.unknown_fields != "drop":
        document["additionalProperties"] = schema.unknown_fields == "keep"
    return document


def field_json_schema(field: Field) -> dict[str, Any]:
    """
    Return the JSON Schema of one field's value.

    :param field: a field of the schema
    """
    document = dict(_TYPES[field.type])
    if field.write_as == "number":
        document["type"] = "number"
    given = field.constraints.given()
    for name in ("minimum", "maximum"):
        if name in given:
            document |= _bound(name, constant(field.type, given[name]))
    lengths = zip(("min_length", "max_length"), _LENGTHS.get(field.type, ()), strict=False)
    document |= {keyword: given[name] for name, keyword in lengths if name in given}
    if "pattern" in given:
        document["pattern"] = f"^(?:{given['pattern']})$"
    if "enum" in given:
        values = [_constant(field, value) for value in given["enum"]]
        document["enum"] = [*values, *([None] if field.nullable else [])]
    if field.nullable:
        types = document["type"] if isinstance(document["type"], list) else [document["type"]]
        document["type"] = [*types, "null"]
    if field.description is not None:
        document["description"] = field.description
    if field.default is not None:
        document["default"] = _constant(field, field.default)
    return document


def taken_field_json_schema(field: Field) -> dict[str, Any]:
    """
    Return the JSON Schema of the values that a field takes.

    :param field: a field of the schema
    """
    document = field_json_schema(
        replace(field, nullable=field.nullable or field.default is not None, write_as="string")
    )
    types = document["type"] if isinstance(document["type"], list) else [document["type"]]
    if field.format:
        # Its bounds and values are in ISO 8601, and what is taken is not.
        kept: dict[str, Any] = {name: document[name] for name in ("description", "default") if name in document}
        shown = " or ".join("ISO 8601" if pattern == ISO else pattern for pattern in field.format)
        about = f"{kept.get('description', '')} Written as {shown} (directives of strptime).".lstrip()
        document = {"type": document["type"], **kept, "description": about}
    if "to_string" in field.coerce:
        types += ["number", "boolean"]
    if "from_string" in field.coerce and "string" not in types:
        types.append("string")
    if "empty_to_null" in field.coerce and field.type in {"object", "array"}:
        types.append("string")
        document["maxLength"] = 0
    if len(types) > 1:
        document["type"] = types
    return document


def _constant(field: Field, value: Any) -> Any:
    """Return a constant of a field as the field's values are delivered."""
    made = constant(field.type, value)
    return _number(made) if field.write_as == "number" else msgspec.to_builtins(made)


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _bound(name: str, bound: Any) -> dict[str, Any]:
    """Return a bound with its keyword; JSON Schema demands a JSON number of those it has itself."""
    if isinstance(bound, date | time):
        return {_TEMPORAL_BOUNDS[name]: msgspec.to_builtins(bound)}
    if isinstance(bound, Decimal):
        return {name: _number(bound)}
    return {name: bound}
