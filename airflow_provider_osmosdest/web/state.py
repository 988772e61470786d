"""The state that the routes of one app share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

from airflow_provider_osmosdest.web.http.request_body import Bodies
from airflow_provider_osmosdest.web.long_poll import LongPoll
from airflow_provider_osmosdest.web.rate_limits import Failures
from airflow_provider_osmosdest.web.shared_rates import SharedRates

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from airflow_provider_osmosdest.web.health import Health
    from airflow_provider_osmosdest.web.mailbox_cache import MailboxCache

__all__ = ["WebState", "in_thread", "web_state"]

_THREADS = 16

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class WebState:
    """
    The shared parts of one app, which belong to its event loop.

    :param mailboxes: the open mailboxes
    :param health: the checks of the database and the stores
    :param failures: failed attempts by address
    :param rates: requests by token
    :param waiting: the requests that wait for records
    :param bodies: room for what is posted
    :param threads: how many blocking calls may run at once; the others queue, and hold nothing meanwhile
    """

    mailboxes: MailboxCache
    health: Health
    failures: Failures = field(default_factory=Failures)
    rates: SharedRates = field(default_factory=SharedRates)
    waiting: LongPoll = field(default_factory=LongPoll)
    bodies: Bodies = field(default_factory=Bodies)
    threads: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_THREADS))


def web_state(request: Request) -> WebState:
    """Return the state of a request's app."""
    found: WebState = request.app.state.web
    return found


async def in_thread(request: Request, function: Callable[[*_Args], _Result], *args: *_Args) -> _Result:
    """
    Call a blocking function outside of the event loop.

    :param request: a request to the app whose threads to use
    :param function: what to call
    :param args: what to call it with
    """
    return await anyio.to_thread.run_sync(function, *args, limiter=web_state(request).threads)
