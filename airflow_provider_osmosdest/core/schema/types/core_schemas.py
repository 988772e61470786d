"""
Build the pydantic core schema of a field, for the bulk validator and the model alike.

Every schema is a union tried from left to right: first what Rust takes as it is, last a Python function
of :mod:`.coercions` for the values that need more than that. The first branch costs what a plain strict
schema costs; the last one runs only for unusual values and for bad ones, and its error is the one shown.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.types.branches import (
    TEMPORAL,
    Limits,
    check,
    constant_of,
    exact,
    free_value,
    union,
    written,
)
from airflow_provider_osmosdest.core.schema.types.coercions import NUMBER_TEXT, coerce
from airflow_provider_osmosdest.core.schema.types.json_values import finite_float, json_value_definition, plain_json
from airflow_provider_osmosdest.core.schema.types.patterns import whole_match
from airflow_provider_osmosdest.core.schema.types.reading import reading_of
from airflow_provider_osmosdest.core.schema.types.text_schemas import text_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.schema.fields import Constraints, Field

__all__ = ["constant", "default_of", "field_schema", "free_schema", "with_json_values"]


# What pydantic's literals hold.
_INT64 = 2**63

# Beyond a double, readers of JSON take a number for infinity or refuse it.
_LARGEST = Decimal("1.7976931348623157E+308")


def field_schema(
    field: Field, *, textual: bool = False, missing_values: tuple[str, ...] = (), verbatim: bool = False
) -> CoreSchema:
    """
    Return the core schema of a field's value, with null where the field takes it.

    It refers to :data:`~.json_values.JSON_VALUE`: wrap what it becomes part of in :func:`with_json_values`.

    :param field: a field that has passed the schema's checks
    :param textual: the values come from a format without types
    :param missing_values: the texts that are null in such a format
    :param verbatim: let numbers and booleans that become texts through unread in JSON; their texts are put in after
    """
    limits = _limits(field.type, field.constraints)
    if field.write_as == "number":
        limits["ge"] = max(limits.get("ge", -_LARGEST), -_LARGEST)
        limits["le"] = min(limits.get("le", _LARGEST), _LARGEST)
    enum = field.constraints.enum
    finish: Callable[[CoreSchema], CoreSchema] = partial(_one_of, type_=field.type, values=enum) if enum else _as_it_is
    reading = reading_of(field, textual=textual, missing_values=missing_values)
    default = default_of(field)
    if reading is None:
        schema = _typed(field.type, limits, finish)
    else:
        in_json, in_python, _ = _branches(field.type, limits, finish)
        schema = text_schema(
            field, limits, finish, reading, values=(in_json, in_python), default=default, verbatim=verbatim
        )
    if default is not None and (textual or not field.nullable):
        return union([cs.chain_schema([cs.none_schema(), constant_of(default)])], schema)
    return cs.nullable_schema(schema) if field.nullable else schema


def default_of(field: Field) -> Any:
    """
    Return what is delivered where a record lacks the field, as a Python value; ``None`` where that is null or nothing.

    :param field: a field that has passed the schema's checks
    """
    return None if field.default is None else constant(field.type, field.default)


def free_schema() -> CoreSchema:
    """Return the core schema of a kept unknown field: any JSON value."""
    return union([free_value()], cs.no_info_plain_validator_function(plain_json))


def with_json_values(schema: CoreSchema) -> CoreSchema:
    """Return the schema with the definition that free-form values refer to."""
    return cs.definitions_schema(schema, [json_value_definition()])


def constant(type_: str, value: Any) -> Any:
    """
    Return a constant of a schema document (a bound, an enum's value) as the field type's Python value.

    :param type_: one of the schema's field types
    :param value: the constant, as JSON has it
    :raises pydantic_core.ValidationError: where it is not of the type
    """
    return SchemaValidator(with_json_values(_typed(type_, {}, _as_it_is))).validate_python(value)


def _as_it_is(schema: CoreSchema) -> CoreSchema:
    return schema


def _limits(type_: str, constraints: Constraints) -> Limits:
    limits: Limits = {}
    if constraints.minimum is not None:
        limits["ge"] = constant(type_, constraints.minimum)
    if constraints.maximum is not None:
        limits["le"] = constant(type_, constraints.maximum)
    for name in ("min_length", "max_length"):
        if (length := getattr(constraints, name)) is not None:
            limits[name] = length
    if constraints.pattern is not None:
        limits["pattern"] = whole_match(constraints.pattern)
    return limits


def _typed(type_: str, limits: Limits, finish: Callable[[CoreSchema], CoreSchema]) -> CoreSchema:
    """Return the core schema of a typed value: of JSON, Parquet or Python."""
    in_json, in_python, texts = _branches(type_, limits, finish)
    if type_ == "string":
        return texts[0]
    slow = finish(cs.chain_schema([cs.no_info_plain_validator_function(coerce(type_)), check(type_, limits)]))
    if not texts:
        return union(in_json, slow)
    return cs.json_or_python_schema(union([*in_json, *texts], slow), union([*in_python, *texts], slow))


def _branches(
    type_: str, limits: Limits, finish: Callable[[CoreSchema], CoreSchema]
) -> tuple[list[CoreSchema], list[CoreSchema], list[CoreSchema]]:
    """Return the branches that run in Rust: for typed values in JSON, for those in Python, and for texts."""
    fast = [finish(each) for each in exact(type_, limits, narrowed=bool(limits) or finish is not _as_it_is)]
    if type_ == "string":
        return [], [], fast
    if type_ in TEMPORAL:
        # Strict or not, pydantic reads a string of digits as a Unix time stamp, so the form is looked at first.
        make, pattern = TEMPORAL[type_]
        return [], fast, [finish(cs.chain_schema([written(pattern), make(**limits)]))]
    if type_ == "decimal":
        number = cs.union_schema([cs.int_schema(strict=True), finite_float()], mode="left_to_right")
        decimal = cs.decimal_schema(allow_inf_nan=False, **limits)
        numbers, texts = ([finish(cs.chain_schema([each, decimal]))] for each in (number, written(NUMBER_TEXT)))
        return numbers, [*fast, *numbers], texts
    return fast, fast, []


def _one_of(schema: CoreSchema, *, type_: str, values: tuple[Any, ...]) -> CoreSchema:
    """Return the schema narrowed to an enum's values."""
    constants = [constant(type_, value) for value in values]
    if type_ == "string" or (type_ == "integer" and all(-_INT64 <= value < _INT64 for value in constants)):
        return cs.chain_schema([schema, cs.literal_schema(constants)])
    known = {_identity(value) for value in constants}
    expected = " or ".join(json.dumps(value, ensure_ascii=False) for value in values)

    def check(value: Any) -> Any:
        if _identity(value) not in known:
            raise PydanticCustomError("enum", "Input should be {expected}", {"expected": expected})
        return value

    return cs.no_info_after_validator_function(check, schema)


def _identity(value: Any) -> Any:
    """Return what two values of one field have in common when JSON Schema calls them equal."""
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=str)
    return value
