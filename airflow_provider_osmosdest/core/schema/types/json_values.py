"""
Free-form JSON values: what object and array fields, and kept unknown fields, may hold.

The parser reads ``NaN``, ``Infinity`` and ``1e999`` as floats and the encoder would write them as null,
so every float in a free-form value is checked, in Rust where the value is made of JSON's own types.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core import core_schema as cs

__all__ = ["JSON_VALUE", "MAX_DEPTH", "finite_float", "is_temporal", "json_value_definition", "plain_json"]

JSON_VALUE = "osmos-json-value"
"""Name under which :func:`json_value_definition` is referred to inside a core schema."""

MAX_DEPTH = 200
"""How deep arrays and objects may be nested: the JSON parser's own limit, kept for Python values too."""


def finite_float() -> CoreSchema:
    """Return the core schema of a float that is neither NaN nor infinite; in JSON it takes integers too."""
    schema = cs.float_schema(strict=True, allow_inf_nan=False)
    # Strict or not, pydantic makes a float of every object that has __float__, a Decimal among them.
    return cs.json_or_python_schema(schema, cs.chain_schema([cs.is_instance_schema(float), schema]))


def json_value_definition() -> CoreSchema:
    """Return the core schema of a JSON value whose numbers are all finite; to be put among the definitions."""
    inner = cs.definition_reference_schema(JSON_VALUE)
    # The order is the speed: strings and integers are most of what JSON holds.
    return cs.union_schema(
        [
            cs.str_schema(strict=True),
            cs.int_schema(strict=True),
            finite_float(),
            cs.none_schema(),
            cs.bool_schema(strict=True),
            cs.dict_schema(cs.str_schema(strict=True), inner, strict=True),
            cs.list_schema(inner, strict=True),
        ],
        mode="left_to_right",
        ref=JSON_VALUE,
    )


def plain_json(value: Any) -> Any:
    """
    Return a value as JSON's own types, with dates, times, decimals and UUIDs as they are (they have a wire form).

    :param value: any Python object
    :raises PydanticCustomError: naming the location of a value that JSON cannot hold
    """
    return _plain(value, "", 0)


def is_temporal(value: Any) -> bool:
    """Return whether a value is a date, a time or a datetime; pandas' NaT claims to be one, and is not."""
    return isinstance(value, date | time) and value == value  # noqa: PLR0124 - NaT equals nothing, like NaN


def _plain(value: Any, place: str, depth: int) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        _refuse(place, "a finite number", value)
    if value is None or isinstance(value, bool | str | int | float):
        return value
    if depth >= MAX_DEPTH:
        raise PydanticCustomError("json_depth", "Input should be nested at most {depth} deep", {"depth": MAX_DEPTH})
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                _refuse(place, "an object with strings as keys", key)
        return {key: _plain(item, f"{place}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, Decimal) and not value.is_finite():
        _refuse(place, "a finite decimal", value)
    if not isinstance(value, Decimal | UUID) and not is_temporal(value):
        _refuse(place, "a value that JSON can hold", value)
    return value


def _refuse(place: str, expected: str, found: Any) -> NoReturn:
    where = f" at {place.lstrip('.')}" if place else ""
    shown = repr(found) if isinstance(found, float | int | Decimal) else type(found).__name__
    raise PydanticCustomError(
        "json_value",
        "Input should be {expected}{where}, not {found}",
        {"expected": expected, "where": where, "found": shown},
    )
