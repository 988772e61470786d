"""Write the original of an invalid record, whatever it was, as one line of JSON for the failures file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from pydantic_core import from_json

from airflow_provider_osmosdest.core.schema.types.json_values import MAX_DEPTH, is_temporal
from airflow_provider_osmosdest.core.schema.validation.encoding import encode
from airflow_provider_osmosdest.core.schema.validation.json_cut import WHITE_SPACE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["original_json", "original_of_row", "safe_repr"]

_NEWLINES = bytes.maketrans(b"\r\n", b"  ")

# Python does not write integers of more than 4,300 digits in decimal (sys.int_info), about as many bits as this.
_MAX_BITS = 14_000

_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}

_INT64 = 2**63

_TEXT = frozenset({str})
_PLAIN = frozenset({str, bool, type(None), date})

_grammar = msgspec.json.Decoder(msgspec.Raw)


def original_json(text: bytes, *, parsed: bool = False) -> bytes:
    """
    Return a record's own text where it is JSON, else a JSON string of the text.

    :param text: one line, or one element of an array
    :param parsed: pydantic's parser has taken it already
    """
    text = text.strip(WHITE_SPACE)
    try:
        value = None if parsed else from_json(text)
    except ValueError:
        return encode(text.decode(errors="replace"))
    try:
        _grammar.decode(text)
    except msgspec.DecodeError:
        # from_json takes NaN and Infinity, the grammar of JSON does not.
        return original_of_row(from_json(text) if parsed else value)
    # Where a raw line end stands in JSON it is blank space.
    return text.translate(_NEWLINES)


def original_of_row(row: Any) -> bytes:
    """
    Return a row as JSON; what JSON cannot hold becomes its ``repr``, NaN the string ``"NaN"``.

    :param row: any Python object
    """
    if type(row) is dict and _TEXT.issuperset(map(type, row)):
        inside = (id(row),)
        try:
            return encode({key: value if _is_plain(value) else _holdable(value, inside) for key, value in row.items()})
        except ValueError:
            # Half a surrogate pair in a text.
            pass
    return encode(_holdable(row, ()))


def _holdable(value: Any, inside: tuple[int, ...]) -> Any:
    """Return the nearest value that JSON can hold; ``inside`` has the ids of the containers around it."""
    if not isinstance(value, Mapping | list | tuple):
        return _holdable_scalar(value)
    if id(value) in inside or len(inside) >= MAX_DEPTH:
        return safe_repr(value)
    inside = (*inside, id(value))
    if not isinstance(value, Mapping):
        return [_holdable(item, inside) for item in value]
    named = {
        _text(key if isinstance(key, str) else safe_repr(key)): _holdable(item, inside) for key, item in value.items()
    }
    return named if len(named) == len(value) else safe_repr(value)


def _is_plain(value: Any) -> bool:
    """Return whether JSON can hold a value as it is, unless it is a text that UTF-8 cannot hold."""
    type_ = type(value)
    return type_ in _PLAIN or (type_ is int and -_INT64 <= value < _INT64) or (type_ is float and math.isfinite(value))


def _holdable_scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MAX_BITS else hex(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _NON_FINITE.get(value, "NaN")
    if is_temporal(value):
        return value.isoformat()
    return _text(str(value)) if isinstance(value, str | Decimal | UUID) else safe_repr(value)


def safe_repr(value: Any, show: Callable[[Any], str] = repr) -> str:
    """
    Return the ``repr`` of a value, also where its class raises an error for it.

    :param value: any Python object
    :param show: what makes the text
    """
    try:
        return _text(show(value))
    except Exception:  # noqa: BLE001 - a __repr__ of the caller's, or one nested too deep: no reason to lose the record
        return object.__repr__(value)


def _text(value: str) -> str:
    """Return a text with its lone surrogates, which UTF-8 cannot hold, spelled out."""
    return value.encode(errors="backslashreplace").decode()
