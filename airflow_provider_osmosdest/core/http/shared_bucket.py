"""A bucket that several tasks share: units come from a store that grants each a place in time."""

from __future__ import annotations

import random
import sys
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow_provider_osmosdest.core.http.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LAG_SECONDS",
    "LEASE_SECONDS",
    "PAUSE_SECONDS",
    "VALID_SECONDS",
    "Grant",
    "GrantStore",
    "SharedBucket",
    "divided_bucket",
]

LEASE_SECONDS = 0.05
"""How much of the rate a task asks for at once: 20 questions a second at most, and as much is lost if it dies."""
VALID_SECONDS = 0.05
"""For how long a granted unit may be used after its time. In any second go no more than ``rate * 1.05 + 1`` units."""
LAG_SECONDS = 0.025
"""How long ago a granted unit's time may be: what passes between two leases is not lost."""
PAUSE_SECONDS = 0.6
"""How long a task sends nothing when the store goes away: the time-out, and what others may still hold."""

_BURST = 0.05
_TURN_SECONDS = 0.01
"""A task that had a lease asks for the next one later than those that were refused one: each gets its turn."""


@dataclass(frozen=True, slots=True)
class Grant:
    """
    A store's answer. All times are seconds of the clock that the bucket's callers pass.

    :param units: how many units are granted; 0 for none
    :param start: the time of the first of them; where none is granted, when the next one is free
    :param valid_until: until when the first of them may be used; each other as much longer as its time is later
    :param received: when the answer came
    :param careful: tasks that do not reach the store may still keep to shares of the rate
    :param tasks: how many tasks have asked lately, this one included
    """

    units: int
    start: float
    valid_until: float
    received: float
    careful: bool = False
    tasks: int = 1


class GrantStore(Protocol):
    """Grant units to all tasks that share a rate, so that they go one after another."""

    @property
    def name(self) -> str:
        """What the log calls it."""

    def ask(self, noun: str, rate: float, units: int) -> Grant | None:
        """
        Ask for units in a row; ``None`` where the store does not answer.

        :param noun: what is counted
        :param rate: units a second
        :param units: how many
        """

    def charge(self, noun: str, rate: float, units: int) -> Grant | None:
        """Count units that have gone beyond those granted; what is asked for after that waits for them."""


def divided_bucket(rate: float, share: int, chance: Callable[[], float] = random.random) -> TokenBucket:
    """
    Return the bucket of one of several tasks that divide a rate.

    :param rate: units a second of all of them
    :param share: how many they are
    :param chance: a number from 0 to 1 by which the first unit is put off, so that not all begin at the same moment
    """
    return TokenBucket(rate) if share == 1 else TokenBucket(rate / share, _BURST, chance())


class SharedBucket:
    """
    Let through what a store grants, and a share of the rate while the store is away.

    Each unit has a time. It is used then, or a moment later, or not at all: so units do not pile up at a task that
    stands still, and what was granted to one that dies is forgotten. For some seconds after the store was away, both
    bounds hold, as others may not have found it again.

    :param store: grants units
    :param noun: what is counted
    :param rate: units a second of all tasks
    :param share: how many tasks may run at once, as far as this one was told
    :param chance: a number from 0 to 1
    """

    def __init__(
        self, store: GrantStore, noun: str, rate: float, share: int, chance: Callable[[], float] = random.random
    ) -> None:
        self._store = store
        self._noun = noun
        self._rate = rate
        self._told_share = self._share = share
        self._chance = chance
        self._times: deque[float] = deque()
        self._valid = 0.0
        self._ask_at = float("-inf")
        self._away = False
        # What holds while the store is away, and for some seconds after that.
        self._divided: TokenBucket | None = None

    def wait(self, now: float) -> float:
        """Return the seconds until there may be a unit, or until the store is to be asked."""
        wait = 0.0 if self._divided is None else self._divided.wait(now)
        if self._away:
            return wait
        return max(wait, (self._times[0] if self._times else self._ask_at) - now)

    def available(self, now: float, most: int = sys.maxsize) -> int:
        """Return how many units may go now; asks the store where it must."""
        self._drop(now)
        if self._divided is not None:
            most = self._divided.available(now, most)
        if most > 0 and not self._times and (self._away or now >= self._ask_at):
            now = self._ask(most, now)
        if self._away:
            assert self._divided is not None
            return self._divided.available(now, most)
        return min(most, sum(time <= now for time in self._times))

    def take(self, units: int, now: float) -> None:
        """Let units go; the store is told of those that it has not granted."""
        if self._divided is not None:
            self._divided.take(units, now)
        if self._away:
            return
        granted = min(units, len(self._times))
        for _ in range(granted):
            self._times.popleft()
        if units > granted:
            self._heed(self._store.charge(self._noun, self._rate, units - granted))

    def _drop(self, now: float) -> None:
        """Drop units whose time has passed."""
        while self._times and self._times[0] + self._valid < now:
            self._times.popleft()

    def _ask(self, most: int, now: float) -> float:
        """Ask the store, and return the time after its answer."""
        units = max(1, min(most, int(self._rate * LEASE_SECONDS)))
        grant = self._store.ask(self._noun, self._rate, units)
        self._heed(grant)
        if grant is None:
            return now
        now = max(now, grant.received)
        if grant.units:
            self._times.extend(grant.start + at / self._rate for at in range(grant.units))
            self._valid = grant.valid_until - grant.start
            self._ask_at = grant.start + grant.units / self._rate + _TURN_SECONDS * (1 + self._chance())
            self._drop(now)
        else:
            self._ask_at = grant.start + _TURN_SECONDS * self._chance()
        return now

    def _heed(self, grant: Grant | None) -> None:
        """Keep to a share of the rate as long as there is no store, or as it says that other tasks may."""
        if grant is None:
            self._times.clear()
            if self._divided is None:
                self._divided = divided_bucket(self._rate, self._share, self._chance)
                # Until then, others may use what the store has granted them.
                self._divided.owe(PAUSE_SECONDS)
        elif not grant.careful:
            self._share = max(self._told_share, grant.tasks)
            self._divided = None
        else:
            # Others that come back later are not among the tasks that it counts.
            self._share = max(self._share, grant.tasks)
            if self._divided is None and self._share > 1:
                self._divided = divided_bucket(self._rate, self._share, self._chance)
            elif self._divided is not None:
                self._divided.rate = self._rate / self._share
        self._away = grant is None
