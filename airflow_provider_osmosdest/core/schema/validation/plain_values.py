"""How msgspec reads the values of a field, and what is left to look at in its column."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from airflow_provider_osmosdest.core.schema.types.core_schemas import constant
from airflow_provider_osmosdest.core.schema.validation.columns import (
    Bounds,
    Checked,
    Decimals,
    Members,
    Read,
    bounds_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_osmosdest.core.schema.fields import Field
    from airflow_provider_osmosdest.core.schema.validation.columns import Column

__all__ = ["TEMPORAL", "plain_value"]

TEMPORAL = ("time", "datetime")
"""The types whose fractions of a second msgspec rounds, where they have more digits than it keeps."""

_TYPES: Mapping[str, Any] = {
    "string": str,
    "boolean": bool,
    "date": date,
    "time": time,
    "datetime": datetime,
    "object": dict[str, Any],
    "array": list[Any],
}

# Up to here a bound is the same as integer and as double.
_EXACT = 2**53

# So many digits survive the way through a double, which pydantic takes with numbers.
_SAFE_DIGITS = 15


def plain_value(field: Field) -> tuple[Any, list[Column]] | None:  # noqa: PLR0911 - a table of types
    """
    Return the type that msgspec reads a field's values as, null aside, and the checks of what it has read.

    :param field: a field of the schema
    :return: None where only pydantic can read the field
    """
    given = field.constraints.given()
    if _reads_texts_otherwise(field):
        # What is absent is no JSON to be read, missing values are the schema's, and digits would go through a double.
        plain = field.default is None and not {"from_string", "to_string"} & set(field.coerce)
        return (msgspec.Raw, [Read(field)]) if plain else None
    if field.type == "string" and "empty_to_null" in field.coerce:
        given["min_length"] = given.get("min_length") or 1
    if field.type == "decimal":
        bounds = [bound for bound in bounds_of(field) if bound is not None]
        exact = all(len(bound.as_tuple().digits) <= _SAFE_DIGITS for bound in bounds)
        return (msgspec.Raw, [Decimals(field)]) if exact else None
    if field.type in ("object", "array") and "enum" in given:
        return msgspec.Raw, [Read(field)]
    columns: list[Column] = []
    if "pattern" in given:
        columns.append(Checked(field))
        del given["pattern"]
    elif "enum" in given:
        if set(given) == {"enum"} and (literal := _literal(field)) is not None:
            return literal, []
        columns.append(Members(field))
    given.pop("enum", None)
    if field.type in ("integer", "number"):
        return _number(field, given, columns)
    if {"minimum", "maximum"} & set(given):
        return _TYPES[field.type], [*columns, Bounds(field)]
    return _narrowed(_TYPES[field.type], given), columns


def _reads_texts_otherwise(field: Field) -> bool:
    """Return whether a text that msgspec would take as it is may be read as something else."""
    if field.type == "string":
        return "trim" in field.coerce
    # A missing value may be the text of a date or a decimal. Of other types, msgspec takes no texts.
    return bool(field.format) or ("from_string" in field.coerce and field.type in ("decimal", "date", *TEMPORAL))


def _number(field: Field, given: Mapping[str, Any], columns: list[Column]) -> tuple[Any, list[Column]]:
    limits = {{"minimum": "ge", "maximum": "le"}[name]: constant(field.type, bound) for name, bound in given.items()}
    if any(abs(bound) > _EXACT for bound in limits.values()):
        columns, limits = [*columns, Bounds(field)], {}
    whole = _narrowed(int, {name: (math.ceil if name == "ge" else math.floor)(at) for name, at in limits.items()})
    return whole if field.type == "integer" else whole | _narrowed(float, limits), columns


def _literal(field: Field) -> Any:
    """Return the literal type of an enum, or None where msgspec has none: it takes texts and small integers."""
    values = [constant(field.type, value) for value in field.constraints.enum or ()]
    if field.type == "string" or (field.type == "integer" and all(abs(value) <= _EXACT for value in values)):
        return Literal[tuple(values)]
    return None


def _narrowed(type_: Any, limits: Mapping[str, Any]) -> Any:
    return Annotated[type_, msgspec.Meta(**limits)] if limits else type_
