"""The branches of the core schemas of fields, and the labels that tell them apart in errors."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import CoreSchema
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.types.coercions import DATE_TEXT, DATETIME_TEXT, TIME_TEXT
from airflow_provider_osmosdest.core.schema.types.json_values import JSON_VALUE, finite_float
from airflow_provider_osmosdest.core.schema.types.patterns import whole_match

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FAST",
    "GUARD",
    "SLOW",
    "TEMPORAL",
    "Limits",
    "check",
    "constant_of",
    "exact",
    "free_value",
    "number_checks",
    "union",
    "written",
]

FAST = "\0fast"
"""Labels a union's branches that run in Rust alone; errors with it in their location are not shown."""

SLOW = "\0slow"
"""Labels a union's last branch; left out of the location of an error."""

GUARD = "\0guard"
"""Ends the name of a member that is only there to refuse a key; left out of the location of an error."""

TEMPORAL: dict[str, tuple[Callable[..., CoreSchema], str]] = {
    "date": (cs.date_schema, DATE_TEXT),
    "time": (partial(cs.time_schema, microseconds_precision="error"), TIME_TEXT),
    "datetime": (partial(cs.datetime_schema, microseconds_precision="error"), DATETIME_TEXT),
}
"""How to make the core schema of a temporal type, and the form its text has."""

Limits = dict[str, Any]
"""A field's constraints but its enum, as arguments of its type's core schema."""


def union(fast: list[CoreSchema], slow: CoreSchema) -> CoreSchema:
    """
    Return the schema that tries the fast branches, then the slow one.

    :param fast: branches that run in Rust alone
    :param slow: the branch that calls Python, and whose error is the one to show
    """
    choices: list[CoreSchema | tuple[CoreSchema, str]] = [(each, FAST) for each in fast]
    choices.append((slow, SLOW))
    # The values are of JSON's types, or have one wire form: let the serializer inspect the value itself.
    return cs.union_schema(choices, mode="left_to_right", serialization=cs.simple_ser_schema("any"))


def written(pattern: str, *, strip: bool = False, flags: str = "") -> CoreSchema:
    """
    Return the schema of a text that matches a pattern.

    :param pattern: the form of the whole text
    :param strip: match and return it without the white space around it
    :param flags: of the pattern, such as ``(?i)``
    """
    return cs.str_schema(strict=True, strip_whitespace=strip or None, pattern=flags + whole_match(pattern))


def constant_of(value: Any) -> CoreSchema:
    """
    Return the schema that makes one value of a text or of null.

    Rust has no constant, so the default of a schema that takes neither stands in.

    :param value: what comes out
    """
    return cs.with_default_schema(cs.int_schema(strict=True), default=value, on_error="default")


def free_value() -> CoreSchema:
    """Return the schema of any JSON value without NaN and Infinity."""
    return cs.definition_reference_schema(JSON_VALUE)


def exact(type_: str, limits: Limits, *, narrowed: bool) -> list[CoreSchema]:
    """
    Return the schemas that take a value already of the type (in JSON: written as the type is), and check it.

    :param type_: one of the schema's field types
    :param limits: what to check
    :param narrowed: whether anything is checked beside the type, here or after
    """
    if type_ == "number":
        whole, real = number_checks(limits)
        if not narrowed:
            return [cs.int_schema(strict=True), finite_float()]
        # In JSON, pydantic makes a float of an integer, losing digits: one that fails its checks must not get there.
        return [whole, cs.chain_schema([cs.any_schema(), cs.is_instance_schema(float), real])]
    if type_ == "object":
        return [cs.dict_schema(cs.str_schema(strict=True), free_value(), strict=True, **limits)]
    if type_ == "array":
        return [cs.list_schema(free_value(), strict=True, **limits)]
    make: dict[str, Callable[..., CoreSchema]] = {
        "string": cs.str_schema,
        "integer": cs.int_schema,
        "decimal": partial(cs.decimal_schema, allow_inf_nan=False),
        "boolean": cs.bool_schema,
        **{name: temporal for name, (temporal, _) in TEMPORAL.items()},
    }
    return [make[type_](strict=True, **limits)]


def check(type_: str, limits: Limits) -> CoreSchema:
    """
    Return the check of a coerced value, whose type, and whose content if it is a container, were checked before.

    :param type_: one of the schema's field types
    :param limits: what to check
    """
    if type_ == "object":
        return cs.dict_schema(**limits)
    if type_ == "array":
        return cs.list_schema(**limits)
    if type_ == "number":
        whole, real = number_checks(limits)
        return cs.tagged_union_schema({"int": whole, "float": real}, discriminator=lambda value: type(value).__name__)
    return exact(type_, limits, narrowed=True)[0]


def number_checks(limits: Limits, *, strict: bool = True) -> tuple[CoreSchema, CoreSchema]:
    """
    Return the checks of a number that is an integer and of one that is a float, under the same limits.

    :param limits: what to check
    :param strict: take no text
    """
    nearest = {name: (math.ceil if name == "ge" else math.floor)(bound) for name, bound in limits.items()}
    return cs.int_schema(strict=strict, **nearest), cs.float_schema(strict=strict, allow_inf_nan=False, **limits)
