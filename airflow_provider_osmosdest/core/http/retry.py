"""How long to wait before a request is sent again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["Backoff", "parse_retry_after"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Exponential backoff with full jitter.

    Source: M. Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015: the wait is drawn
    evenly from 0 to ``first * 2 ** n``, which spreads the retries of many clients best.

    :param first: seconds of the first wait at most
    :param longest: seconds of any wait at most
    :param longest_asked: seconds of a wait the server asked for at most; by default ``longest``
    """

    first: float
    longest: float
    longest_asked: float | None = None
    _random: random.Random = field(default_factory=random.Random, repr=False)

    def wait(self, retry: int, retry_after: float | None) -> float:
        """
        Return the seconds to wait.

        :param retry: 0 for the first retry of a request, 1 for the second, …
        :param retry_after: seconds the server asked for, if it did: never less than that, up to the bound
        """
        # 2 ** 30 first waits are longer than any bound; without one the power overflows a float.
        jittered = self._random.uniform(0, min(self.longest, self.first * 2 ** min(retry, 30)))
        return max(jittered, min(retry_after or 0.0, self.longest_asked or self.longest))


def parse_retry_after(value: str | None, *, now: datetime | None = None) -> float | None:
    """
    Read a ``Retry-After`` header: seconds, or an HTTP date (RFC 9110 section 10.2.3).

    :param value: the header's value, ``None`` where there was none
    :param now: what a date is counted from, by default the current time
    :return: seconds from now, 0 for a date that has passed, ``None`` for what is neither
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
