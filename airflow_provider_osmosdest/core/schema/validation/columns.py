"""
What the fast path looks at in whole columns: the values that one field has in a block.

msgspec checks a value's type and the bounds of numbers and lengths while it reads. The rest is checked here, a column
at a time, as a call for each value would cost more than reading it. A column may refuse what pydantic would take, which
then has the last word, and never the other way round.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from pydantic_core import CoreSchema, SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.types.core_schemas import constant, field_schema, with_json_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_osmosdest.core.schema.fields import Field

__all__ = ["Bounds", "Checked", "Column", "Decimals", "Members", "Read", "bounds_of"]


class Column(Protocol):
    """A check of the values that a field has in some records."""

    def convert(self, values: list[Any]) -> tuple[list[Any], Iterable[int]]:
        """
        Return the values as they are to be written, and the positions of those that are refused.

        :param values: as msgspec has read them
        """
        ...


class Bounds:
    """
    Compare values with bounds that msgspec has none for.

    :param field: a field with a minimum, a maximum or both
    """

    def __init__(self, field: Field) -> None:
        self._least, self._most = bounds_of(field)
        # Python and pydantic need not agree about which of two times with UTC offsets is the earlier.
        self._naive = field.type == "time"

    def convert(self, values: list[Any]) -> tuple[list[Any], Iterable[int]]:
        """Return the values; refused are those out of bounds, and all where they cannot be compared."""
        there = [value for value in values if value is not None]
        if self._naive and any(value.tzinfo is not None for value in there):
            return values, range(len(values))
        try:
            return values, _outside(values, there, self._least, self._most)
        except TypeError:
            # Only one of the two has a UTC offset.
            return values, range(len(values))


class Members:
    """
    Look whether values are among those of an enum.

    :param field: a field with an enum of values that can be hashed
    """

    def __init__(self, field: Field) -> None:
        self._allowed = {None, *(constant(field.type, value) for value in field.constraints.enum or ())}

    def convert(self, values: list[Any]) -> tuple[list[Any], Iterable[int]]:
        """Return the values; refused are those that are not in the enum."""
        if self._allowed.issuperset(values):
            return values, ()
        return values, [at for at, value in enumerate(values) if value not in self._allowed]


class Checked:
    """
    Have pydantic check texts.

    :param field: a field of the type ``string``
    """

    def __init__(self, field: Field) -> None:
        text = cs.nullable_schema(field_schema(field))
        self._are_valid = SchemaValidator(with_json_values(cs.list_schema(text))).isinstance_python
        self._each = _each(text)

    def convert(self, values: list[Any]) -> tuple[list[Any], Iterable[int]]:
        """Return the texts; refused are those that are invalid."""
        if self._are_valid(values):
            return values, ()
        return values, _marked(self._each.validate_python(values))


class Read:
    """
    Have pydantic read values from their JSON, for fields that msgspec has no type for.

    :param field: any field but a decimal, whose digits would go through a double
    """

    def __init__(self, field: Field) -> None:
        self._each = _each(field_schema(field))

    def convert(self, values: list[Any]) -> tuple[list[Any], Iterable[int]]:
        """Return the values that the JSON texts stand for; refused are those that are invalid."""
        try:
            read: list[Any] = self._each.validate_json(b"[" + b",".join(values) + b"]")
        except ValidationError:
            # msgspec hardly looks into what it hands over as text: one of them is no JSON.
            return values, range(len(values))
        return read, _marked(read)


# What is written as it was read: no sign or zero that a decimal would lose, no value that it writes with an exponent,
# and no zero at the end of a number. Longer ones are pydantic's.
_LEADING = r"[1-9][0-9]{0,17}"
_SMALL = r"0\.0{0,5}[1-9][0-9]{0,18}"
_QUOTED = rf'"-?(?:{_LEADING}(?:\.[0-9]{{1,18}})?|{_SMALL}|0(?:\.0{{1,6}})?)"'
_NUMBER = rf"-?(?:{_LEADING}(?:\.[0-9]{{0,17}}[1-9])?|0\.0{{0,5}}(?:[1-9][0-9]{{0,17}})?[1-9])|0"
_DECIMALS = re.compile(rf"(?:(?:{_QUOTED}|{_NUMBER}|null)\n)*+").match


class Decimals:
    """
    Take decimals by their text, without making a number of it.

    :param field: a field of the type ``decimal``
    """

    def __init__(self, field: Field) -> None:
        self._nullable = field.nullable
        self._least, self._most = bounds_of(field)
        enum = field.constraints.enum
        self._allowed = None if enum is None else {constant("decimal", value) for value in enum}
        # Not to be below zero is what most amounts have to satisfy, and shows without a comparison.
        self._unsigned = self._least == 0 and self._most is None
        self._as_numbers = field.write_as == "number"

    def convert(self, values: list[Any]) -> tuple[list[Any], Iterable[int]]:
        """Return the decimals as they are to be written; refused are those that are invalid, or not plain enough."""
        joined = b"\n".join(values).decode("ascii", "replace") + "\n"
        if joined.count("\n") != len(values):
            return values, range(len(values))
        refused = self._not_plain(joined)
        texts: list[Any] = joined.replace('"', "").split("\n")
        texts.pop()
        nulls = "n" in joined
        if nulls:
            texts = [None if text == "null" else text for text in texts]
        if refused or (self._unsigned and "-" in joined) or (nulls and not self._nullable):
            refused.update(at for at, text in enumerate(texts) if not self._may_be(text))
        if self._allowed is not None or not (self._unsigned or self._least is self._most is None):
            numbers = [None if text is None or at in refused else Decimal(text) for at, text in enumerate(texts)]
            there = [number for number in numbers if number is not None]
            refused.update(_outside(numbers, there, self._least, self._most))
            if self._allowed is not None and not self._allowed.issuperset(there):
                refused.update(
                    at for at, number in enumerate(numbers) if number is not None and number not in self._allowed
                )
        if self._as_numbers:
            texts = [None if text is None else msgspec.Raw(text.encode()) for text in texts]
        return texts, refused

    def _may_be(self, text: str | None) -> bool:
        return self._nullable if text is None else not (self._unsigned and text[:1] == "-")

    @staticmethod
    def _not_plain(joined: str) -> set[int]:
        """Return which of the lines are no decimal that is written as it was read."""
        refused: set[int] = set()
        at = line = start = 0
        while (at := _DECIMALS(joined, at).end()) < len(joined):  # type: ignore[union-attr]
            line += joined.count("\n", start, at)
            refused.add(line)
            start, at = at, joined.index("\n", at) + 1
        return refused


_INVALID = object()


def bounds_of(field: Field) -> tuple[Any, Any]:
    """Return the least and the largest value that a field allows, ``None`` where there is none."""
    given = field.constraints
    least, most = (None if at is None else constant(field.type, at) for at in (given.minimum, given.maximum))
    return least, most


def _outside(values: list[Any], there: list[Any], least: Any, most: Any) -> Iterable[int]:
    """Return the positions of values out of bounds; ``there`` are those that are not null."""
    if not there or ((least is None or min(there) >= least) and (most is None or max(there) <= most)):
        return ()
    return [
        at
        for at, value in enumerate(values)
        if value is not None and ((least is not None and value < least) or (most is not None and value > most))
    ]


def _each(schema: CoreSchema) -> SchemaValidator:
    """Return the validator of a list whose invalid items are replaced by a mark."""
    each = cs.with_default_schema(schema, default=_INVALID, on_error="default")
    return SchemaValidator(with_json_values(cs.list_schema(each)))


def _marked(values: list[Any]) -> list[int]:
    return [at for at, value in enumerate(values) if value is _INVALID]
