"""Check whether the database and the stores answer: at most every few seconds, however often clients ask."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.store.probe import PROBED_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["Checks", "Findings", "Health", "check_store"]

_TTL_SECONDS = 5.0
_TIMEOUT_SECONDS = 3.0
_THREADS = 16
_DATABASE = "the database"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checks:
    """
    The checks; each blocks, and raises where there is no answer.

    :param database: asks where connections are kept; ``None`` where there is none
    :param storage: asks the store of those mailboxes that have no path of their own; ``None`` where there is none
    """

    database: Callable[[], None] | None = None
    storage: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """
    The results of the checks.

    :param database: the database has, or there is none to ask
    :param store: a store of mailboxes has, or there is none to ask
    """

    database: bool
    store: bool


class Health:
    """
    Run the checks, and cache their results for a while; for one event loop.

    :param checks: the checks
    :param stores: returns the stores of the mailboxes in use, by a name; where there are any, they are asked, and not
        ``checks.storage``
    :param ttl: seconds for which a result is cached
    :param timeout: seconds to wait for an answer
    """

    def __init__(
        self,
        checks: Checks,
        stores: Callable[[], Mapping[str, Store]],
        *,
        ttl: float = _TTL_SECONDS,
        timeout: float = _TIMEOUT_SECONDS,
    ) -> None:
        self._checks = checks
        self._stores = stores
        self._ttl = ttl
        self._timeout = timeout
        self._found: Findings | None = None
        self._at = 0.0
        self._asking: asyncio.Task[Findings] | None = None
        self._pending: dict[str, asyncio.Task[None]] = {}
        self._database_thread = anyio.CapacityLimiter(1)
        self._store_threads = anyio.CapacityLimiter(_THREADS)

    async def findings(self) -> Findings:
        """Return the results; concurrent callers share one run of the checks."""
        if self._found is not None and asyncio.get_running_loop().time() - self._at < self._ttl:
            return self._found
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Findings:
        stores: dict[str, Callable[[], None]] = {
            f"the store {name}": partial(check_store, store) for name, store in self._stores().items()
        }
        if not stores and self._checks.storage is not None:
            stores["[osmosdest] storage_path"] = self._checks.storage
        database = self._checks.database
        answered = await asyncio.gather(
            *(self._answers(_DATABASE, check, self._database_thread) for check in [database] if check is not None),
            *(self._answers(name, check, self._store_threads) for name, check in stores.items()),
        )
        of_stores = answered if database is None else answered[1:]
        # One partner's store that is out of order does not make the mailboxes in others unusable.
        self._found = Findings(database is None or answered[0], any(of_stores) or not of_stores)
        self._at = asyncio.get_running_loop().time()
        return self._found

    async def _answers(self, name: str, check: Callable[[], None], threads: anyio.CapacityLimiter) -> bool:
        # What has not answered yet is not asked again: it would hold one more thread.
        task = self._pending.get(name)
        if task is None:
            task = self._pending[name] = asyncio.create_task(
                anyio.to_thread.run_sync(check, limiter=threads, abandon_on_cancel=True)
            )
        done, _ = await asyncio.wait({task}, timeout=self._timeout)
        if not done:
            _log.warning("Health: no answer from %s after %g s", name, self._timeout)
            return False
        del self._pending[name]
        if (error := task.exception()) is not None:
            _log.warning("Health: %s does not answer: %s: %s", name, type(error).__name__, error)
            return False
        return True


def check_store(store: Store) -> None:
    """
    Ask a store for the object that it has had since its mailbox was first opened; one request.

    :param store: the store
    :raises StorageError: it does not answer, or holds nothing of the mailbox any more, as a disk that is not mounted
    """
    if store.get(PROBED_NAME) is None:
        msg = f"{PROBED_NAME} is gone: the mailbox was deleted, or its disk is not mounted"
        raise StorageError(msg)
