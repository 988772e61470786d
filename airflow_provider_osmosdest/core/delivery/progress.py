"""The progress line of a delivery in the task log, every 10 seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.report import Tally

__all__ = ["PERIOD", "Progress"]

_ENOUGH = 0.1
"""The share that must be done for an estimate to be worth giving: a first batch that is split settles late."""

PERIOD = 10.0
"""Seconds between two progress lines."""


class Progress:
    """
    Log how far a delivery is, at most every :data:`PERIOD` seconds.

    :param tally: the running counts
    :param share: returns the share of the source that is read, 0 to 1, or ``None`` where it is not known
    :param say: takes the line
    :param clock: seconds that only ever grow
    :param became: what the records that did not fail became
    """

    def __init__(
        self,
        tally: Tally,
        share: Callable[[], float | None],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        became: str = "delivered",
    ) -> None:
        self._tally = tally
        self._share = share
        self._say = say
        self._clock = clock
        self._became = became
        self._started = self._last = clock()
        self._settled = 0

    def tick(self) -> None:
        """Log a line if it is time for one."""
        now = self._clock()
        if now - self._last < PERIOD:
            return
        tally = self._tally
        failed = tally.invalid + tally.rejected + tally.unknown
        settled = tally.delivered + tally.duplicate + failed
        speed = (settled - self._settled) / (now - self._last)
        line = f"{tally.delivered:,} {self._became}, {failed:,} failed, {speed:,.0f} records/s"
        if failed:
            line += f" ({tally.invalid:,} invalid, {tally.rejected:,} rejected, {tally.unknown:,} unknown)"
        share = self._share()
        # What is read runs ahead of what is settled by up to a batch; close enough for an estimate.
        if share and tally.read:
            done = share * settled / tally.read
            if done >= _ENOUGH:
                left = (now - self._started) * (1 / done - 1)
                line += f", {done:.0%} done, about {_duration(left)} left"
        self._say(line)
        self._last, self._settled = now, settled


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
