"""Read numbers as people write them, ``1.234,50``, ``€ 12``, ``95 %``, by the field's number format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PLAIN", "NumberFormat", "number_format_problems", "number_reader"]

_NUMERIC = ("integer", "number", "decimal")

_MINUS = "\N{MINUS SIGN}"
# Sheets in Swedish, among others, write the minus sign of Unicode and not the hyphen.
_SIGN = f"[+{_MINUS}-]?"
# What may stand around a number, without what may negate it: dashes, and the parentheses of accountants.
_AROUND = f"[^\\d+.,(){_MINUS}\N{HYPHEN}-\N{HORIZONTAL BAR}\N{SMALL HYPHEN-MINUS}\N{FULLWIDTH HYPHEN-MINUS}-]*"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """
    How a number is written in a format without types; the properties of Table Schema's fields.

    :param decimal_char: what stands before the fraction
    :param group_char: what may stand between groups of digits, ``None`` for nothing
    :param bare_number: ``False`` where other text may stand before and after the number, such as a currency
    """

    decimal_char: str = "."
    group_char: str | None = None
    bare_number: bool = True


PLAIN = NumberFormat()
"""Digits and a point, as computers write them."""


def number_reader(written: NumberFormat) -> Callable[[str], str] | None:
    """
    Return the function that converts a cell to the text of a plain number; ``None`` where it is one already.

    It raises :class:`pydantic_core.PydanticCustomError` for what is not written so: a point in a format whose decimal
    character is the comma must not be taken for one.
    """
    if written == PLAIN:
        return None
    point = re.escape(written.decimal_char)
    digits = "[0-9]+"
    if written.group_char is not None:
        # The last group has three digits; those before it have two in India.
        group = re.escape(written.group_char)
        digits = f"(?:[0-9]{{1,3}}(?:{group}[0-9]{{2,3}})*{group}[0-9]{{3}}|[0-9]+)"
    number = rf"(?P<whole>{digits})?(?:{point}(?P<fraction>[0-9]*))?(?P<power>[eE][+-]?[0-9]+)?"
    around = "" if written.bare_number else _AROUND
    pattern = re.compile(rf"(?P<before>{_SIGN}){around}(?P<sign>{_SIGN}){number}{around}")
    expected = _expected(written)

    def read(text: str) -> str:
        found = pattern.fullmatch(text)
        if found is None or not (found["whole"] or found["fraction"]) or (found["before"] and found["sign"]):
            raise PydanticCustomError("number_text", "Input should be {expected}", {"expected": expected})
        whole = (found["whole"] or "0").replace(written.group_char or ",", "")
        fraction = f".{found['fraction']}" if found["fraction"] else ""
        sign = (found["before"] or found["sign"]).replace(_MINUS, "-")
        return f"{sign}{whole}{fraction}{found['power'] or ''}"

    return read


def number_format_problems(type_: str, written: Any) -> list[str]:
    """Return what is wrong with how a field's numbers are said to be written."""
    if written == PLAIN:
        return []
    if type_ not in _NUMERIC:
        return [f"decimal_char, group_char and bare_number apply only to {', '.join(_NUMERIC)}, not to {type_}"]
    problems = []
    for name, char in (("decimal_char", written.decimal_char), ("group_char", written.group_char)):
        unfit = not isinstance(char, str) or len(char) != 1 or char.isalnum() or char in "+-"
        if unfit and (char is not None or name == "decimal_char"):
            problems.append(f"{name}: expected one character that is no letter, digit or sign, found {char!r}")
    if written.decimal_char == written.group_char:
        problems.append(f"decimal_char and group_char are both {written.group_char!r}")
    if not isinstance(written.bare_number, bool):
        problems.append(f"bare_number: expected true or false, found {written.bare_number!r}")
    return problems


def _expected(written: NumberFormat) -> str:
    groups = f" and {written.group_char!r} between thousands" if written.group_char is not None else ""
    around = "" if written.bare_number else ", other text around it aside, and no parentheses"
    return f"a number with {written.decimal_char!r} before its fraction{groups}{around}"
