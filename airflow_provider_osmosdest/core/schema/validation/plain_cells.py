"""
Read a column of plain values: numbers as computers write them, ISO 8601, texts, and values of the field's own type.

msgspec reads texts, and Python's own functions look at types and bounds. Nothing here may take what pydantic refuses,
nor make something else of it; to refuse what pydantic takes costs no more than time.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from decimal import Decimal
from itertools import repeat
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.schema.types.core_schemas import constant
from airflow_provider_osmosdest.core.schema.types.number_text import PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from airflow_provider_osmosdest.core.schema.fields import Field

__all__ = ["PlainCells", "Types"]

Types = AbstractSet[type] | None
"""What the values of a column are instances of, where that is known."""

_OWN: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "decimal": frozenset({Decimal}),
    "boolean": frozenset({bool}),
    "date": frozenset({date}),
    "time": frozenset({time}),
    "datetime": frozenset({datetime}),
}
_CHECKED = {
    "string": {"enum", "min_length", "max_length"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "decimal": {"minimum", "maximum"},
    "date": {"minimum", "maximum"},
}
_NULL = frozenset({type(None)})
_TEXT = frozenset({str})

_WORDS = {"true": True, "yes": True, "t": True, "y": True, "1": True}
_WORDS |= {"false": False, "no": False, "f": False, "n": False, "0": False}
_BOOLEANS = {form: value for word, value in _WORDS.items() for form in (word, word.upper(), word.capitalize())}

# What Rust's trim() takes off: Unicode's White_Space. Python's strip() takes off \x1c to \x1f too; pydantic has both.
_WHITE_SPACE = "".join(
    map(chr, [*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000])
)

# With so many characters at most, and seconds, a time has no fraction finer than a microsecond; msgspec rounds others.
_MICROSECONDS = {"time": len("12:00:00.123456"), "datetime": len("2024-01-01T12:00:00.123456")}

# So many digits survive the way through a double (IEEE 754 binary64), and integers up to this.
_SAFE_DIGITS = 15
_EXACT = 2**53

_encode = msgspec.json.encode
_read_integers = msgspec.json.Decoder(list[int]).decode
_read_numbers = msgspec.json.Decoder(list[int | float]).decode
_read_floats = msgspec.json.Decoder(list[float]).decode
_TEMPORAL: dict[str, Any] = {"date": list[date], "time": list[time], "datetime": list[datetime]}


class PlainCells:
    """
    Read plain values of a field.

    :param field: the field
    :param nulls: texts that are null, or invalid if the field is not nullable
    :param textual: the values come from a format without types
    """

    def __init__(self, field: Field, nulls: frozenset[str], *, textual: bool) -> None:
        self._type = field.type
        self._own = _OWN[field.type]
        self._textual = textual
        self._nullable = field.nullable
        self._nulls: frozenset[str | None] = nulls | {None}
        self._blank_only = nulls <= {""}
        given = field.constraints
        bounds = [None if at is None else constant(field.type, at) for at in (given.minimum, given.maximum)]
        self._least, self._most = bounds
        self._min_length, self._max_length = given.min_length, given.max_length
        self._enum = None if given.enum is None else frozenset(given.enum)

    @classmethod
    def of(cls, field: Field, nulls: frozenset[str], *, textual: bool) -> Self | None:
        """Return the reader of a field, or None where no value of it is plain."""
        given = set(field.constraints.given())
        if field.type not in _OWN or not given <= _CHECKED.get(field.type, set()):
            return None
        if textual and field.written != PLAIN:
            return None
        found = cls(field, nulls, textual=textual)
        return found if all(map(_is_exact, (found._least, found._most))) else None

    def read(self, values: Sequence[Any], types: Types) -> Sequence[Any] | None:
        """
        Return what is to be written for each of the values, or None where one of them may not be plain.

        :param values: of the field in consecutive rows
        :param types: what they are instances of, where that is known
        """
        try:
            if not self._textual:
                return self._read_typed(values, frozenset(map(type, values)) if types is None else types)
            return self._read_strings(values) if self._type == "string" else self._read_cells(values)
        except (msgspec.MsgspecError, ValueError, TypeError, ArithmeticError, LookupError):
            # Before 0.21, msgspec's errors are no ValueError.
            return None

    def _read_typed(self, values: Sequence[Any], types: AbstractSet[type]) -> Sequence[Any] | None:
        present = values
        if nulls := types >= _NULL:
            if not self._nullable:
                return None
            types = types - _NULL
            present = [value for value in values if value is not None]
        read: Sequence[Any] | None = None
        if types <= self._own:
            read = self._own_values(present)
        elif types == _TEXT and self._type in ("decimal", "date", "time", "datetime"):
            read = self._texts(present)
        if read is None or not nulls:
            return read
        left = iter(read)
        return [None if value is None else next(left) for value in values]

    def _read_strings(self, values: Sequence[Any]) -> Sequence[Any] | None:
        read: list[Any] = list(map(str.strip, values))
        if read != list(values) and read != list(map(str.strip, values, repeat(_WHITE_SPACE))):
            return None
        if self._nulls.isdisjoint(read):
            return self._own_values(read)
        if not self._nullable or self._own_values([value for value in read if value not in self._nulls]) is None:
            return None
        return [None if value in self._nulls else value for value in read]

    def _read_cells(self, values: Sequence[Any]) -> Sequence[Any] | None:
        if self._nulls.isdisjoint(values):
            return self._cells(values)
        if not self._nullable:
            return None
        read = self._cells([value for value in values if value not in self._nulls])
        if read is None:
            return None
        left = iter(read)
        return [None if value in self._nulls else next(left) for value in values]

    def _cells(self, values: Sequence[Any]) -> Sequence[Any] | None:
        """Read cells, which are texts, or of a spreadsheet and so of the type already."""
        if not values or type(values[0]) is str:
            return self._texts(values)
        return self._own_values(values) if self._own.issuperset(map(type, values)) else None

    def _texts(self, values: Sequence[Any]) -> Sequence[Any] | None:
        if self._type == "boolean":
            return list(map(_BOOLEANS.__getitem__, values))
        if not values:
            return values
        # Raises an error where one is no text.
        joined = ",".join(values)
        if self._type in _TEMPORAL:
            return self._temporal(values)
        if self._type == "decimal":
            return self._decimals(values, joined)
        if not self._blank_only and joined.split() != [joined]:
            # With blanks around it, it may be one of those that are null.
            return None
        numbers = (_read_integers if self._type == "integer" else _read_numbers)(f"[{joined}]")
        return numbers if len(numbers) == len(values) and self._within(numbers) else None

    def _temporal(self, values: Sequence[str]) -> Sequence[Any] | None:
        read: list[Any] = msgspec.convert(values, _TEMPORAL[self._type])
        if self._type == "date":
            # There is but one form that msgspec takes, and it is the one it writes.
            return values if self._within(read) else None
        if max(map(len, values)) > _MICROSECONDS[self._type] and _encode(read) != _encode(values):
            return None
        return read

    def _decimals(self, values: Sequence[str], joined: str) -> Sequence[Any] | None:
        """Take decimals by their text, which is what is written: without exponent, sign or zeros that get lost."""
        if "e" in joined or "E" in joined or "0.000000" in joined or joined.split() != [joined]:
            return None
        near = _read_floats(f"[{joined}]")
        if len(near) != len(values):
            return None
        if self._least is None is self._most:
            return values
        # Of two decimals with as many digits, the nearest doubles compare as they do; others may have the same one.
        short = max(map(len, values)) <= _SAFE_DIGITS
        for bound, beyond in ((self._least, float.__lt__), (self._most, float.__gt__)):
            if bound is not None:
                extreme = (min if beyond is float.__lt__ else max)(near)
                if beyond(extreme, float(bound)) or (extreme == float(bound) and not short):
                    return None
        return values

    def _own_values(self, values: Sequence[Any]) -> Sequence[Any] | None:
        """Look at values of the field's own type."""
        if self._type == "string":
            return values if self._are_allowed(values) else None
        if self._type == "number" and not isfinite(sum(values)):
            return None
        if self._type == "decimal" and not all(map(Decimal.is_finite, values)):
            return None
        return values if self._within(values) else None

    def _within(self, values: Sequence[Any]) -> bool:
        if not values:
            return True
        return (self._least is None or min(values) >= self._least) and (self._most is None or max(values) <= self._most)

    def _are_allowed(self, values: Sequence[str]) -> bool:
        if self._enum is not None and not self._enum.issuperset(values):
            return False
        if not values or self._min_length is self._max_length is None:
            return True
        return (self._min_length is None or min(map(len, values)) >= self._min_length) and (
            self._max_length is None or max(map(len, values)) <= self._max_length
        )


def _is_exact(bound: Any) -> bool:
    """Return whether a bound compares with doubles as it does with what they stand for."""
    if isinstance(bound, Decimal):
        return len(bound.as_tuple().digits) <= _SAFE_DIGITS
    return not isinstance(bound, int | float) or abs(bound) <= _EXACT
