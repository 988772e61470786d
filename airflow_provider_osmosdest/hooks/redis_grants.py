"""Grant units of a rate through Redis, to all processes that ask it."""

from __future__ import annotations

import asyncio
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.http.shared_bucket import (
    LAG_SECONDS,
    LEASE_SECONDS,
    VALID_SECONDS,
    Grant,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from redis import Redis

__all__ = ["RETRY_SECONDS", "TIMEOUT_SECONDS", "RedisGrants", "TaskGrants"]

RETRY_SECONDS = 5.0
"""After how long Redis is asked again once it has not answered."""

TIMEOUT_SECONDS = 0.5
"""How long an answer of Redis is waited for, in seconds."""

_CAREFUL_SECONDS = RETRY_SECONDS + 1.0
"""For how long tasks that lost Redis may not have found it again."""
_QUIET_SECONDS = 1.0
"""After how long without a question a bucket counts as one that others may have lost."""
_TASK_SECONDS = 60.0
"""For how long a task that does not ask counts as one that runs."""
_MOST_LATE = 3

# A bucket is the time of the next free unit, in microseconds of Redis's own clock (the generic cell rate algorithm).
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local rate, units = tonumber(ARGV[1]), tonumber(ARGV[2])
local saved, fresh, quiet, careful_for = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local charged, lost, task, tasks_for = ARGV[7] == '1', ARGV[8] == '1', ARGV[9], tonumber(ARGV[10])

local kept = redis.call('HMGET', KEYS[1], 'next', 'at', 'careful')
local next, at, careful = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3])
if not next then
  -- It may have been lost with units granted that are not used yet.
  next, at, careful = now + fresh, now, now + careful_for
elseif now < at then
  -- The clock was set back, or another Redis has taken over.
  next, careful = next - (at - now), careful - (at - now)
end
if lost or now - math.max(at, next) > quiet then careful = now + careful_for end

local start, granted = math.max(next, now - saved), 0
if charged or start <= now then
  granted, next = units, start + units * 1000000 / rate
end
redis.call('HSET', KEYS[1], 'next', string.format('%.0f', next), 'at', string.format('%.0f', now),
  'careful', string.format('%.0f', careful))
local idle = math.ceil((math.max(next, now) - now) / 1000) + 60000
redis.call('PEXPIRE', KEYS[1], idle)
local tasks = 1
if task ~= '' then
  redis.call('ZADD', KEYS[2], string.format('%.0f', now), task)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - tasks_for))
  redis.call('PEXPIRE', KEYS[2], math.ceil(tasks_for / 1000))
  tasks = redis.call('ZCARD', KEYS[2])
