"""A token bucket. Pure: the time is passed in, in seconds that only ever grow."""

from __future__ import annotations

__all__ = ["TokenBucket"]

_BURST = 0.1


class TokenBucket:
    """
    Let through ``rate`` units a second, evenly.

    :param rate: units a second
    :param burst: how many seconds' worth it saves up at most, so that a pause is not made up for by a burst that an API
        would refuse
    """

    def __init__(self, rate: float, burst: float = _BURST) -> None:
        self.rate = rate
        self._burst = burst
        self._tokens = 1.0
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Return the seconds until there is a token; 0 when there is one."""
        self._fill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.rate

    def available(self, now: float) -> int:
        """Return how many units may go now."""
        self._fill(now)
        return max(0, int(self._tokens))

    def take(self, units: int, now: float) -> None:
        """Let units go; more than there are leave a debt that is waited for later."""
        self._fill(now)
        self._tokens -= units

    def _fill(self, now: float) -> None:
        if self._at is not None:
            most = max(1.0, self.rate * self._burst)
            self._tokens = min(most, self._tokens + (now - self._at) * self.rate)
        self._at = now
