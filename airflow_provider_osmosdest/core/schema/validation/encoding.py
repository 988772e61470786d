"""
The wire form: valid records as lines of compact JSON.

Dates and times are ISO 8601 strings (``Z`` for UTC), a decimal is a string of exactly its digits, or a number of them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.schema.types.json_values import is_temporal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["as_number", "encode", "encode_lines", "with_numbers"]


def encode(value: Any) -> bytes:
    """
    Return one value as compact JSON.

    :param value: a validated record, or anything made of types with a wire form
    """
    return _encoder.encode(value)


def as_number(value: Decimal) -> msgspec.Raw:
    """Return a decimal as a number to be encoded."""
    return msgspec.Raw(str(value).encode())


def with_numbers(record: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """
    Return a record with some of its decimals as numbers to be encoded: the digits they have, and no double.

    :param record: a validated record
    :param names: the decimals' names
    """
    numbers = {name: as_number(record[name]) for name in names if isinstance(record[name], Decimal)}
    return {**record, **numbers}


def encode_lines(records: list[Any], as_numbers: tuple[str, ...] = ()) -> tuple[bytes, dict[int, str]]:
    r"""
    Return the records as JSON, each followed by ``b"\n"``, and why the ones left out cannot be written.

    :param records: validated records
    :param as_numbers: names of the decimals that are written as numbers
    """
    if as_numbers:
        # Those of the fast paths have them already.
        records = [with_numbers(record, as_numbers) if isinstance(record, dict) else record for record in records]
    try:
        return _encoder.encode_lines(records), {}
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return _one_by_one(records)


def _one_by_one(records: list[dict[str, Any]]) -> tuple[bytes, dict[int, str]]:
    lines: list[bytes] = []
    refused: dict[int, str] = {}
    for index, record in enumerate(records):
        try:
            lines.append(encode(record))
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            refused[index] = f"the record cannot be written as JSON: {error}"
    return b"".join(line + b"\n" for line in lines), refused


def _plain(value: Any) -> Any:
    """Return what an instance of a subclass (numpy's floats, pandas' timestamps) is written as."""
    for type_ in (str, int, float):
        if isinstance(value, type_):
            return type_(value)
    if is_temporal(value):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
