"""
Find out how many requests a second an API takes, from its 429s.

Pure: the time is passed in, in seconds that only ever grow.

The usual limiters are buckets that fill evenly and windows of a second, and a first 429 does not tell which it
is: what was taken until then may be what a bucket had saved up. So the rate is ramped up until the API refuses again
and is held there for a second, to count what the API takes meanwhile. Where the API asks for long waits after each 429,
that would cost more than it brings: the rate is then taken from what was accepted until the 429.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from airflow_provider_osmosdest.core.http.token_bucket import TokenBucket

__all__ = ["RateProbe"]

# Seconds in which nothing starts after a 429 that does not say how long to wait; they grow while 429s follow.
_HOLD = 0.05
_LONGEST_HOLD = 1.0
# Requests a second to begin with, and seconds in which they double until the first 429.
_FIRST_RATE = 400.0
_FIRST_DOUBLING = 0.25
_UNBOUNDED = 1e6
# Seconds up to which a first 429 comes soon.
_SOON = 0.15
# Seconds in which a ramp doubles; longer where its end costs a wait that the API asks for.
_RAMP_DOUBLING = 0.5
_ASKED_DOUBLING = 1.0
# Round trips in which a ramp at most doubles: what is under way when it meets the limit is refused too.
_ROUND_TRIPS = 5
# Seconds after which a rate that is refused was only just too high.
_LONG = 4.0
# Just below the limit, so that it is not met all the time; with what is saved up it must stay below it, too.
_BURST = 0.025
_BELOW = 0.96
_LOWEST = 0.1
# Growth of a rate that stands, a second; it doubles every so many seconds without a 429, as by then the limit is likely
# another one.
_GROWTH = 0.001
_GROWTH_DOUBLING = 10.0


class _Meter:
    """Count what the API takes: in the last second, and since a mark."""

    _BINS = 20

    def __init__(self) -> None:
        self._bins: deque[tuple[int, int]] = deque()
        self.since_mark = 0

    def count(self, now: float) -> None:
        """Count one."""
        self.since_mark += 1
        number = int(now * self._BINS)
        if self._bins and self._bins[-1][0] == number:
            self._bins[-1] = (number, self._bins[-1][1] + 1)
        else:
            self._bins.append((number, 1))
            self._forget(number)

    def last_second(self, now: float) -> int:
        """Return how many were taken in the second before now."""
        self._forget(int(now * self._BINS))
        return sum(count for _, count in self._bins)

    def _forget(self, number: int) -> None:
        while self._bins and self._bins[0][0] <= number - self._BINS:
            self._bins.popleft()


class _Phase(Enum):
    OPEN = auto()
    """No 429 came yet."""
    RAMP = auto()
    """The rate grows until a 429 comes."""
    MEASURE = auto()
    """The rate is held where the API refuses now and then."""
    STAND = auto()
    """The rate is just below the limit."""


class RateProbe:
    """Keep a rate that an API takes, once it has refused one."""

    def __init__(self) -> None:
        self.bucket = TokenBucket(_FIRST_RATE, _BURST)
        """The rate to keep to."""
        self.probing = False
        """Whether one request at a time tries if the API takes more now."""
        self._phase = _Phase.OPEN
        self._meter = _Meter()
        self._doubling = _FIRST_DOUBLING
        self._mark: float | None = None
        self._held_until = float("-inf")
        self._grown_at = 0.0
        self._hold = _HOLD

    def taken(self, latency: float, now: float) -> None:
        """Count a request that the API took after ``latency`` seconds; raise the rate where it is due."""
        self._meter.count(now)
        if now >= self._held_until:
            self.probing = False
            self._hold = _HOLD
        if self._mark is None:
            self._mark = self._grown_at = now
        if now <= self._grown_at:
            return
        # Only time in which answers come shows that the API bears the rate.
        passed, self._grown_at = min(0.1, now - self._grown_at), now
        if self._phase in (_Phase.OPEN, _Phase.RAMP):
            growth = 2 ** (passed / max(self._doubling, _ROUND_TRIPS * latency))
            self.bucket.rate = min(_UNBOUNDED, self.bucket.rate * growth)
        elif self._phase is _Phase.STAND or now - self._mark >= 2.0:  # noqa: PLR2004 - two seconds without a 429
            self._phase = _Phase.STAND
            self.bucket.rate *= 1 + _GROWTH * 2 ** min(10.0, (now - self._mark) / _GROWTH_DOUBLING) * passed

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
        if not self.probing or self._phase is _Phase.MEASURE:
            self._learn(now, asked=wait is not None)
        hold = self._hold if wait is None else wait
        self._hold = min(_LONGEST_HOLD, self._hold * 1.5)
        self.probing = True
        self._held_until = self._grown_at = now + max(hold, 1.5 * latency)
        return hold

    def _learn(self, now: float, *, asked: bool) -> None:
        rate = self.bucket.rate
        last_second = float(self._meter.last_second(now))
        since = now if self._mark is None else self._mark
        match self._phase:
            case _Phase.OPEN:
                # A 429 so soon more likely means that little was saved up than that the rate is low.
                sure = asked and now - since >= _SOON
                self._phase = _Phase.STAND if sure else _Phase.RAMP
                self._doubling = _ASKED_DOUBLING if asked else _RAMP_DOUBLING
                rate = last_second
            case _Phase.RAMP if asked:
                self._phase = _Phase.STAND
                rate = max(last_second, 0.7 * rate)
            case _Phase.STAND if asked:
                rate = self._estimated(last_second, now - since)
            case _Phase.RAMP | _Phase.STAND:
                self._phase = _Phase.MEASURE
            case _ if now - since >= 1.0:
                self._phase = _Phase.STAND
                rate = last_second
            case _:
                return
        # Just below, so that it is not met all the time; a ramp's rate is held as it is.
        self.bucket.rate = rate if self._phase is _Phase.MEASURE else max(_LOWEST, _BELOW * rate)
        self._mark = now
        self._meter.since_mark = 0

    def _estimated(self, last_second: float, passed: float) -> float:
        """Estimate the rate the API takes, from the time since the last 429."""
        rate = self.bucket.rate
        if last_second < 0.9 * rate:
            # It was used up before a second was over: a limit on each second.
            return last_second
        if passed > _LONG:
            return rate
        return min(rate, max(0.88 * rate, self._meter.since_mark / max(0.05, passed)))
