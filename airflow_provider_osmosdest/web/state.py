"""What the routes of one app share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

from airflow_provider_osmosdest.web.http.request_body import Bodies
from airflow_provider_osmosdest.web.long_poll import LongPoll
from airflow_provider_osmosdest.web.rate_limits import Failures, Rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from airflow_provider_osmosdest.web.health import Health
    from airflow_provider_osmosdest.web.mailbox_cache import MailboxCache

__all__ = ["WebState", "in_thread", "services"]

_THREADS = 16

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class WebState:
    """
    The shared parts of one app, which belong to its event loop.

    :param registry: the open mailboxes
    :param health: whether what they need answers
    :param failures: failed attempts by address
    :param rates: requests by token
    :param waiting: who waits for records
    :param bodies: room for what is posted
    :param threads: how many blocking calls may run at once; the others queue, and hold nothing meanwhile
    """

    registry: MailboxCache
    health: Health
    failures: Failures = field(default_factory=Failures)
    rates: Rates = field(default_factory=Rates)
    waiting: LongPoll = field(default_factory=LongPoll)
    bodies: Bodies = field(default_factory=Bodies)
    threads: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_THREADS))


def services(request: Request) -> WebState:
    """Return what the routes of a request's app share."""
    found: WebState = request.app.state.services
    return found


async def in_thread(request: Request, function: Callable[[*_Args], _Result], *args: *_Args) -> _Result:
    """
    Run a call that blocks, outside of the event loop.

    :param request: whose app's threads to take
    :param function: what to call
    :param args: what to call it with
    """
    return await anyio.to_thread.run_sync(function, *args, limiter=services(request).threads)
