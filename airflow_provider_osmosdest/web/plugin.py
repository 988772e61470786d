"""
Mount the mailboxes at ``/osmos`` on Airflow's API server.

Every process of Airflow imports this module, so it loads nothing: the app is made by the first request to it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["LazyApp", "OsmosPlugin"]

_ADDER = "SimpleAllAdminMiddleware"


class LazyApp:
    """The app, made when it is first called."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self._making = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with the headers that its sender gave it."""
        await self._made()(_as_sent(scope), receive, send)

    def _made(self) -> ASGIApp:
        with self._making:
            if self._app is None:
                from airflow.providers.common.compat.sdk import conf

                from airflow_provider_osmosdest.web.app import create_app
                from airflow_provider_osmosdest.web.connections import (
                    check_database,
                    check_storage,
                    open_mailbox,
                    open_rates,
                )
                from airflow_provider_osmosdest.web.health import Checks
                from airflow_provider_osmosdest.web.shared_rates import SharedRates

                rates = SharedRates(conf.getint("api", "workers", fallback=1), open_rates)
                self._app = create_app(open_mailbox, checks=Checks(check_database, check_storage), rates=rates)
            return self._app


def _as_sent(scope: Scope) -> Scope:
    """
    Take out the header that Airflow adds for itself, where ``[core] simple_auth_manager_all_admins`` is set.

    Behind the partner's own it would be a second ``Authorization``, and in place of a signature a wrong token.
    """
    outer = getattr(scope.get("app"), "user_middleware", ())
    if not any(getattr(each.cls, "__name__", "") == _ADDER for each in outer):
        return scope
    headers = list(scope["headers"])
    added = max((at for at, (name, _) in enumerate(headers) if name == b"authorization"), default=None)
    if added is not None:
        del headers[added]
    return {**scope, "headers": headers}


class OsmosPlugin(AirflowPlugin):
    """Register the web app with Airflow."""

    name = "osmosdest"
    fastapi_apps = [  # noqa: RUF012 - Airflow's own declares no ClassVar
        {"app": LazyApp(), "url_prefix": "/osmos", "name": "Osmos mailboxes"}
    ]
