"""Limit how fast a token may send requests and a client guess tokens. Pure: the time is passed in, in seconds."""

from __future__ import annotations

import math
from collections import OrderedDict

from airflow_provider_osmosdest.core.http.token_bucket import TokenBucket

__all__ = ["BURST_SECONDS", "Failures", "Rates"]

_MOST = 10_000
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 4.0
_FORGET_SECONDS = 60.0
BURST_SECONDS = 1.0
"""How many seconds' worth of requests a token may send at once."""


class Failures:
    """
    Count the failed attempts of each address, and decide how long each response is delayed.

    The first is delayed too: all responses of one count take the same time, whatever was looked up for them.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def delay(self, address: str, now: float) -> float:
        """
        Count a failed attempt, and return the seconds from its arrival to its response.

        :param address: where it came from
        :param now: the time of its arrival
        """
        count, last = self._counts.pop(address, (0, now))
        if now - last > _FORGET_SECONDS:
            count = 0
        self._counts[address] = (count + 1, now)
        if len(self._counts) > _MOST:
            self._counts.popitem(last=False)
        return min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(count, 10))


class Rates:
    """
    Let each token make so many requests a second, with a burst of one second's worth.

    :param share: how many processes divide a rate
    """

    def __init__(self, share: int = 1) -> None:
        self._share = share
        self._buckets: OrderedDict[tuple[str, str], TokenBucket] = OrderedDict()

    def wait(self, key: tuple[str, str], rate: float, now: float) -> int:
        """
        Count a request, or return the whole seconds after which it may be made again.

        :param key: which token it came with
        :param rate: requests a second that all processes together let through
        :param now: the time
        :return: 0 when it may be made
        """
        rate /= self._share
        bucket = self._buckets.pop(key, None)
        if bucket is None or bucket.rate != rate:
            bucket = TokenBucket(rate, burst=BURST_SECONDS)
        self._buckets[key] = bucket
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        if seconds := bucket.wait(now):
            return math.ceil(seconds)
        bucket.take(1, now)
        return 0
