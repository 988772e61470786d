"""Write a schema as JSON Schema (draft 2020-12), which describes a record as it is sent to the API."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.schema.types.core_schemas import constant

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.schema.fields import Field, Fields

__all__ = ["field_json_schema", "to_json_schema"]

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
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {field.name: field_json_schema(field) for field in schema.fields},
    }
    if required := [field.name for field in schema.fields if not field.nullable]:
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
    given = field.constraints.given()
    for name in ("minimum", "maximum"):
        if name in given:
            document |= _bound(name, constant(field.type, given[name]))
    lengths = zip(("min_length", "max_length"), _LENGTHS.get(field.type, ()), strict=False)
    document |= {keyword: given[name] for name, keyword in lengths if name in given}
    if "pattern" in given:
        document["pattern"] = f"^(?:{given['pattern']})$"
    if "enum" in given:
        values = [msgspec.to_builtins(constant(field.type, value)) for value in given["enum"]]
        document["enum"] = [*values, *([None] if field.nullable else [])]
    if field.nullable:
        types = document["type"] if isinstance(document["type"], list) else [document["type"]]
        document["type"] = [*types, "null"]
    if field.description is not None:
        document["description"] = field.description
    return document


def _bound(name: str, bound: Any) -> dict[str, Any]:
    """Return a bound with its keyword; JSON Schema demands a JSON number of those it has itself."""
    if isinstance(bound, date | time):
        return {_TEMPORAL_BOUNDS[name]: msgspec.to_builtins(bound)}
    if isinstance(bound, Decimal):
        return {name: int(bound) if bound == bound.to_integral_value() else float(bound)}
    return {name: bound}
