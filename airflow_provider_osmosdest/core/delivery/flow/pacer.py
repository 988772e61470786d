"""
Decide how many requests may start now, and how long to wait before the next.

Pure: the time is passed in, in seconds that only ever grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.flow.rate_probe import RateProbe
from airflow_provider_osmosdest.core.delivery.options import AUTO
from airflow_provider_osmosdest.core.http.rate_limits import RateLimits

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.http.retry import Backoff
    from airflow_provider_osmosdest.core.http.token_bucket import Bucket, TokenBucket

__all__ = ["AdaptivePace", "CircuitBreaker", "Pacer", "most_in_flight"]

_AUTO_START = 4
_AUTO_MOST = 256
# Seconds, and round trips, in which the requests in flight at most double.
_DOUBLING = 0.25
_ROUND_TRIPS = 5


class AdaptivePace:
    """
    Find how many requests in flight, and how many a second, an API takes.

    In flight: grows while latency holds and shrinks when it does not, as TCP Vegas and Vector's adaptive request
    concurrency do. A second: see :class:`~.rate_probe.RateProbe`.
    """

    def __init__(self) -> None:
        self._limit = float(_AUTO_START)
        self._growing_fast = True
        self._fastest: float | None = None
        self._latency: float | None = None
        self._began: float | None = None
        self._shrunk_at = float("-inf")
        self._rate = RateProbe()

    @property
    def in_flight(self) -> int:
        """How many requests may be in flight."""
        return 1 if self._rate.probing else max(1, int(self._limit))

    @property
    def bucket(self) -> TokenBucket:
        """The rate it keeps to."""
        return self._rate.bucket

    def succeeded(self, latency: float, in_flight: int, now: float) -> None:
        """Adapt to a request that was accepted after ``latency`` seconds."""
        self._began = now if self._began is None else self._began
        self._fastest = latency if self._fastest is None else min(self._fastest * 1.001, latency)
        self._latency = latency if self._latency is None else 0.9 * self._latency + 0.1 * latency
        # Doubled latency means that requests wait in a queue at the other end; a millisecond is this machine's noise.
        if self._latency > 2 * self._fastest + 0.001:
            self._shrink(0.9, now)
        elif in_flight >= int(self._limit):
            self._grow(now)
        self._rate.taken(self._latency, now)

    def overloaded(self, now: float) -> None:
        """Adapt to a time-out, a 503 or the like."""
        self._shrink(0.7, now)

    def on_rate_limited(self, wait: float | None, now: float) -> float:
        """
        Adapt to a 429.

        :param wait: seconds the server asked for
        :return: seconds in which nothing should start
        """
        self._growing_fast = False
        return self._rate.refused(wait, self._latency or 0.0, now)

    def _grow(self, now: float) -> None:
        if not self._growing_fast:
            self._limit = min(_AUTO_MOST, self._limit + 1.0 / self._limit)
        elif self._limit < self._most_by(now):
            self._limit = min(_AUTO_MOST, self._limit + 0.5)

    def _most_by(self, now: float) -> float:
        """Return how many may be in flight by now: all that is under way when a first 429 comes is refused too."""
        assert self._began is not None
        assert self._fastest is not None
        doubling = max(_DOUBLING, _ROUND_TRIPS * self._fastest)
        return float(_AUTO_START * 2 ** min(10.0, (now - self._began) / doubling))

    def _shrink(self, factor: float, now: float) -> None:
        self._growing_fast = False
        # Once a round trip: what is in flight was sent before the last cut.
        if now - self._shrunk_at > (self._latency or 0.1):
            self._limit = max(1.0, self._limit * factor)
            self._shrunk_at = now


@dataclass(slots=True)
class CircuitBreaker:
    """
    Stop sending to an API that is down, except one request now and then as a probe.

    :param after: transient failures in a row that open it, ``None`` for never
    :param backoff: how long it stays open
    """

    after: int | None
    backoff: Backoff
    until: float = 0.0
    openings: int = 0
    _failures: int = 0

    @property
    def is_open(self) -> bool:
        """Whether only probes may go."""
        return self.after is not None and self._failures >= self.after

    def succeeded(self) -> None:
        """Close the circuit after an answer that is no transient failure."""
        self._failures = self.openings = 0

    def failed(self, retry_after: float | None, now: float) -> None:
        """Count a transient failure; open the circuit after too many in a row."""
        self._failures += 1
        if self.is_open and now >= self.until:
            self.until = now + self.backoff.wait(self.openings, retry_after)
            self.openings += 1


def most_in_flight(options: DeliveryOptions) -> int:
    """Return how many requests a transport must be able to carry at the same time."""
    if options.write_mode == "batch":
        return 1
    return _AUTO_MOST if options.concurrency == AUTO else int(options.concurrency)


class Pacer:
    """
    Bound how fast requests start: concurrency, rates and the circuit breaker.

    :param options: the write options
    :param backoff: how long a circuit stays open
    :param limits: makes the buckets of the options' rates
    """

    def __init__(self, options: DeliveryOptions, backoff: Backoff, limits: RateLimits | None = None) -> None:
        limits = limits or RateLimits()
        self._most = most_in_flight(options)
        self._adaptive = AdaptivePace() if options.concurrency == AUTO and options.write_mode == "record" else None
        self._requests = limits.bucket("requests", options.requests_per_second)
        self._records = limits.bucket("records", options.records_per_second)
        # A sender sends one request at a time anyway, and waits between its retries itself.
        after = options.circuit_after if options.write_mode == "record" else None
        self._circuit = CircuitBreaker(after, backoff)
        self._pause = 0.0
        self._bounded = bool(self._adaptive or self._requests or self._records)

    def may_start(self, in_flight: int, now: float) -> int:
        """Return how many more requests may start now."""
        room = self.room(in_flight, now)
        if not self._bounded or self._circuit.is_open:
            return room
        for bucket in self._buckets():
            # A bucket that several tasks share is asked for no more than is used.
            if room <= 0:
                break
            room = bucket.available(now, room)
        return room

    def room(self, in_flight: int, now: float) -> int:
        """Return how many more requests may start now as far as rates do not decide it."""
        if self._circuit.is_open:
            return int(not in_flight and now >= max(self._circuit.until, self._pause))
        if now < self._pause:
            return 0
        most = self._adaptive.in_flight if self._adaptive else self._most
        return max(0, most - in_flight)

    def wait(self, now: float) -> float:
        """Return the seconds until another request may start, as far as time alone decides it."""
        if not self._bounded and not self._circuit.is_open:
            return max(0.0, self._pause - now)
        waits = [self._pause - now, *(bucket.wait(now) for bucket in self._buckets())]
        if self._circuit.is_open:
            waits.append(self._circuit.until - now)
        return max(0.0, *waits)

    def started(self, requests: int, records: int, now: float) -> None:
        """Count requests that start."""
        if not self._bounded:
            return
        for bucket in self._buckets():
            bucket.take(records if bucket is self._records else requests, now)

    def is_hopeless(self, retries: int) -> bool:
        """Whether so many probes in a row have failed that the API counts as down."""
        return self._circuit.openings > retries

    @property
    def measures(self) -> bool:
        """Whether the caller should measure latencies."""
        return self._adaptive is not None

    def succeeded(self, latency: float, in_flight: int, now: float) -> None:
        """Adapt to an answer that is no transient failure."""
        self._circuit.succeeded()
        if self._adaptive is not None:
            self._adaptive.succeeded(latency, in_flight, now)

    def failed(self, status: int | None, wait: float, retry_after: float | None, now: float) -> None:
        """
        Adapt to a transient failure.

        :param status: ``None`` for none at all
        :param wait: seconds the request itself waits before it goes again
        :param retry_after: seconds the server asked for, which then hold for every request
        """
        self._circuit.failed(retry_after, now)
        # As long as the server asked, up to what the request itself is allowed to wait; its jitter is its own.
        asked = min(wait, retry_after) if retry_after else None
        if asked is not None:
            self._pause = max(self._pause, now + asked)
        if self._adaptive is not None:
            if status == 429:  # noqa: PLR2004 - too many requests, RFC 6585
                self._pause = max(self._pause, now + self._adaptive.on_rate_limited(asked, now))
            else:
                self._adaptive.overloaded(now)

    def _buckets(self) -> list[Bucket]:
        adaptive = self._adaptive.bucket if self._adaptive else None
        return [bucket for bucket in (self._requests, self._records, adaptive) if bucket is not None]