end
return {granted, start - now, careful - now, tasks, string.format('%.0f', now)}
"""


class RedisGrants:
    """
    Ask Redis for units, in threads of its own, as even the look-up of a host's name may hang.

    :param client: without retries of its own
    :param name: what the log calls it
    :param warn: takes a line for the log, when Redis is away for the first time and when it is back
    :param threads: how many questions may be under way
    """

    def __init__(self, client: Redis, name: str, warn: Callable[[str], None], threads: int = 1) -> None:
        self.name = name
        self.losses = 0
        """How many times it went away."""
        self._script = client.register_script(_SCRIPT)
        self._warn = warn
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="osmosdest-redis")
        self._late = 0
        self._away = False
        self._again_at = float("-inf")

    def ask(self, key: str, rate: float, units: int, **how: Any) -> Grant | None:
        """
        Ask, and wait for the answer: half a second at most.

        :param key: of the bucket
        :param rate: units a second
        :param units: how many units are wanted in a row
        :param how: see ``_ask``
        :return: ``None`` while Redis is away
        """
        if (future := self._begin(key, rate, units, how)) is None:
            return None
        try:
            return self._answered(future.result(timeout=TIMEOUT_SECONDS))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with Redis, it must not stop a delivery
            future.cancel()
            self._lost(error)
            return None

    async def ask_soon(self, key: str, rate: float, units: int, **how: Any) -> Grant | None:
        """Do what :meth:`ask` does, without holding up the event loop."""
        if (future := self._begin(key, rate, units, how)) is None:
            return None
        try:
            return self._answered(await asyncio.wait_for(asyncio.wrap_future(future), TIMEOUT_SECONDS))
        except Exception as error:  # noqa: BLE001 - as above, for requests to a mailbox
            self._lost(error)
            return None

    def _begin(self, key: str, rate: float, units: int, how: dict[str, Any]) -> Future[Grant] | None:
        if self._away:
            now = time.monotonic()
            if now < self._again_at:
                return None
            # One asks; the others do not wait for it.
            self._again_at = now + RETRY_SECONDS
        return self._pool.submit(self._ask, key, rate, units, **how)

    def _ask(
        self,
        key: str,
        rate: float,
        units: int,
        *,
        saved: float = 0.0,
        fresh: float = 0.0,
        charged: bool = False,
        lost: bool = False,
        task: str = "",
    ) -> Grant:
        """
        Run the script.

        :param saved: how many seconds ago the time of a unit may be
        :param fresh: seconds until the first unit of a bucket that is not there
        :param charged: the units have gone already
        :param lost: the caller has kept to a share since it asked last
        :param task: id of the task that asks, where tasks are counted
        """
        durations = (saved, fresh, _QUIET_SECONDS, _CAREFUL_SECONDS)
        sent = time.monotonic()
        granted, start, careful, tasks, _ = self._script(
            keys=[f"osmosdest:{key}", f"osmosdest:{key}:tasks"],
            args=[rate, units, *(_micros(each) for each in durations), int(charged), int(lost), task,
                  _micros(_TASK_SECONDS)],
        )  # fmt: skip
        received = time.monotonic()
        return Grant(
            units=granted,
            start=received + start / 1e6,
            valid_until=sent + start / 1e6 + VALID_SECONDS,
            received=received,
            careful=careful > 0,
            tasks=tasks,
        )

    def _answered(self, grant: Grant) -> Grant:
        late = grant.valid_until <= grant.start
        self._late = self._late + 1 if late else 0
        if self._late >= _MOST_LATE:
            self._late = 0
            raise TimeoutError(f"its last {_MOST_LATE} answers took longer than {VALID_SECONDS:g} s")
        if self._away:
            self._away = False
            if self.losses == 1:
                self._warn(f"{self.name} answers again: rates are shared through it.")
        return grant

    def _lost(self, error: Exception) -> None:
        self._again_at = time.monotonic() + RETRY_SECONDS
        if self._away:
            return
        self._away = True
        self.losses += 1
        if self.losses == 1:
            self._warn(
                f"{self.name} cannot be asked ({type(error).__name__}: {error}): until it can, rates are divided by "
                f"the tasks that share them. It is asked again every {RETRY_SECONDS:g} s."
            )


class TaskGrants:
    """
    The buckets of a connection, for one task.

    :param grants: asks Redis
    :param conn_id: id of the connection
    """

    def __init__(self, grants: RedisGrants, conn_id: str) -> None:
        self._grants = grants
        self._conn_id = conn_id
        self._task = uuid.uuid4().hex
        self._losses: dict[str, int] = {}

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"{self._grants.name} with all tasks on connection {self._conn_id!r}"

    def ask(self, noun: str, rate: float, units: int) -> Grant | None:
        """Ask for units; ``None`` while Redis is away."""
        return self._ask(noun, rate, units, charged=False)

    def charge(self, noun: str, rate: float, units: int) -> Grant | None:
        """Count units that have gone; ``None`` while Redis is away."""
        return self._ask(noun, rate, units, charged=True)

    def _ask(self, noun: str, rate: float, units: int, *, charged: bool) -> Grant | None:
        losses = self._grants.losses
        grant = self._grants.ask(
            f"connection:{self._conn_id}:{noun}",
            rate,
            units,
            saved=LAG_SECONDS,
            fresh=LEASE_SECONDS + VALID_SECONDS,
            charged=charged,
            lost=losses != self._losses.get(noun, 0),
            task=self._task,
        )
        if grant is not None:
            self._losses[noun] = losses
        return grant


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
