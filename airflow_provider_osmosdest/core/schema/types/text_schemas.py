"""Build the core schema of a field for values of a format without types: cells of CSV, TSV and spreadsheets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import CoreSchema
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.types.branches import TEMPORAL, Limits, check, number_checks, union, written
from airflow_provider_osmosdest.core.schema.types.coercions import INTEGER_TEXT, NUMBER_TEXT, REAL_TEXT, coerce_text
from airflow_provider_osmosdest.core.schema.types.number_text import number_reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.schema.fields import Field

__all__ = ["text_schema"]


def text_schema(
    field: Field, limits: Limits, finish: Callable[[CoreSchema], CoreSchema], missing_values: frozenset[str]
) -> CoreSchema:
    """
    Return the core schema of a cell; None, which a spreadsheet's empty cell is, is not among what it takes.

    :param field: the field
    :param limits: its constraints but the enum
    :param finish: puts the enum's check around a branch
    :param missing_values: the texts that are null, without white space around them
    """
    read_number = number_reader(field.written)
    plain = cs.no_info_plain_validator_function(coerce_text(field.type, missing_values, read_number))
    slow = finish(cs.chain_schema([plain, check(field.type, limits)]))
    missing = _missing(missing_values) if missing_values and field.nullable else []
    if read_number is not None:
        return union(missing, slow)
    if field.type != "string":
        fast = [finish(each) for each in _from_text(field.type, limits)]
        return union([*fast, *missing], slow)
    if missing_values == {""}:
        # An empty cell is the only string to keep out, and a least length of 1 does that for nothing.
        limits = {**limits, "min_length": limits.get("min_length") or 1}
        return union([finish(_stripped(limits)), *missing], slow)
    if missing_values and not field.nullable:
        return union([], slow)
    return union([*missing, finish(_stripped(limits))], slow)


def _stripped(limits: Limits) -> CoreSchema:
    return cs.str_schema(strict=True, strip_whitespace=True, **limits)


def _from_text(type_: str, limits: Limits) -> list[CoreSchema]:
    """Return the schemas that read the type from a cell's text without Python."""
    match type_:
        case "integer":
            return [cs.chain_schema([written(INTEGER_TEXT, strip=True), cs.int_schema(**limits)])]
        case "number":
            whole, real = number_checks(limits, strict=False)
            return [
                cs.chain_schema([written(INTEGER_TEXT, strip=True), whole]),
                cs.chain_schema([written(REAL_TEXT, strip=True), real]),
            ]
        case "decimal":
            return [
                cs.chain_schema([written(NUMBER_TEXT, strip=True), cs.decimal_schema(allow_inf_nan=False, **limits)])
            ]
        case "boolean":
            words = "true|false|yes|no|[tfyn01]"
            return [cs.chain_schema([written(words, strip=True, flags="(?i)"), cs.bool_schema()])]
        case "date" | "time" | "datetime":
            make, pattern = TEMPORAL[type_]
            return [cs.chain_schema([written(pattern, strip=True), make(**limits)])]
    return []


def _missing(missing_values: frozenset[str]) -> list[CoreSchema]:
    """Return the schema that makes null of a missing value; Rust has no constant, so a default stands in."""
    null = cs.with_default_schema(cs.none_schema(), default=None, on_error="default")
    return [cs.chain_schema([_stripped({}), cs.literal_schema(sorted(missing_values)), null])]
