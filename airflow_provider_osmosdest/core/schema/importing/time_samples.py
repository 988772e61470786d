"""Find out from samples in which pattern a column's dates and times are written, if there is only one answer."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import PydanticCustomError

from airflow_provider_osmosdest.core.schema.types.time_patterns import TimePatterns

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.schema.fields import FieldType

__all__ = ["FoundPatterns", "TimeSamples"]

_DATES = (
    *("%b %d %Y", "%b %d, %Y", "%B %d %Y", "%B %d, %Y"),
    *("%d %b %Y", "%d %B %Y", "%d. %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %y"),
    *("%a, %d %b %Y", "%A, %d %B %Y", "%a %b %d %Y", "%A, %B %d, %Y"),
    *("%d.%m.%Y", "%d.%m.%y", "%Y.%m.%d", "%Y/%m/%d"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y"),
)
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p")
_TIMES = tuple(f"{clock}{zone}" for clock in _CLOCKS for zone in ("", " %z", "%z", " %Z"))
_ALONE: tuple[tuple[FieldType, str], ...] = (
    *(("date", each) for each in _DATES),
    *(("time", each) for each in _TIMES if each.startswith("%I")),
    ("datetime", "%d/%b/%Y:%H:%M:%S %z"),
    ("datetime", "%a %b %d %H:%M:%S %Y"),
)
_DATE_AND_TIME = re.compile(r"(?P<date>.+?)(?P<gap>,? )(?P<time>[0-9]{1,2}:[0-9].*)")

# No date or time is longer; a text that is costs nothing to look at.
_LONGEST = 60


class FoundPatterns(NamedTuple):
    """
    How the dates or times of a column are written.

    :param type: what they are
    :param patterns: those that fit every text
    :param sure: they all read every text alike, and as what it is
    """

    type: FieldType
    patterns: tuple[str, ...]
    sure: bool


class TimeSamples:
    """The patterns that fit every text of a column so far."""

    def __init__(self) -> None:
        self._left: tuple[tuple[FieldType, str], ...] | None = None

    def add(self, text: str) -> None:
        """
        Look at one more text.

        :param text: without white space around it
        """
        if self._left == ():
            return
        if not any(map(str.isdigit, text)) or len(text) > _LONGEST:
            self._left = ()
            return
        if self._left is None:
            self._left = _candidates(text)
        self._left = tuple((type_, pattern) for type_, pattern in self._left if _reads(type_, pattern, text))

    @property
    def patterns(self) -> FoundPatterns | None:
        """The patterns that fit, None where none does."""
        if not self._left:
            return None
        patterns = tuple(pattern for _, pattern in self._left)
        # A version (1.2.10) has the form of a numeric date of a year with two digits.
        sure = not any(_swapped(each) in patterns or ("%y" in each and "%m" in each) for each in patterns)
        return FoundPatterns(self._left[0][0], patterns, sure)


def _swapped(pattern: str) -> str | None:
    """Return the pattern that has the day where this one has the month, None where no text could be of both."""
    if "%d" not in pattern or "%m" not in pattern or pattern.startswith("%Y"):
        return None
    return pattern.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")


def _candidates(text: str) -> tuple[tuple[FieldType, str], ...]:
    found = _DATE_AND_TIME.fullmatch(text)
    if found is None:
        return _ALONE
    dates = [each for each in ("%Y-%m-%d", *_DATES) if _reads("date", each, found["date"])]
    times = [each for each in _TIMES if _reads("time", each, found["time"])]
    return (*_ALONE, *(("datetime", f"{day}{found['gap']}{time}") for day in dates for time in times))


def _reads(type_: FieldType, pattern: str, text: str) -> bool:
    try:
        _reader(type_, pattern).read(text)
    except PydanticCustomError:
        return False
    return True


@cache
def _reader(type_: FieldType, pattern: str) -> TimePatterns:
    return TimePatterns(type_, (pattern,), as_cell=True)
