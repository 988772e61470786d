"""Read times on a command line, and write them for people."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from airflow_provider_osmosdest.core.errors import ConfigurationError

__all__ = ["ago", "expiry", "parse_time"]

_SPAN = re.compile(r"(\d{1,5})([dh])", re.ASCII)
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1)}


def parse_time(text: str, option: str) -> datetime:
    """
    Read a date or a time in ISO 8601; without a zone, it is UTC. It is returned in UTC.

    :param option: that it was given to, for the message
    :raises ConfigurationError: when it is something else
    """
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    # The first and last hours of the calendar have no UTC in some zones.
    except (ValueError, OverflowError):
        msg = f"{option}: found {text!r}, expected a date or a time like 2026-12-31 or 2026-12-31T06:00:00+01:00"
        raise ConfigurationError(msg) from None


def expiry(text: str | None, now: datetime) -> datetime | None:
    """
    Read when something expires: in so many days (``90d``) or hours (``12h``), or a date or a time.

    :raises ConfigurationError: when it is something else, or past
    """
    if text is None:
        return None
    span = _SPAN.fullmatch(text.strip())
    found = now + int(span[1]) * _UNITS[span[2]] if span else parse_time(text, "--expires")
    if found <= now:
        msg = f"--expires: {text} is over already; expected a time to come, or a span like 90d"
        raise ConfigurationError(msg)
    return found


def ago(then: datetime, now: datetime) -> str:
    """Return how long ago a time was, in words."""
    seconds = max(0, int((now - then).total_seconds()))
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count:,} {unit}{'s' if count > 1 else ''} ago"
    return "less than a minute ago"
