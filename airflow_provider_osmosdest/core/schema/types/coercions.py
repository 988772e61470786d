"""
Convert values to a field's type without loss, where they are not of that type yet.

These functions alone define coercion; :mod:`.core_schemas` lets Rust handle the values that need none
and calls these for the rest. Each returns a value of the field's Python type or raises
:class:`pydantic_core.PydanticCustomError`, and never anything else.

Typed values (JSON, Parquet, Python) and textual ones (CSV, spreadsheets) differ only in the functions
whose names end in ``_text``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic_core import PydanticCustomError, from_json

from airflow_provider_osmosdest.core.schema.types.json_values import is_temporal, plain_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DATETIME_TEXT",
    "DATE_TEXT",
    "INTEGER_TEXT",
    "NUMBER_TEXT",
    "REAL_TEXT",
    "TIME_TEXT",
    "cell_text",
    "coerce",
    "json_text",
]

# Written for both Python's and Rust's engine. The temporal ones only tell ISO 8601 from a Unix time
# stamp written as digits, which pydantic would guess at; the calendar is checked by pydantic.
INTEGER_TEXT = r"[+-]?[0-9]+"
NUMBER_TEXT = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
REAL_TEXT = r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)"
DATE_TEXT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME_TEXT = r"[0-9]{2}:[0-9]{2}.*"
DATETIME_TEXT = DATE_TEXT + r"(?:[Tt ][0-9]{2}:[0-9]{2}.*)?"

_INTEGER = re.compile(INTEGER_TEXT)
_INTEGRAL = re.compile(INTEGER_TEXT + r"(?:\.0*)?")
_NUMBER = re.compile(NUMBER_TEXT)
_MIDNIGHT = re.compile(f"({DATE_TEXT})[T ]00:00(?::00(?:\\.0+)?)?")

# Python's own limit on converting text to int (sys.int_info.default_max_str_digits), which keeps the
# conversion, quadratic in the digits, from being an attack. The JSON parser has the same.
_MAX_DIGITS = 4300

# From 2**53 on a double no longer tells neighbouring integers apart.
_EXACT_FLOAT = 2.0**53

_TRUE_TEXT = frozenset({"true", "yes", "y", "t", "1"})
_FALSE_TEXT = frozenset({"false", "no", "n", "f", "0"})


def coerce(type_: str, *, cells: bool = False) -> Callable[[Any], Any]:
    """
    Return the coercion for typed values, or for values of a format without types.

    :param type_: one of the schema's field types
    :param cells: the values are cells; a spreadsheet's may be typed after all
    """
    return _TEXTUAL.get(type_, _TYPED[type_]) if cells else _TYPED[type_]


def _refuse(type_: str, expected: str) -> NoReturn:
    raise PydanticCustomError(f"{type_}_value", "Input should be {expected}", {"expected": expected})


def _string(value: Any) -> str:
    if not isinstance(value, str):
        _refuse("string", "a valid string")
    return value


def cell_text(value: Any) -> str:
    """Return a spreadsheet's typed cell as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT_FLOAT else repr(float(value))
    if is_temporal(value):
        text: str = value.isoformat()
        return text
    if isinstance(value, Decimal) or (isinstance(value, int) and value.bit_length() < _MAX_DIGITS * 3):
        return str(value)
    _refuse("string", "a valid string")


def json_text(value: Any) -> str:
    """Return a number or boolean as JSON writes it."""
    if isinstance(value, float) and math.isfinite(value):
        return repr(float(value))
    if isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite()):
        return cell_text(value)
    _refuse("string", "a valid string, a finite number or a boolean")


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        _refuse("integer", "a valid integer")
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return int(value)
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < _MAX_DIGITS:
        whole = int(value)
        if whole == value:
            return whole
    if isinstance(value, str) and len(value) <= _MAX_DIGITS and _INTEGRAL.fullmatch(value):
        return int(value.partition(".")[0])
    if isinstance(value, float | Decimal):
        _refuse("integer", "a valid integer, without a fractional part and known exactly")
    _refuse("integer", "a valid integer")


def _number(value: Any) -> int | float:
    if isinstance(value, bool):
        _refuse("number", "a valid number")
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and len(value) <= _MAX_DIGITS and _NUMBER.fullmatch(value):
        if _INTEGER.fullmatch(value):
            return int(value)
        value = float(value)
    if isinstance(value, Decimal) and value.is_finite():
        exact, value = value, float(value)
        if not math.isfinite(value) or Decimal(repr(value)) != exact:
            _refuse("number", "a number that a double holds exactly; give the field the type decimal")
    if not isinstance(value, float):
        _refuse("number", "a valid number")
    if not math.isfinite(value):
        _refuse("number", "a finite number")
    return float(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool):
        _refuse("decimal", "a valid decimal")
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        value = Decimal(repr(float(value)))
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        try:
            value = Decimal(value)
        except InvalidOperation:
            _refuse("decimal", "a decimal with a smaller exponent")
    if not isinstance(value, Decimal):
        _refuse("decimal", "a valid decimal")
    if not value.is_finite():
        _refuse("decimal", "a finite decimal")
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    _refuse("boolean", "a valid boolean, true or false")


def _boolean_text(value: Any) -> bool:
    if isinstance(value, str) and (word := value.lower()) in _TRUE_TEXT | _FALSE_TEXT:
        return word in _TRUE_TEXT
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    _refuse("boolean", "a valid boolean: true/false, yes/no, t/f, y/n or 1/0")


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        if value.tzinfo is None and is_temporal(value) and value.time() == time():
            return value.date()
        _refuse("date", "a date without a time of day")
    if isinstance(value, date):
        return value
    _refuse("date", "a valid date in the form YYYY-MM-DD")


def _date_text(value: Any) -> date:
    if isinstance(value, str) and (match := _MIDNIGHT.fullmatch(value)):
        try:
            return date.fromisoformat(match[1])
        except ValueError:
            pass
    return _date(value)


def _time(value: Any) -> time:
    if isinstance(value, time):
        return value
    _refuse("time", "a valid ISO 8601 time, to the microsecond at most, such as 13:45:00")


def _datetime(value: Any) -> datetime:
    if isinstance(value, datetime) and is_temporal(value):
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date has no time zone to keep
    _refuse("datetime", "a valid ISO 8601 datetime, to the microsecond at most, such as 2024-05-31T13:45:00Z")


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        _refuse("object", "a valid JSON object")
    checked: dict[str, Any] = plain_json(value)
    return checked


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        _refuse("array", "a valid JSON array")
    checked: list[Any] = plain_json(value)
    return checked


def _parsed(value: Any, expected: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return from_json(value, allow_inf_nan=False)
    except (ValueError, TypeError) as error:
        # The parser's word for a text with half a surrogate pair is that it is no text.
        why = str(error) if isinstance(error, ValueError) else "it holds half a surrogate pair"
        raise PydanticCustomError(
            "json_text", "Input should be {expected}: {error}", {"expected": expected, "error": why}
        ) from None


def _object_text(value: Any) -> dict[str, Any]:
    return _object(_parsed(value, "the text of a JSON object"))


def _array_text(value: Any) -> list[Any]:
    return _array(_parsed(value, "the text of a JSON array"))


_TYPED: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "object": _object,
    "array": _array,
}

_TEXTUAL: dict[str, Callable[[Any], Any]] = {
    "string": cell_text,
    "boolean": _boolean_text,
    "date": _date_text,
    "object": _object_text,
    "array": _array_text,
}
