"""Build the core schema of a field whose texts are read: cells, and all where a field has ``coerce`` or ``format``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import CoreSchema, SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.types.branches import (
    TEMPORAL,
    Limits,
    check,
    constant_of,
    number_checks,
    union,
    written,
)
from airflow_provider_osmosdest.core.schema.types.coercions import INTEGER_TEXT, NUMBER_TEXT, REAL_TEXT
from airflow_provider_osmosdest.core.schema.types.json_values import finite_float

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.schema.fields import Field
    from airflow_provider_osmosdest.core.schema.types.reading import Reading

__all__ = ["text_schema"]

_UNREAD = [cs.int_schema(strict=True), finite_float(), cs.bool_schema(strict=True)]


def text_schema(
    field: Field,
    limits: Limits,
    finish: Callable[[CoreSchema], CoreSchema],
    reading: Reading,
    *,
    values: tuple[list[CoreSchema], list[CoreSchema]],
    default: Any,
    verbatim: bool,
) -> CoreSchema:
    """
    Return the core schema of values of which texts are read; null is not among what it takes.

    :param field: the field
    :param limits: its constraints but the enum
    :param finish: puts the enum's check around a branch
    :param reading: what is done to its values
    :param values: the branches for typed values that are no texts, in JSON and in Python
    :param default: the field's, as a Python value; ``None`` where it has none
    :param verbatim: let numbers and booleans that become texts through unread in JSON; their texts are put in after
    """
    plain = cs.no_info_plain_validator_function(reading.coercion(field.type))
    slow = finish(cs.chain_schema([plain, check(field.type, limits)]))
    instead = default if reading.blank_is_absent or not field.nullable else None
    allowed = field.nullable or instead is not None
    missing = [_missing(reading, instead)] if reading.missing and allowed else []
    texts = [] if reading.read_number or reading.times else _texts(field.type, limits, finish, reading)
    if reading.textual:
        return union(
            [*missing, *texts] if field.type == "string" and reading.missing != {""} else [*texts, *missing], slow
        )
    unread = _UNREAD if verbatim and reading.to_text else []
    in_json, in_python = values
    return cs.json_or_python_schema(
        union([*in_json, *texts, *missing, *unread], slow), union([*in_python, *texts, *missing], slow)
    )


def _texts(
    type_: str, limits: Limits, finish: Callable[[CoreSchema], CoreSchema], reading: Reading
) -> list[CoreSchema]:
    """Return the schemas that read the type from a text without Python, and take none that is null."""
    if type_ == "string" and reading.missing == {""}:
        # An empty text is the only one to keep out, and a least length of 1 does that for nothing.
        limits = {**limits, "min_length": limits.get("min_length") or 1}
        return [finish(_string(limits, strip=reading.strip))]
    branches = [finish(each) for each in _from_text(type_, limits, reading)]
    reads = [SchemaValidator(each) for each in _from_text(type_, {}, reading)]
    return [] if any(_takes(read, text) for read in reads for text in reading.missing) else branches


def _takes(read: SchemaValidator, text: str) -> bool:
    try:
        read.validate_python(text)
    except ValidationError:
        return False
    return True


def _string(limits: Limits, *, strip: bool) -> CoreSchema:
    return cs.str_schema(strict=True, strip_whitespace=strip or None, **limits)


def _from_text(  # noqa: PLR0911 - a table of types
    type_: str, limits: Limits, reading: Reading
) -> list[CoreSchema]:
    """Return the schemas that read the type from a text, without the enum's check."""
    strip = reading.strip
    match type_:
        case "string":
            return [_string(limits, strip=strip)]
        case "integer":
            return [cs.chain_schema([written(INTEGER_TEXT, strip=strip), cs.int_schema(**limits)])]
        case "number":
            whole, real = number_checks(limits, strict=False)
            return [
                cs.chain_schema([written(INTEGER_TEXT, strip=strip), whole]),
                cs.chain_schema([written(REAL_TEXT, strip=strip), real]),
            ]
        case "decimal":
            return [
                cs.chain_schema([written(NUMBER_TEXT, strip=strip), cs.decimal_schema(allow_inf_nan=False, **limits)])
            ]
        case "boolean" if reading.as_cell:
            words = "true|false|yes|no|[tfyn01]"
            return [cs.chain_schema([written(words, strip=True, flags="(?i)"), cs.bool_schema()])]
        case "date" | "time" | "datetime":
            make, pattern = TEMPORAL[type_]
            return [cs.chain_schema([written(pattern, strip=strip), make(**limits)])]
    return []


def _missing(reading: Reading, instead: Any) -> CoreSchema:
    """Return the schema that takes a text that is null, and returns what is delivered instead."""
    text = cs.literal_schema(sorted(reading.missing))
    return cs.chain_schema([_string({}, strip=reading.strip), text, constant_of(instead)])
