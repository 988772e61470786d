"""Wait for records without holding a thread: one look at one key, shared by all who wait at the same place."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.web.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_osmosdest.core.mailbox.cursor import Position

__all__ = ["ON_SHUTDOWN", "LongPoll"]

ON_SHUTDOWN = "osmos_on_shutdown"
"""In the state of an app's lifespan: what its server is to call when it begins to shut down."""

_LOOK_SECONDS = 0.5
_MOST_WAITERS = 1000
_RETRY_SECONDS = 5


@dataclass(eq=False)
class _Watch:
    """
    The looks at one place of one mailbox.

    :param nudge: set to look at once
    :param waiters: how many wait for it
    :param task: does the looking; its result is there once there is something
    """

    nudge: asyncio.Event = field(default_factory=asyncio.Event)
    waiters: int = 0
    task: asyncio.Task[None] | None = None


class LongPoll:
    """
    Those who wait for records.

    :param interval: seconds between two looks
    :param most: how many may wait at once
    """

    def __init__(self, *, interval: float = _LOOK_SECONDS, most: int = _MOST_WAITERS) -> None:
        self._interval = interval
        self._most = most
        self._watches: dict[tuple[str, Position], _Watch] = {}
        self._waiters = 0
        self._leaving: set[asyncio.Future[None]] = set()
        self.ended = False

    def __len__(self) -> int:
        """Return how many wait."""
        return self._waiters

    async def until_new(
        self,
        mailbox_id: str,
        position: Position,
        seconds: float,
        *,
        look: Callable[[], Awaitable[bool]],
        gone: Callable[[], Awaitable[None]],
    ) -> bool:
        """
        Wait until there is something at a position.

        :param mailbox_id: the mailbox
        :param position: where the reader stands
        :param seconds: how long to wait at most
        :param look: tells whether there is something there; one waiter's is used for all at this position
        :param gone: returns once the client has gone
        :return: there is something; false when the time is up, the client has gone, or waiting has ended for all
        :raises Problem: 503 when too many wait already
        """
        if self._waiters >= self._most:
            raise Problem(
                503,
                "Too many waiting",
                "too many requests wait for records already; ask without wait, or again later",
                headers={"Retry-After": str(_RETRY_SECONDS)},
            )
        if self.ended:
            return False
        key = (mailbox_id, position)
        watch = self._watches.get(key)
        if watch is None or watch.task is None or watch.task.done():
            watch = self._watches[key] = _Watch()
            watch.task = asyncio.create_task(self._looks(watch, look))
        self._waiters += 1
        watch.waiters += 1
        leaving = asyncio.ensure_future(gone())
        self._leaving.add(leaving)
        try:
            await asyncio.wait({watch.task, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not watch.task.done():
                return False
            # Raises what a look has raised.
            watch.task.result()
            return True
        finally:
            self._leaving.discard(leaving)
            leaving.cancel()
            self._waiters -= 1
            watch.waiters -= 1
            if not watch.waiters:
                watch.task.cancel()
                if self._watches.get(key) is watch:
                    del self._watches[key]

    def wake(self, mailbox_id: str) -> None:
        """
        Look at once, because something was published here.

        :param mailbox_id: the mailbox
        """
        for (each, _), watch in self._watches.items():
            if each == mailbox_id:
                watch.nudge.set()

    def end(self) -> None:
        """End every wait, and let none begin, because the server is about to end."""
        self.ended = True
        for leaving in self._leaving:
            leaving.cancel()

    async def _looks(self, watch: _Watch, look: Callable[[], Awaitable[bool]]) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(watch.nudge.wait(), self._interval)
            watch.nudge.clear()
            if await look():
                return
