"""
Read dates and times by patterns in the directives of ``strptime``.

Names of months and days are English whatever the machine's locale is, which ``datetime.strptime`` would go by.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError, SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.types.branches import TEMPORAL, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date, time

__all__ = ["ISO", "TimePatterns", "pattern_problems"]

ISO = "iso"
"""Stands for ISO 8601 among the patterns of a field."""

_REMEMBERED = 1024

_MIDNIGHT = r"(?:[T ]00:00(?::00(?:\.0+)?)?)?"

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

# Of each directive: what it is part of, and its form. The forms are those of CPython's _strptime.
_DIRECTIVES: dict[str, tuple[str, str]] = {
    "Y": ("year", "[0-9]{4}"),
    "y": ("year", "[0-9]{2}"),
    "m": ("month", "1[0-2]|0[1-9]|[1-9]"),
    "b": ("month", "|".join(name[:3] for name in _MONTHS)),
    "B": ("month", "|".join(_MONTHS)),
    "d": ("day", "3[01]|[12][0-9]|0[1-9]|[1-9]| [1-9]"),
    "j": ("day of the year", "36[0-6]|3[0-5][0-9]|[12][0-9]{2}|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]"),
    "a": ("day of the week", "|".join(name[:3] for name in _DAYS)),
    "A": ("day of the week", "|".join(_DAYS)),
    "H": ("hour", "2[0-3]|[01][0-9]|[0-9]"),
    "I": ("hour", "1[0-2]|0[1-9]|[1-9]"),
    "p": ("half of the day", "am|pm"),
    "M": ("minute", "[0-5][0-9]|[0-9]"),
    "S": ("second", "[0-5][0-9]|[0-9]"),
    "f": ("fraction", "[0-9]{1,6}"),
    "z": ("zone", r"[+-][0-9]{2}:?[0-5][0-9](?::?[0-5][0-9])?|z"),
    "Z": ("zone", "utc|gmt"),
}
_OF_DATES = frozenset({"year", "month", "day", "day of the year", "day of the week"})

# What cannot be there without another: a minute is often written where the month was meant.
_NEEDS = {
    "%d": "%m %b %B",
    "%M": "%H %I",
    "%S": "%M",
    "%f": "%S",
    "%I": "%p",
    "%p": "%I",
    "%j": "%Y %y",
}
_TOKEN = re.compile(r"%(?P<directive>.?)|(?P<blank>\s+)|(?P<literal>[^%\s]+)", re.DOTALL)

# The century of a year of two digits (POSIX, strptime): 69 is 1969, 68 is 2068.
_PIVOT = 69


class TimePatterns:
    """
    Read texts by the first pattern that fits.

    :param type_: ``date``, ``time`` or ``datetime``
    :param patterns: those of a field, checked
    :param as_cell: read ISO 8601 as cells are read: a date may have midnight behind it
    """

    def __init__(self, type_: str, patterns: tuple[str, ...], *, as_cell: bool) -> None:
        make, form = TEMPORAL[type_]
        if type_ == "date" and as_cell:
            form += _MIDNIGHT
        iso = SchemaValidator(cs.chain_schema([written(form), make()]))
        self._readers = [_iso_reader(iso) if each == ISO else _pattern_reader(type_, each) for each in patterns]
        shown = " or ".join("in ISO 8601" if each == ISO else f"written as {each}" for each in patterns)
        self._expected = f"a {type_} {shown}"
        # The days of a column are few, and reading one takes a few microseconds.
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._first_fit)

    def read(self, value: Any) -> date | time:
        """
        Return what a text says.

        :param value: the text; anything else is refused
        :raises pydantic_core.PydanticCustomError: where no pattern fits
        """
        if isinstance(value, str) and (moment := self._remembered(value)) is not None:
            return moment
        raise PydanticCustomError("time_pattern", "Input should be {expected}", {"expected": self._expected})

    def _first_fit(self, text: str) -> date | time | None:
        moments = (reader(text) for reader in self._readers)
        return next((moment for moment in moments if moment is not None), None)


def pattern_problems(type_: str, patterns: Any) -> Iterator[str]:
    """
    Yield what is wrong with the ``format`` of a field.

    :param type_: one of the schema's field types
    :param patterns: what was given, a tuple where it was a list
    """
    if patterns == ():
        return
    if type_ not in TEMPORAL:
        yield f"format applies only to {', '.join(TEMPORAL)}, not to {type_}"
        return
    if not isinstance(patterns, tuple) or not all(isinstance(each, str) for each in patterns):
        yield f"format: expected a pattern such as '%d.%m.%Y', or a list of such, found {patterns!r}"
        return
    for pattern, count in Counter(patterns).items():
        if count > 1:
            yield f"format: {pattern!r} is given twice"
        if pattern != ISO:
            yield from (f"format: {pattern!r}: {problem}" for problem in _problems(type_, pattern))


def _problems(type_: str, pattern: str) -> Iterator[str]:
    directives = [found["directive"] for found in _TOKEN.finditer(pattern) if found["directive"] not in (None, "%")]
    if unknown := [each for each in directives if each not in _DIRECTIVES]:
        known = " ".join(f"%{each}" for each in _DIRECTIVES)
        yield f"no such directive %{unknown[0]}, expected some of {known}, or {ISO!r} in place of a pattern"
        return
    parts = Counter(_DIRECTIVES[each][0] for each in directives)
    yield from (f"the {part} is there twice" for part, count in parts.items() if count > 1)
    for directive, needed in _NEEDS.items():
        if directive[1] in directives and not any(each[1] in directives for each in needed.split()):
            part = _DIRECTIVES[directive[1]][0]
            yield f"{directive} is the {part}, and needs {' or '.join(needed.split())} beside it"
    if parts["day of the year"] and (parts["month"] or parts["day"]):
        yield "%j is the day of the year, and there are a month or a day beside it"
    if type_ == "time":
        if not parts["hour"]:
            yield "a time needs its hour, %H or %I"
        if named := sorted(_OF_DATES & parts.keys()):
            yield f"a time has no {named[0]}"
    elif not parts["year"]:
        yield f"a {type_} needs its year, %Y or %y"
    if type_ == "date" and parts["zone"]:
        yield "a date has no zone"


def _regex(pattern: str) -> re.Pattern[str]:
    parts = []
    for found in _TOKEN.finditer(pattern):
        directive = found["directive"]
        if found["blank"]:
            parts.append(r"\s+")
        elif directive is None or directive == "%":
            parts.append(re.escape(found["literal"] or "%"))
        else:
            parts.append(f"(?P<{directive}>{_DIRECTIVES[directive][1]})")
    return re.compile("".join(parts), re.IGNORECASE)


def _iso_reader(iso: SchemaValidator) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return iso.validate_python(text)
        except ValidationError:
            return None

    return read


def _pattern_reader(type_: str, pattern: str) -> Callable[[str], Any]:
    regex = _regex(pattern)

    def read(text: str) -> Any:
        found = regex.fullmatch(text)
        if found is None:
            return None
        try:
            moment = _moment(found.groupdict())
        except ValueError:
            # The form fits, and there is no such day: the 30th of February.
            return None
        if type_ == "time":
            return moment.timetz()
        if type_ == "datetime":
            return moment
        # A date's pattern may have a time of day, for columns in which that is always midnight.
        return moment.date() if moment == datetime.combine(moment, datetime.min.time()) else None

    return read


def _moment(found: dict[str, str]) -> datetime:
    """
    Return what a match says; what it does not speak of is the first day, midnight, and no zone.

    :raises ValueError: there is no such day
    """
    year = int(found.get("Y") or found.get("y") or 1900)
    if "y" in found:
        year += 1900 if year >= _PIVOT else 2000
    month = int(found.get("m") or 0) or _month(found.get("B") or found.get("b"))
    hour = int(found.get("H") or found.get("I") or 0)
    if "p" in found:
        hour = hour % 12 + (12 if found["p"].lower() == "pm" else 0)
    moment = datetime(  # noqa: DTZ001 - a text without a zone has none
        year,
        month,
        int(found.get("d") or 1),
        hour,
        int(found.get("M") or 0),
        int(found.get("S") or 0),
        int((found.get("f") or "").ljust(6, "0")),
    )
    if "j" in found:
        moment += timedelta(days=int(found["j"]) - 1)
        if moment.year != year:
            raise ValueError(found["j"])
    return moment.replace(tzinfo=_zone(found.get("z") or found.get("Z")))


def _month(name: str | None) -> int:
    return 1 if name is None else 1 + [each[:3] for each in _MONTHS].index(name[:3].lower())


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text.isalpha():
        return UTC
    hours, minutes, seconds = (int(text[1:].replace(":", "").ljust(6, "0")[at : at + 2]) for at in (0, 2, 4))
    offset = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return timezone(-offset if text[0] == "-" else offset)
