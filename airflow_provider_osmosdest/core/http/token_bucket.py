"""A token bucket. Pure: the time is passed in, in seconds that only ever grow."""

from __future__ import annotations

import sys
from typing import Protocol

__all__ = ["Bucket", "TokenBucket"]

_BURST = 0.1


class Bucket(Protocol):
    """Decide when units may go, such as requests or records."""

    def wait(self, now: float) -> float:
        """Return the seconds until there may be a unit; 0 when there is one."""

    def available(self, now: float, most: int = sys.maxsize) -> int:
        """
        Return how many units may go now.

        :param now: the time
        :param most: how many the caller could use
        """

    def take(self, units: int, now: float) -> None:
        """Let units go; more than there are leave a debt that is waited for later."""


class TokenBucket:
    """
    Let through ``rate`` units a second, evenly.

    :param rate: units a second
    :param burst: how many seconds' worth it saves up at most, so that a pause is not made up for by a burst that an API
        would refuse
    :param tokens: units it begins with
    """

    def __init__(self, rate: float, burst: float = _BURST, tokens: float = 1.0) -> None:
        self.rate = rate
        self._burst = burst
        self._tokens = tokens
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Return the seconds until there is a token; 0 when there is one."""
        self._fill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.rate

    def available(self, now: float, most: int = sys.maxsize) -> int:
        """Return how many units may go now, ``most`` at most."""
        self._fill(now)
        return max(0, min(most, int(self._tokens)))

    def take(self, units: int, now: float) -> None:
        """Let units go; more than there are leave a debt that is waited for later."""
        self._fill(now)
        self._tokens -= units

    def owe(self, seconds: float) -> None:
        """Let nothing go for so long."""
        self._tokens -= seconds * self.rate

    def _fill(self, now: float) -> None:
        if self._at is not None:
            most = max(1.0, self.rate * self._burst)
            self._tokens = min(most, self._tokens + (now - self._at) * self.rate)
        self._at = now
