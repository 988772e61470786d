"""Tasks that share a rate, on a simulated clock: a twin of the script that Redis runs, and of what asks it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.http.shared_bucket import (
    LAG_SECONDS,
    LEASE_SECONDS,
    VALID_SECONDS,
    Grant,
    SharedBucket,
)

if TYPE_CHECKING:
    from random import Random

RETRY = 5.0
TIMEOUT = 0.5


@dataclass
class Script:
    """What the script keeps of one bucket, in microseconds; tests/integration/test_shared_rates.py compares it."""

    next: float | None = None
    at: float = 0.0
    careful: float = 0.0
    tasks: dict[str, float] = field(default_factory=dict)

    def run(self, now, rate, units, *, saved, fresh, quiet=1.0, careful_for=6.0, charged=False, lost=False, task=""):
        saved, fresh, quiet, careful_for = (round(each * 1e6) for each in (saved, fresh, quiet, careful_for))
        if self.next is None:
            self.next, self.at, self.careful = now + fresh, now, now + careful_for
        elif now < self.at:
            self.next, self.careful = self.next - (self.at - now), self.careful - (self.at - now)
        if lost or now - max(self.at, self.next) > quiet:
            self.careful = now + careful_for
        start, granted = max(self.next, now - saved), 0
        if charged or start <= now:
            granted, self.next = units, round(start + units * 1e6 / rate)
        self.at = now
        if task:
            self.tasks[task] = now
            self.tasks = {name: at for name, at in self.tasks.items() if at > now - 60e6}
        return granted, start - now, self.careful - now, max(1, len(self.tasks))


class Store:
    """Redis, as one task sees it."""

    name = "simulated"

    def __init__(self, world, task):
        self.world, self.task = world, task
        self.again_at, self.lost = float("-inf"), False

    def ask(self, noun, rate, units):
        return self._ask(rate, units, charged=False)

    def charge(self, noun, rate, units):
        return self._ask(rate, units, charged=True)

    def _ask(self, rate, units, *, charged):
        world = self.world
        if world.asked < self.again_at:
            return None
        world.asks += 1
        if any(first <= world.answered < last for first, last in world.outages):
            self.again_at, self.lost = world.asked + RETRY, True
            return None
        granted, start, careful, tasks = world.script_at(world.answered).run(
            round(world.answered * 1e6) + 10**15,
            rate,
            units,
            saved=LAG_SECONDS,
            fresh=LEASE_SECONDS + VALID_SECONDS,
            charged=charged,
            lost=self.lost,
            task=self.task,
        )
        self.lost = False
        self.again_at = float("-inf")
        received = world.answered + world.latency()
        world.received = received
        return Grant(
            granted,
            received + start / 1e6,
            world.asked + start / 1e6 + VALID_SECONDS,
            received,
            careful > 0,
            tasks,
        )


class World:
    """
    Tasks that send as fast as they may.

    :param rate: units a second of all of them
    :param random: decides latencies and turns
    :param slowest: seconds a way of a message takes at most
    :param outages: when Redis does not answer, and has lost what it kept after that
    """

    def __init__(self, rate: float, random: Random, slowest: float = 0.002, outages=(), forgets=True):
        self.rate, self.random, self.slowest = rate, random, slowest
        self.outages, self.forgets = outages, forgets
        self.script = Script()
        self.asks = 0
        # When a question is sent, when it is answered, and when the answer is there.
        self.asked = self.answered = self.received = 0.0
        self.sent: list[float] = []
        self.by_task: dict[str, int] = {}
        self._ended = 0

    def latency(self) -> float:
        return self.random.uniform(0.0001, self.slowest)

    def script_at(self, now):
        ended = sum(last <= now for _, last in self.outages)
        if ended > self._ended:
            self._ended = ended
            if self.forgets:
                self.script = Script()
        return self.script

    def run(self, lives, *, share, seconds, room=16, busy=lambda: 0.0):
        """
        Run tasks.

        :param lives: when each task begins and dies
        :param share: what each is told
        :param room: how many units a task can use at once
        :param busy: for how long a task is busy after it has sent
        """
        tasks = [
            SharedBucket(Store(self, str(at)), "requests", self.rate, share, self.random.random)
            for at in range(len(lives))
        ]
        waking = [(begin, at) for at, (begin, _) in enumerate(lives)]
        heapq.heapify(waking)
        seen = [0.0] * len(tasks)
        while waking and waking[0][0] < seconds:
            now, at = heapq.heappop(waking)
            if now >= lives[at][1]:
                continue
            bucket = tasks[at]
            # The question was sent a little before now, which is when it is answered.
            self.asked = max(seen[at], now - self.latency())
            self.answered, self.received = now, 0.0
            units = bucket.available(self.asked, room)
            then = max(self.asked, self.received, seen[at])
            if units:
                self.sent += [then] * units
                self.by_task[str(at)] = self.by_task.get(str(at), 0) + units
                self.answered = then
                bucket.take(units, then)
                then += busy()
            seen[at] = then
            heapq.heappush(waking, (max(now, then) + max(0.0005, bucket.wait(then)), at))
        self.sent.sort()
        return self


def most_in_a_second(sent: list[float], since: float = 0.0, until: float = float("inf")) -> int:
    """Return how many units went in the fullest window of one second."""
    most = first = 0
    for last, at in enumerate(sent):
        while at - sent[first] > 1.0:
            first += 1
        if since <= sent[first] and at <= until:
            most = max(most, last - first + 1)
    return most
