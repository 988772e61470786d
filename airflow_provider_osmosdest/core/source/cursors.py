"""Values of a cursor field: how they compare, and how far an overlap goes back from one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from airflow_provider_osmosdest.core.errors import OptionsError

__all__ = ["COMPARISONS", "Comparison", "comparison_of"]

COMPARISONS = ("number", "datetime", "text")
"""How cursor values compare: as numbers, as moments (ISO 8601), or letter by letter (Unicode code points)."""

# ISO 8601 has a basic format, too, which looks like a number or like anything.
_EXTENDED = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d|$)", re.ASCII)

_Kind = Literal["number", "datetime", "text"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One way to compare cursor values."""

    kind: _Kind

    def key(self, value: Any) -> Any:
        """
        Return what to compare a value by.

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
        moment = datetime.fromisoformat(value)
        # A moment without a zone is taken for UTC, whatever the machine's own zone is.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment

    def back(self, value: Any, overlap: float) -> Any:
        """
        Return the value that lies an overlap before this one, written as this one is.

        :param overlap: a count for numbers, seconds for moments
        """
        if not overlap:
            return value
        if self.kind == "number":
            count = int(overlap) if float(overlap).is_integer() else overlap
            return value - count
        text = str(value)
        moment = _earlier(datetime.fromisoformat(text), overlap)
        if len(text) == len("2026-01-31"):
            return moment.date().isoformat()
        digits = len(text.partition(".")[2].rstrip("Z").partition("+")[0].partition("-")[0])
        precision = "microseconds" if digits > 3 else "milliseconds" if digits else "seconds"  # noqa: PLR2004
        written = moment.isoformat(sep=text[10], timespec=precision)
        return written.removesuffix("+00:00") + "Z" if text.endswith("Z") else written

    def floor(self, value: Any, overlap: float) -> Any:
        """Return the key an overlap before a value."""
        key = self.key(value)
        if not overlap:
            return key
        return _earlier(key, overlap) if self.kind == "datetime" else key - overlap


def _earlier(moment: datetime, seconds: float) -> datetime:
    try:
        return moment - timedelta(seconds=seconds)
    except OverflowError:
        # The first day of the calendar is what some databases have for "never".
        return datetime.min.replace(tzinfo=moment.tzinfo)


def comparison_of(value: Any) -> Comparison:
    """
    Find how to compare values like this one: numbers as numbers, ISO 8601 as moments.

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
