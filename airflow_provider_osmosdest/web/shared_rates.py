"""Keep to the rate of a token: through Redis with all other servers, or as one of the processes of this one."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from typing import TYPE_CHECKING

import anyio.to_thread

from airflow_provider_osmosdest.web.rate_limits import BURST_SECONDS, Rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.hooks.redis_grants import RedisGrants

__all__ = ["SharedRates"]

_log = logging.getLogger(__name__)

_REOPEN_SECONDS = 30.0


class SharedRates:
    """
    Let each token make so many requests a second, with a burst of one second's worth.

    :param processes: of this server, which divide a rate where no Redis answers
    :param open_grants: returns what asks Redis, ``None`` where none is set; blocks
    """

    def __init__(self, processes: int = 1, open_grants: Callable[[], RedisGrants | None] | None = None) -> None:
        self._divided = Rates(processes)
        self._open = open_grants
        self._opening = asyncio.Lock()
        self._open_at = float("-inf")
        self._grants: RedisGrants | None = None

    async def wait(self, key: tuple[str, str], rate: float) -> int:
        """
        Count a request, or return the whole seconds after which it may be made again.

        :param key: the mailbox, and which token the request came with
        :param rate: requests a second
        :return: 0 when it may be made
        """
        loop = asyncio.get_running_loop()
        if self._open is not None:
            await self._opened(loop.time())
        if self._grants is not None:
            name = f"mailbox:{key[0]}:{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}"
            grant = await self._grants.ask_soon(name, rate, 1, saved=max(0.0, BURST_SECONDS - 1 / rate))
            if grant is not None:
                return 0 if grant.units else math.ceil(max(0.001, grant.start - grant.received))
        return self._divided.wait(key, rate, loop.time())

    async def _opened(self, now: float) -> None:
        """Open Redis once; where its setting cannot be used, again after a while."""
        async with self._opening:
            if self._open is None or now < self._open_at:
                return
            try:
                self._grants = await anyio.to_thread.run_sync(self._open)
            except Exception as error:  # noqa: BLE001 - the database with its connection may be away
                if self._open_at < 0:
                    _log.warning("Rates are not shared through Redis: %s: %s", type(error).__name__, error)
                self._open_at = now + _REOPEN_SECONDS
            else:
                self._open = None
