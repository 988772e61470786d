"""The outermost layer of the app: what holds for every response, whichever route it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from airflow_provider_osmosdest.web.http.problems import problem_of, problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ProblemMiddleware"]


class ProblemMiddleware:
    """
    Answer what no handler caught, forbid caches to keep what no route allows them to, and send no body to a HEAD.

    :param app: the app inside
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False
        head = scope["method"] == "HEAD"

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("X-Content-Type-Options", "nosniff")
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(scope, receive, guarded)
        except Exception as error:
            problem = problem_of(error)
            if started:
                # The response is under way: only closing the connection can still show that it is incomplete.
                raise
            await problem_response(problem)(scope, receive, guarded)
