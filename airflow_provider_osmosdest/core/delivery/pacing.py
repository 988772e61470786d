"""
Be a good neighbour: how many requests may start now, and how long to wait for the next.

Pure: the time is passed in, in seconds that only ever grow. What is decided here is how fast; what an answer means for
its records is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.options import AUTO

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.delivery.retry import Backoff

__all__ = ["AdaptivePace", "Circuit", "Pacer", "TokenBucket", "most_in_flight"]

_AUTO_START = 4
_AUTO_MOST = 256
# A bucket holds this many seconds' worth, so that a pause is not made up for by a burst the API would refuse.
_BURST_SECONDS = 0.1


class TokenBucket:
    """
    Let through ``rate`` units a second, evenly.

    :param rate: units a second
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
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
            most = max(1.0, self.rate * _BURST_SECONDS)
            self._tokens = min(most, self._tokens + (now - self._at) * self.rate)
        self._at = now


class AdaptivePace:
    """
    Find how many requests in flight, and how many a second, an API takes.

    In flight: grows by one a round trip while latency holds and shrinks when it does not, as TCP Vegas and Vector's
    adaptive request concurrency do. A second: unbounded until a 429, which shows the API's own limit; then just below
    what it took in the last second, growing slowly, for a limit that was met once is best not met every moment.
    """

    def __init__(self) -> None:
        self._limit = float(_AUTO_START)
        self._growing_fast = True
        self._fastest: float | None = None
        self._latency: float | None = None
        self._cut_at = float("-inf")
        self._bucket: TokenBucket | None = None
        self._ceiling = 0.0
        self._raised_at = 0.0
        self._second = 0.0
        self._taken = 0
        self._taken_before = 0

    @property
    def in_flight(self) -> int:
        """How many requests may be in flight."""
        return max(1, int(self._limit))

    @property
    def bucket(self) -> TokenBucket | None:
        """The rate it keeps to, ``None`` while the API has set none."""
        return self._bucket

    def succeeded(self, latency: float, in_flight: int, now: float) -> None:
        """Hear that a request was accepted after ``latency`` seconds."""
        self._count(now)
        self._fastest = latency if self._fastest is None else min(self._fastest * 1.001, latency)
        self._latency = latency if self._latency is None else 0.9 * self._latency + 0.1 * latency
        # Doubled latency says that requests wait in a queue at the other end; a millisecond is this machine's noise.
        if self._latency > 2 * self._fastest + 0.001:
            self._shrink(0.9, now)
        elif in_flight >= int(self._limit):
            self._limit = min(_AUTO_MOST, self._limit + (1.0 if self._growing_fast else 1.0 / self._limit))
        self._raise_rate(now)

    def overloaded(self, now: float) -> None:
        """Hear of a time-out, a 503 or the like."""
        self._shrink(0.7, now)

    def limited(self, now: float) -> None:
        """Hear of a 429."""
        if self._bucket is not None and now < self._raised_at:
            return
        taken = self._rate(now)
        self._growing_fast = False
        self._ceiling = max(taken, 0.5)
        if self._bucket is None:
            self._bucket = TokenBucket(self._ceiling * 0.95)
        else:
            self._bucket.rate = min(self._bucket.rate, self._ceiling) * 0.95
        self._cut_at = now
        # The requests in flight now will be refused too; their refusals are the same news.
        self._raised_at = now + 0.5

    def _raise_rate(self, now: float) -> None:
        if self._bucket is None or now <= self._raised_at:
            return
        passed = now - self._raised_at
        self._raised_at = now
        # Near the limit slowly; but the longer nothing is refused, the more likely the limit is another one now.
        near = 0.0025 * 2 ** min(10.0, (now - self._cut_at) / 20)
        share = 0.01 if self._bucket.rate < 0.98 * self._ceiling else near
        self._bucket.rate *= 1 + share * passed

    def _shrink(self, factor: float, now: float) -> None:
        self._growing_fast = False
        # Once a round trip: what is in flight was sent before the last cut.
        if now - self._cut_at > (self._latency or 0.1):
            self._limit = max(1.0, self._limit * factor)
            self._cut_at = now

    def _count(self, now: float) -> None:
        second = float(int(now))
        if second != self._second:
            self._taken_before = self._taken if second == self._second + 1 else 0
            self._second, self._taken = second, 0
        self._taken += 1

    def _rate(self, now: float) -> float:
        """Return how many requests were accepted in the last second."""
        second = float(int(now))
        if second == self._second:
            return self._taken + self._taken_before * (1.0 - (now - second))
        return self._taken * (1.0 - (now - second)) if second == self._second + 1 else 0.0


@dataclass(slots=True)
class Circuit:
    """
    Stop asking an API that is down, but for one request now and then.

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
        """Close it: an answer came that was no transient failure."""
        self._failures = self.openings = 0

    def failed(self, retry_after: float | None, now: float) -> None:
        """Hear of a transient failure."""
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
    All that bounds how fast requests start.

    :param options: the write options
    :param backoff: how long a circuit stays open
    """

    def __init__(self, options: DeliveryOptions, backoff: Backoff) -> None:
        self._most = most_in_flight(options)
        self._adaptive = AdaptivePace() if options.concurrency == AUTO and options.write_mode == "record" else None
        self._requests = TokenBucket(options.requests_per_second) if options.requests_per_second else None
        self._records = TokenBucket(options.records_per_second) if options.records_per_second else None
        # A courier sends one request at a time anyway, and waits between its retries itself.
        after = options.circuit_after if options.write_mode == "record" else None
        self._circuit = Circuit(after, backoff)
        self._pause = 0.0
        self._bounded = bool(self._adaptive or self._requests or self._records)

    def may_start(self, in_flight: int, now: float) -> int:
        """Return how many more requests may start now."""
        if self._circuit.is_open:
            return int(not in_flight and now >= max(self._circuit.until, self._pause))
        if not self._bounded and now >= self._pause:
            return self._most - in_flight
        if now < self._pause:
            return 0
        most = self._adaptive.in_flight if self._adaptive else self._most
        return max(0, min([most - in_flight, *(bucket.available(now) for bucket in self._buckets())]))

    def wait(self, now: float) -> float:
        """Return the seconds until another request may start, as far as time alone decides it."""
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
        """Whether so many probes in a row have failed that the API is as good as down."""
        return self._circuit.openings > retries

    @property
    def measures(self) -> bool:
        """Whether latencies are wanted."""
        return self._adaptive is not None

    def succeeded(self, latency: float, in_flight: int, now: float) -> None:
        """Hear of an answer that is no transient failure."""
        self._circuit.succeeded()
        if self._adaptive is not None:
            self._adaptive.succeeded(latency, in_flight, now)

    def failed(self, status: int | None, wait: float, retry_after: float | None, now: float) -> None:
        """
        Hear of a transient failure.

        :param status: ``None`` for none at all
        :param wait: seconds the request itself waits before it goes again
        :param retry_after: seconds the server asked for, which then hold for every request
        """
        self._circuit.failed(retry_after, now)
        if retry_after:
            self._pause = max(self._pause, now + wait)
        if self._adaptive is not None:
            if status == 429:  # noqa: PLR2004 - too many requests, RFC 6585
                self._adaptive.limited(now)
            else:
                self._adaptive.overloaded(now)

    def _buckets(self) -> list[TokenBucket]:
        adaptive = self._adaptive.bucket if self._adaptive else None
        return [bucket for bucket in (self._requests, self._records, adaptive) if bucket is not None]
