"""The mailboxes a server has open, looked up again after a few seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox

__all__ = ["Registry"]

_TTL_SECONDS = 5.0
_KEEP_SECONDS = 300.0
_MOST = 1024
_log = logging.getLogger(__name__)


@dataclass
class _Known:
    """
    What was found under an id.

    :param at: when it was last looked up
    :param since: when it was opened
    :param mailbox: what was found
    """

    at: float
    since: float
    mailbox: Mailbox | None

    def still(self, found: Mailbox | None, now: float) -> bool:
        """
        Tell whether to go on with it: it has what it has read already at hand.

        For a while only: the credentials of its store are no part of what is compared.
        """
        return (
            self.mailbox is not None
            and found is not None
            and self.mailbox.settings == found.settings
            and self.mailbox.store.root == found.store.root
            and now - self.since < _KEEP_SECONDS
        )


class Registry:
    """
    Mailboxes by id; an id that has none is remembered too, so that guessing ids does not become a load elsewhere.

    :param load: opens a mailbox, ``None`` where there is none of that id; it may block
    :param ttl: seconds after which a mailbox is looked up again, so that a revoked token stops to work
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
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}

    def fresh(self, mailbox_id: str) -> tuple[bool, Mailbox | None]:
        """Return whether it was looked up lately, and what was found; never blocks."""
        with self._lock:
            known = self._known.get(mailbox_id)
            if known is None or self._clock() - known.at >= self._ttl:
                return False, None
            self._known.move_to_end(mailbox_id)
            return True, known.mailbox

    def get(self, mailbox_id: str) -> Mailbox | None:
        """
        Return a mailbox, looked up anew when that is due; many threads that ask at once look it up once.

        :param mailbox_id: the id of its Airflow Connection
        """
        found, mailbox = self.fresh(mailbox_id)
        if found:
            return mailbox
        with self._lock:
            turn = self._loading.setdefault(mailbox_id, threading.Lock())
        with turn:
            found, mailbox = self.fresh(mailbox_id)
            return mailbox if found else self._look_up(mailbox_id)

    def _look_up(self, mailbox_id: str) -> Mailbox | None:
        try:
            mailbox = self._load(mailbox_id)
        except ConfigurationError as error:
            # Strangers must not learn from the answer that there is such a mailbox.
            _log.error("Mailbox %s cannot be opened: %s", mailbox_id, error)
            mailbox = None
        with self._lock:
            now = self._clock()
            known = self._known.pop(mailbox_id, None)
            if known is None or not known.still(mailbox, now):
                known = _Known(now, now, mailbox)
            known.at = now
            self._known[mailbox_id] = known
            self._loading.pop(mailbox_id, None)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
            return known.mailbox
