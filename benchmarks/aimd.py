"""
Find how many requests a second an API takes, from its 429s: additive increase, multiplicative decrease (AIMD).

Pure: the time is passed in, in seconds that only ever grow.

As in TCP (RFC 5681), the rate doubles until the API first refuses, and from then on it grows in steps and is cut by a
share at each refusal, to what the API has just accepted if that is less. The first cut is to that in any case. Where
the first refusal comes at once, it says little: the limiter may have had nothing saved up. The rate then doubles
again, until the next refusal.
"""

from __future__ import annotations

from collections import deque

from airflow_provider_osmosdest.core.http.token_bucket import TokenBucket

__all__ = ["AimdRate"]

# Requests a second to begin with, and the highest rate there is; a burst of so many seconds' worth.
_FIRST_RATE = 400.0
_UNBOUNDED = 1e6
_LOWEST = 0.1
_BURST = 0.025
# Seconds in which the rate doubles until the first refusal, and, where that came so soon, until the next.
_DOUBLING = 0.25
_SOON = 0.15
_DOUBLING_AGAIN = 0.8
# Round trips in which the rate at most doubles: what is under way when it meets the limit is refused too.
_ROUND_TRIPS = 5
# What a cut leaves: of what was accepted in the last second, of the rate at least, and of the rate at most.
_BELOW = 0.96
_CUT_LEAST = 0.92
_CUT_MOST = 0.5
# Growth a second, as a share of the rate after a cut. After so many seconds without a refusal it is twice as much,
# after twice as many three times, and so on, as by then the limit is likely another one.
_GROWTH = 0.005
_FASTER = 5.0
# Seconds in which nothing starts after a refusal that does not say how long to wait; they grow while refusals follow.
_HOLD = 0.05
_LONGEST_HOLD = 1.0


class AimdRate:
    """Keep a rate that an API takes, once it has refused one."""

    def __init__(self) -> None:
        self.bucket = TokenBucket(_FIRST_RATE, _BURST)
        """The rate to keep to."""
        self.probing = False
        """Whether one request at a time tries if the API takes more now."""
        self._doubling: float | None = _DOUBLING
        self._step = 0.0
        self._first_at: float | None = None
        self._last_second: deque[float] = deque()
        self._at = self._cut_at = self._held_until = float("-inf")
        self._hold = _HOLD

    def taken(self, latency: float, now: float) -> None:
        """Count a request that the API took after ``latency`` seconds, and raise the rate."""
        self._first_at = now if self._first_at is None else self._first_at
        self._last_second.append(now)
        self._forget(now)
        # Only time in which answers come shows that the API bears the rate.
        passed, self._at = min(0.1, now - self._at), now
        if now < self._held_until:
            return
        self.probing, self._hold = False, _HOLD
        rate = self.bucket.rate
        if self._doubling is None:
            rate += self._step * (1 + (now - self._cut_at) / _FASTER) * passed
        else:
            rate *= 2 ** (passed / max(self._doubling, _ROUND_TRIPS * latency))
        self.bucket.rate = min(_UNBOUNDED, rate)

    def refused(self, wait: float | None, latency: float, now: float) -> float:
        """
        Lower the rate after a 429.

        :param wait: seconds the server asked for
        :param latency: seconds a request usually takes
        :return: seconds in which nothing should start
        """
        if now < self._held_until:
            # It was under way when the last one came, and tells nothing new.
            return 0.0
        if not self.probing:
            self._cut(now)
        hold = self._hold if wait is None else wait
        self.probing, self._hold = True, min(_LONGEST_HOLD, self._hold * 1.5)
        self._held_until = now + max(hold, 1.5 * latency)
        return hold

    def _cut(self, now: float) -> None:
        self._forget(now)
        rate, accepted = self.bucket.rate, _BELOW * len(self._last_second)
        if self._doubling is None:
            rate = max(_CUT_MOST * rate, min(_CUT_LEAST * rate, accepted))
        elif self._doubling == _DOUBLING:
            came_soon = self._first_at is None or now - self._first_at < _SOON
            rate, self._doubling = accepted, _DOUBLING_AGAIN if came_soon else None
        else:
            rate, self._doubling = max(_CUT_MOST * rate, accepted), None
        self.bucket.rate = max(_LOWEST, rate)
        self._step, self._cut_at = _GROWTH * self.bucket.rate, now

    def _forget(self, now: float) -> None:
        while self._last_second and self._last_second[0] <= now - 1.0:
            self._last_second.popleft()
