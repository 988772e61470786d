"""Compare the values of a cursor field, and go back from one by an overlap."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from airflow_provider_osmosdest.core.errors import OptionsError

__all__ = ["COMPARISONS", "Comparison", "comparison_of"]

COMPARISONS = ("number", "datetime", "text")
"""How cursor values compare: as numbers, as times (ISO 8601), or letter by letter (Unicode code points)."""

# ISO 8601 has a basic format, too, which cannot be told from a number.
_EXTENDED = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d|$)", re.ASCII)

_Kind = Literal["number", "datetime", "text"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One way to compare cursor values."""

    kind: _Kind

    def key(self, value: Any) -> Any:
        """
        Return the sort key of a value.

        :raises ValueError: when it is no value of this kind
        """
        if self.kind == "number":
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{value!r} is no number")
            return value
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")  # noqa: TRY004 - callers tell the values from others by ValueError
        if self.kind == "text":
            return value
        if not _EXTENDED.match(value):
            raise ValueError(f"{value!r} is no time like 2026-01-31T09:30:00Z")
        time = datetime.fromisoformat(value)
        # A time without a zone is taken for UTC, whatever the machine's own zone is.
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time

    def back(self, value: Any, overlap: float) -> Any:
        """
        Return the value that lies an overlap before this one, written as this one is.

        :param overlap: a count for numbers, seconds for times
        """
        if not overlap:
            return value
        if self.kind == "number":
            count = int(overlap) if float(overlap).is_integer() else overlap
            return value - count
        text = str(value)
        time = _earlier(datetime.fromisoformat(text), overlap)
        if len(text) == len("2026-01-31"):
            return time.date().isoformat()
        digits = len(text.partition(".")[2].rstrip("Z").partition("+")[0].partition("-")[0])
        precision = "microseconds" if digits > 3 else "milliseconds" if digits else "seconds"  # noqa: PLR2004
        written = time.isoformat(sep=text[10], timespec=precision)
        return written.removesuffix("+00:00") + "Z" if text.endswith("Z") else written

    def floor(self, value: Any, overlap: float) -> Any:
        """Return the sort key that lies an overlap before a value."""
        key = self.key(value)
        if not overlap:
            return key
        return _earlier(key, overlap) if self.kind == "datetime" else key - overlap


def _earlier(time: datetime, seconds: float) -> datetime:
    try:
        return time - timedelta(seconds=seconds)
    except OverflowError:
        # The first day of the calendar is what some databases have for "never".
        return datetime.min.replace(tzinfo=time.tzinfo)


def comparison_of(value: Any) -> Comparison:
    """
    Find how to compare values like this one: numbers as numbers, ISO 8601 as times.

    :raises OptionsError: for other text, which may be meant to compare in any way
    """
    for kind in ("number", "datetime"):
        comparison = Comparison(kind)
        try:
            comparison.key(value)
        except ValueError:
            continue
        return comparison
    raise OptionsError(
        f"incremental: the cursor {value!r} is neither a number nor an ISO 8601 time. Where such values grow letter by "
        'letter, say so with "compare": "text"; "10" is then less than "9".'
    )
