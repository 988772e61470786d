"""Cache the mailboxes that a server has open, looked up again after a few seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["MailboxCache", "UndecidedError"]

_TTL_SECONDS = 5.0
_KEEP_SECONDS = 300.0
_MOST = 1024
_THREADS = 4
_MOST_STORES = 4
_log = logging.getLogger(__name__)


class UndecidedError(StorageError):
    """A mailbox was not found, but a place where connections are kept does not answer."""


@dataclass
class _Known:
    """
    The result of looking up an id.

    :param at: when it was last looked up
    :param since: when it was opened
    :param mailbox: what was found
    """

    at: float
    since: float
    mailbox: Mailbox | None

    def still(self, found: Mailbox | None, now: float) -> bool:
        """
        Tell whether to keep it in place of what was found now: its caches are filled.

        For a while only: the credentials of its store are not compared.
        """
        return (
            self.mailbox is not None
            and found is not None
            and self.mailbox.settings == found.settings
            and self.mailbox.store.root == found.store.root
            and now - self.since < _KEEP_SECONDS
        )


class MailboxCache:
    """
    Mailboxes by id; an id that has none is cached too, so that guessing ids does not load the database.

    It belongs to one event loop, and has a few threads of its own: clients that guess ids delay no reader of a mailbox
    that is open.

    :param load: opens a mailbox, ``None`` where there is none of that id; it may block
    :param ttl: seconds after which a mailbox is looked up again, so that a revoked token stops working
    :param clock: seconds that only grow
    """

    def __init__(
        self,
        load: Callable[[str], Mailbox | None],
        *,
        ttl: float = _TTL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._ttl = ttl
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._opening: dict[str, asyncio.Task[Mailbox | None]] = {}
        self._threads = anyio.CapacityLimiter(_THREADS)

    async def find(self, mailbox_id: str) -> Mailbox | None:
        """
        Return a mailbox, looked up again when that is due; concurrent callers share one look-up.

        :param mailbox_id: the id of its Airflow Connection
        :raises StorageError: it cannot be looked up now
        """
        known = self._known.get(mailbox_id)
        if known is not None and self._clock() - known.at < self._ttl:
            self._known.move_to_end(mailbox_id)
            return known.mailbox
        opening = self._opening.get(mailbox_id)
        if opening is None:
            opening = self._opening[mailbox_id] = asyncio.create_task(self._open(mailbox_id))
            opening.add_done_callback(lambda _: self._opening.pop(mailbox_id))
        # The first caller may be cancelled; the others still wait for the result.
        return await asyncio.shield(opening)

    def stores(self) -> dict[str, Store]:
        """Return the stores of the mailboxes that were asked for last, a few of them, by their paths."""
        used = [known.mailbox for known in reversed(self._known.values()) if known.mailbox is not None]
        return {str(each.store.root): each.store for each in used[:_MOST_STORES]}

    async def _open(self, mailbox_id: str) -> Mailbox | None:
        try:
            found = await anyio.to_thread.run_sync(self._load, mailbox_id, limiter=self._threads)
        except ConfigurationError as error:
            # Strangers must not learn from the response that there is such a mailbox.
            _log.error("Mailbox %s cannot be opened: %s", mailbox_id, error)
            found = None
        except UndecidedError:
            # A mailbox that was open is unavailable, and not unknown; of any other the response reveals nothing.
            if (known := self._known.get(mailbox_id)) is not None and known.mailbox is not None:
                raise
            found = None
        now = self._clock()
        known = self._known.pop(mailbox_id, None)
        if known is None or not known.still(found, now):
            known = _Known(now, now, found)
        known.at = now
        self._known[mailbox_id] = known
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return known.mailbox
