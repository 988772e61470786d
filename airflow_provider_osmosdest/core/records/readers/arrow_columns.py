"""Make Python values of Arrow's columns, faster than Arrow itself does it for dates and times."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

__all__ = ["column_reader", "types_of"]


def column_reader(kind: pa.DataType) -> Callable[[pa.Array], list[Any]]:
    """
    Return what makes Python values of a column.

    :param kind: the column's type, with no nanoseconds in it
    """
    from pyarrow import types

    if types.is_date32(kind):
        return _temporal_reader(list[date | None])
    if types.is_timestamp(kind) and kind.tz in (None, "UTC"):
        return _temporal_reader(list[datetime | None])
    # Asking for objects instead of lists of pairs costs five times the speed, so only where there are maps.
    maps = "strict" if _has_map(kind) else None
    return lambda column: list(column.to_pylist(maps_as_pydicts=maps))


def types_of(column: pa.Array) -> frozenset[type] | None:
    """Return the types that a column's Python values have, ``None`` where Arrow's type does not say."""
    from pyarrow import types

    own = {
        types.is_string: str,
        types.is_large_string: str,
        types.is_integer: int,
        types.is_floating: float,
        types.is_boolean: bool,
        types.is_decimal: Decimal,
        types.is_date: date,
        types.is_timestamp: datetime,
    }
    found = next((type_ for is_kind, type_ in own.items() if is_kind(column.type)), None)
    if found is None:
        return None
    return frozenset({found, type(None)}) if column.null_count else frozenset({found})


def _temporal_reader(list_type: Any) -> Callable[[pa.Array], list[Any]]:
    def read(column: pa.Array) -> list[Any]:
        # Arrow writes a column at once, and makes an object of its own of each value before it makes one of Python's.
        try:
            return list(msgspec.convert(column.cast("string").to_pylist(), list_type))
        except msgspec.ValidationError:
            # A year that Python does not have: Arrow says so in its own words.
            return list(column.to_pylist())

    return read


def _has_map(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_map(kind) or any(_has_map(kind.field(i).type) for i in range(kind.num_fields))
