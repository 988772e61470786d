"""Poll a mailbox from the triggerer: one request a poll, and no error ends it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from airflow_provider_osmosdest.core.mailbox.cursor import Position

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_osmosdest.core.mailbox.log.entry import Entry
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox

__all__ = [
    "POLL_INTERVAL",
    "WATCH_INTERVAL",
    "LogWatcher",
    "Poll",
    "Remembering",
    "off_the_loop",
    "open_mailbox",
    "polling",
    "records_waiting",
]

POLL_INTERVAL = 2.0
"""Seconds between two polls at most for one task, of which many may wait."""

WATCH_INTERVAL = 1.0
"""Likewise for an asset, whose watchers share one poll: it leaves Airflow 4 of the 5 seconds a DAG should start in."""

# The share of the interval that a poll comes early at most, so that triggers do not poll in step.
_JITTER = 0.25
_LONGEST_WAIT = 60.0
# The connection may have been changed meanwhile.
_REOPEN_SECONDS = 300.0

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Remembering(Protocol):
    """A trigger that notes which batch it fired for."""

    async def remember(self, seq: int) -> None:
        """Note a batch by its number."""


@dataclass(slots=True)
class Poll:
    """
    The result of one poll of a mailbox.

    :param newest: its newest batch, ``None`` while there is none
    :param fired: the triggers that fired because of it
    """

    newest: Entry | None
    fired: list[Remembering] = field(default_factory=list)


class LogWatcher:
    """
    Watch the end of a mailbox's log.

    :param mailbox: the mailbox
    """

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self._newest: Entry | None = None
        self._waiting: tuple[int, int] | None = None

    def newest(self) -> Entry | None:
        """Return the newest batch, ``None`` while there is none; one request, as long as nothing is new."""
        seen = self._newest.seq if self._newest is not None else 0
        if self.mailbox.has_new(Position(seen + 1)):
            self._newest = self.mailbox.log.tail()
        elif self._newest is None:
            # Batch 1 is absent because none was published, or because it was purged.
            self._newest = self.mailbox.log.tail()
        return self._newest

    def waiting(self, consumer: str) -> int:
        """Return how many records wait for a consumer, counted again only once there is a new batch."""
        newest = self.newest()
        seq = 0 if newest is None else newest.seq
        if self._waiting is None or self._waiting[0] != seq:
            self._waiting = (seq, records_waiting(self.mailbox, consumer))
        return self._waiting[1]


def records_waiting(mailbox: Mailbox, consumer: str) -> int:
    """
    Return how many records a consumer has not committed.

    Where some of those are purged, what is left is counted. That is 1 at least, as the newest batch is never purged, so
    a task that waits goes on and finds the loss.
    """
    return mailbox.lag(mailbox.standing(consumer).position)


def open_mailbox(conn_id: str) -> Mailbox:
    """
    Return the mailbox of a connection.

    :raises OsmosError: when there is none, or its store cannot be used
    """
    from airflow_provider_osmosdest.hooks.mailbox import MailboxHook

    return MailboxHook(conn_id).mailbox()


async def off_the_loop(function: Callable[..., _T], *arguments: Any) -> _T:
    """
    Call a blocking function in a thread.

    With asgiref, as the function may ask for connections: the supervisor is reached over the loop that it was called
    from.
    """
    from asgiref.sync import sync_to_async

    return await sync_to_async(function, thread_sensitive=False)(*arguments)


async def polling(
    conn_id: str,
    interval: float,
    read: Callable[[LogWatcher], _T],
    *,
    opener: Callable[[str], Mailbox] = open_mailbox,
    sleep: Callable[[float], Any] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[_T]:
    """
    Poll a mailbox for ever, and yield each result.

    The first of several failures is logged, and polls go on after ever longer waits, of a minute at most: a trigger
    that ends takes its task or its asset with it, and storage comes back.

    :param conn_id: id of the mailbox's connection
    :param interval: seconds between two polls at most
    :param read: what to call each time, in a thread
    :param opener: opens the mailbox
    :param sleep: waits
    :param clock: a monotonic clock, in seconds
    """
    watcher: LogWatcher | None = None
    opened = 0.0
    failures = 0
    while True:
        try:
            if watcher is None or clock() - opened > _REOPEN_SECONDS:
                watcher = LogWatcher(await off_the_loop(opener, conn_id))
                opened = clock()
            result = await off_the_loop(read, watcher)
        except Exception as error:  # noqa: BLE001 - stores, Airflow's supervisor and connections raise what they like
            watcher = None
            if not failures:
                _log.warning("Mailbox %r cannot be looked at; trying on until it can be: %s", conn_id, error)
            wait = min(_LONGEST_WAIT, interval * 2.0 ** min(failures, 10))
            failures += 1
        else:
            if failures:
                _log.info("Mailbox %r can be looked at again, after %d failures.", conn_id, failures)
            failures = 0
            wait = interval
            yield result
        await sleep(wait * random.uniform(1 - _JITTER, 1))  # noqa: S311 - no secret depends on it
