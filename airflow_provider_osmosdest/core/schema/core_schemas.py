"""
A field as a pydantic core schema, for the bulk validator and the model alike.

Every schema is a union tried from left to right: first what Rust takes as it is, last a Python function
of :mod:`.coercions` for the values that need more than that. The first branch costs what a plain strict
schema costs; the last one runs only for unusual values and for bad ones, and its error is the one shown.
"""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator
from pydantic_core import SchemaError as CoreSchemaError
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.coercions import (
    DATE_TEXT,
    DATETIME_TEXT,
    INTEGER_TEXT,
    NUMBER_TEXT,
    TIME_TEXT,
    coerce,
    coerce_text,
)
from airflow_provider_osmosdest.core.schema.json_values import (
    JSON_VALUE,
    finite_float,
    json_value_definition,
    plain_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.schema.fields import Constraints, Field

__all__ = [
    "FAST",
    "GUARD",
    "SLOW",
    "constant",
    "field_schema",
    "free_schema",
    "pattern_problem",
    "whole_match",
    "with_json_values",
]

FAST = "\0fast"
"""Labels a union's branches that Rust decides alone; errors with it in their place are not shown."""

SLOW = "\0slow"
"""Labels a union's last branch; left out of the place of an error."""

GUARD = "\0guard"
"""Ends the name of a member that is only there to refuse a key; left out of the place of an error."""

_TEMPORAL: dict[str, tuple[Callable[..., CoreSchema], str]] = {
    "date": (cs.date_schema, DATE_TEXT),
    "time": (partial(cs.time_schema, microseconds_precision="error"), TIME_TEXT),
    "datetime": (partial(cs.datetime_schema, microseconds_precision="error"), DATETIME_TEXT),
}


def field_schema(field: Field, *, textual: bool = False, missing_values: tuple[str, ...] = ()) -> CoreSchema:
    """
    Return the core schema of a field's value, null included where the field is nullable.

    It refers to :data:`~.json_values.JSON_VALUE`: wrap what it becomes part of in :func:`with_json_values`.

    :param field: a field that has passed the schema's checks
    :param textual: the values come from a format without types
    :param missing_values: the texts that are null in such a format
    """
    limits = _limits(field.type, field.constraints)
    exact = _exact(field.type, limits)
    enum = field.constraints.enum
    finish: Callable[[CoreSchema], CoreSchema] = partial(_one_of, type_=field.type, values=enum) if enum else _as_it_is
    if textual:
        schema = _textual(field, limits, exact, finish, frozenset(map(str.strip, missing_values)))
    else:
        schema = _typed(field.type, limits, exact, finish)
    return cs.nullable_schema(schema) if field.nullable else schema


def free_schema() -> CoreSchema:
    """Return the core schema of a kept unknown field: any JSON value."""
    return _union([_json_value()], cs.no_info_plain_validator_function(plain_json))


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
    schema = with_json_values(_typed(type_, {}, _exact(type_, {}), _as_it_is))
    return SchemaValidator(schema).validate_python(value)


def whole_match(pattern: str) -> str:
    """Return the pattern that matches where the given one matches the whole of a string."""
    return rf"\A(?:{pattern})\z"


def pattern_problem(pattern: str) -> str | None:
    """Return what keeps a pattern from being a regular expression in Rust's syntax, None where nothing does."""
    try:
        # Both: "a)(b" is only a pattern once it is wrapped, "(?x) a #" only until it is.
        for each in (pattern, whole_match(pattern)):
            SchemaValidator(cs.str_schema(pattern=each))
    except (CoreSchemaError, UnicodeEncodeError) as error:
        return " ".join(str(error).rpartition("error:")[2].split())
    return None


def _as_it_is(schema: CoreSchema) -> CoreSchema:
    return schema


def _union(fast: list[CoreSchema], slow: CoreSchema) -> CoreSchema:
    choices: list[CoreSchema | tuple[CoreSchema, str]] = [(each, FAST) for each in fast]
    choices.append((slow, SLOW))
    # The values are of JSON's types, or have one wire form: let the serializer look at the value itself.
    return cs.union_schema(choices, mode="left_to_right", serialization=cs.simple_ser_schema("any"))


def _text(pattern: str, *, strip: bool = False, flags: str = "") -> CoreSchema:
    return cs.str_schema(strict=True, strip_whitespace=strip or None, pattern=flags + whole_match(pattern))


def _json_value() -> CoreSchema:
    return cs.definition_reference_schema(JSON_VALUE)


def _limits(type_: str, constraints: Constraints) -> dict[str, Any]:
    """Return the constraints, but for the enum, as the arguments of the type's core schema."""
    limits: dict[str, Any] = {}
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


def _exact(type_: str, limits: dict[str, Any]) -> list[CoreSchema]:  # noqa: PLR0911 - a table of the types
    """Return the schemas that take a value already of the type (in JSON: written as the type is), and check it."""
    match type_:
        case "string":
            return [cs.str_schema(strict=True, **limits)]
        case "integer":
            return [cs.int_schema(strict=True, **limits)]
        case "number":
            whole = dict(limits)
            if "ge" in whole:
                whole["ge"] = math.ceil(whole["ge"])
            if "le" in whole:
                whole["le"] = math.floor(whole["le"])
            return [cs.int_schema(strict=True, **whole), finite_float(**limits)]
        case "decimal":
            return [cs.decimal_schema(strict=True, allow_inf_nan=False, **limits)]
        case "boolean":
            return [cs.bool_schema(strict=True)]
        case "object":
            return [cs.dict_schema(cs.str_schema(strict=True), _json_value(), strict=True, **limits)]
        case "array":
            return [cs.list_schema(_json_value(), strict=True, **limits)]
        case _:
            return [_TEMPORAL[type_][0](strict=True, **limits)]


def _typed(
    type_: str, limits: dict[str, Any], exact: list[CoreSchema], finish: Callable[[CoreSchema], CoreSchema]
) -> CoreSchema:
    if type_ == "string":
        return finish(exact[0])
    slow = finish(cs.chain_schema([cs.no_info_plain_validator_function(coerce(type_)), *_narrow(type_, limits, exact)]))
    fast = [finish(each) for each in exact]
    if type_ in _TEMPORAL:
        # Strict or not, pydantic reads a string of digits as a Unix time stamp, so the form is looked at first.
        make, pattern = _TEMPORAL[type_]
        written = finish(cs.chain_schema([_text(pattern), make(**limits)]))
        return cs.json_or_python_schema(_union([written], slow), _union([*fast, written], slow))
    if type_ == "decimal":
        written = finish(cs.chain_schema([_text(NUMBER_TEXT), cs.decimal_schema(allow_inf_nan=False, **limits)]))
        whole = finish(cs.chain_schema([cs.int_schema(strict=True), cs.decimal_schema(**limits)]))
        real = finish(cs.chain_schema([finite_float(), cs.decimal_schema(**limits)]))
        return cs.json_or_python_schema(
            _union([real, written, whole], slow), _union([*fast, written, whole, real], slow)
        )
    return _union(fast, slow)


def _textual(
    field: Field,
    limits: dict[str, Any],
    exact: list[CoreSchema],
    finish: Callable[[CoreSchema], CoreSchema],
    missing_values: frozenset[str],
) -> CoreSchema:
    plain = cs.no_info_plain_validator_function(coerce_text(field.type, missing_values))
    slow = finish(cs.chain_schema([plain, *_narrow(field.type, limits, exact)]))
    fast = [finish(each) for each in _from_text(field.type, limits)]
    missing = _missing(missing_values) if missing_values and field.nullable else []
    if field.type != "string":
        return _union([*fast, *missing], slow)
    if missing_values == {""}:
        # An empty cell is the only string to keep out, and a least length of 1 does that for nothing.
        filled = cs.str_schema(
            strict=True, strip_whitespace=True, **{**limits, "min_length": limits.get("min_length") or 1}
        )
        return _union([finish(filled), *missing], slow)
    if missing_values and not field.nullable:
        return _union([], slow)
    return _union([*missing, *fast], slow)


def _from_text(type_: str, limits: dict[str, Any]) -> list[CoreSchema]:  # noqa: PLR0911 - a table of the types
    """Return the schemas that read the type from a cell's text without Python."""
    match type_:
        case "string":
            return [cs.str_schema(strict=True, strip_whitespace=True, **limits)]
        case "integer":
            return [cs.chain_schema([_text(INTEGER_TEXT, strip=True), cs.int_schema(**limits)])]
        case "number":
            whole, real = _exact("number", limits)
            return [
                cs.chain_schema([_text(INTEGER_TEXT, strip=True), cs.int_schema(), whole]),
                cs.chain_schema([_text(NUMBER_TEXT, strip=True), cs.float_schema(allow_inf_nan=False), real]),
            ]
        case "decimal":
            return [cs.chain_schema([_text(NUMBER_TEXT, strip=True), cs.decimal_schema(allow_inf_nan=False, **limits)])]
        case "boolean":
            words = "true|false|yes|no|[tfyn01]"
            return [cs.chain_schema([_text(words, strip=True, flags="(?i)"), cs.bool_schema()])]
        case "object" | "array":
            return []
        case _:
            make, pattern = _TEMPORAL[type_]
            return [cs.chain_schema([_text(pattern, strip=True), make(**limits)])]


def _missing(missing_values: frozenset[str]) -> list[CoreSchema]:
    """Return the schema that makes null of a missing value; Rust has no constant, so a default stands in."""
    null = cs.with_default_schema(cs.none_schema(), default=None, on_error="default")
    text = cs.str_schema(strict=True, strip_whitespace=True)
    return [cs.chain_schema([text, cs.literal_schema(sorted(missing_values)), null])]


def _narrow(type_: str, limits: dict[str, Any], exact: list[CoreSchema]) -> list[CoreSchema]:
    """Return the check of a coerced value, whose type is sure; free-form values were looked through on the way."""
    if type_ == "object":
        return [cs.dict_schema(**limits)]
    if type_ == "array":
        return [cs.list_schema(**limits)]
    if len(exact) == 1:
        return exact
    whole, real = exact
    return [
        cs.tagged_union_schema(
            {"int": whole, "float": real},
            discriminator=lambda value: type(value).__name__,
        )
    ]


def _one_of(schema: CoreSchema, *, type_: str, values: tuple[Any, ...]) -> CoreSchema:
    """Return the schema narrowed to an enum's values."""
    if type_ in ("string", "integer"):
        return cs.chain_schema([schema, cs.literal_schema([constant(type_, value) for value in values])])
    known = {_identity(constant(type_, value)) for value in values}
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
