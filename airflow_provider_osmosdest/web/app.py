"""Make the app: its routers, its middleware and its lifespan."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.middleware import Middleware

from airflow_provider_osmosdest.web.health import Checks, Health
from airflow_provider_osmosdest.web.http.middleware import ProblemMiddleware
from airflow_provider_osmosdest.web.http.problems import handle_problems
from airflow_provider_osmosdest.web.long_poll import ON_SHUTDOWN
from airflow_provider_osmosdest.web.mailbox_cache import MailboxCache
from airflow_provider_osmosdest.web.routes import batches, consumers, documents, health, inbox, records
from airflow_provider_osmosdest.web.shared_rates import SharedRates
from airflow_provider_osmosdest.web.state import WebState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox

__all__ = ["create_app"]


def create_app(
    load: Callable[[str], Mailbox | None],
    *,
    prefix: str = "/v1",
    checks: Checks | None = None,
    rates: SharedRates | None = None,
) -> FastAPI:
    """
    Make the app that serves mailboxes.

    :param load: opens a mailbox by its id, ``None`` where there is none; called in a thread
    :param prefix: what the paths begin with, below wherever the app is mounted
    :param checks: what the route ``health`` asks besides the stores of the mailboxes in use
    :param rates: how fast each token may ask; by default each app counts for itself
    """
    mailboxes = MailboxCache(load)
    state = WebState(mailboxes, Health(checks or Checks(), mailboxes.stores), rates=rates or SharedRates())

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        # The first check loads Airflow's database code, which takes longer than a check may.
        warming = asyncio.create_task(state.health.findings())
        yield {ON_SHUTDOWN: state.waiting.end}
        warming.cancel()

    app = FastAPI(
        title="Osmos mailboxes",
        # Each mailbox has an OpenAPI document of its own, for those who hold a token of it.
        openapi_url=None,
        redirect_slashes=False,
        middleware=[Middleware(ProblemMiddleware)],
        lifespan=lifespan,
    )
    app.state.web = state
    handle_problems(app)
    for router in (records.router, inbox.router, consumers.router, batches.router, documents.router):
        app.include_router(router, prefix=f"{prefix}/mailboxes/{{mailbox_id}}")
    app.include_router(health.router, prefix=prefix)
    return app
