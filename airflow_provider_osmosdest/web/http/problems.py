"""Error responses as problem documents (RFC 9457), without internals."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from airflow_provider_osmosdest.core.errors import CursorError, CursorExpiredError, StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

__all__ = ["PROBLEM_TYPE", "Problem", "handle_problems", "problem_of", "problem_response"]

PROBLEM_TYPE = "application/problem+json"

_RETRY_SECONDS = 5
_log = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """
    An error response.

    :param status: the HTTP status
    :param title: the kind of problem, the same words for each of its kind
    :param detail: what happened this time and what the client can do about it; strangers may read it
    :param type: a URI of this kind of problem; ``about:blank`` where the status says it all
    :param headers: further headers of the response
    :param extra: further members of the document
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        type: str = "about:blank",  # noqa: A002 - the member's name in RFC 9457
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.headers = dict(headers or {})
        self.document = {"type": type, "title": title, "status": status, "detail": detail, **extra}


def problem_response(problem: Problem) -> Response:
    """Return the response for a problem."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    return Response(msgspec.json.encode(problem.document), problem.status, headers, PROBLEM_TYPE)


def problem_of(error: Exception) -> Problem:
    """
    Return the problem that tells a client of an error.

    Errors that a client can correct are explained to it; any other is logged, and the response says nothing of it.

    :param error: what a route has raised
    """
    match error:
        case Problem():
            problem = error
        case CursorExpiredError():
            problem = Problem(410, "Cursor expired", f"cursor: {error}", earliest=error.earliest)
        case CursorError():
            problem = Problem(400, "Bad request", f"cursor: {error}", parameter="cursor")
        case HTTPException():
            phrase = HTTPStatus(error.status_code).phrase
            detail = _HTTP_DETAILS.get(error.status_code, phrase)
            problem = Problem(error.status_code, phrase, detail, headers=error.headers)
        case StorageError():
            _log.error("A mailbox's store failed: %s", error)
            detail = "what holds this mailbox cannot be reached now; send the request again later"
            problem = Problem(503, "Store unavailable", detail, headers={"Retry-After": str(_RETRY_SECONDS)})
        case _:
            _log.error("A request failed unexpectedly", exc_info=error)
            detail = "this request failed on our side; it was written to our log"
            problem = Problem(500, "Internal server error", detail)
    return problem


_HTTP_DETAILS = {
    404: "there is nothing at this path",
    405: "this path does not take this method; the Allow header lists those it takes",
}


def handle_problems(app: FastAPI) -> None:
    """
    Answer every error of an app with a problem document.

    :param app: the app to set up; what its handlers do not catch,
        :class:`airflow_provider_osmosdest.web.http.middleware.ProblemMiddleware` does
    """

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem.headers["Allow"] = ", ".join(_methods(request))
        return problem_response(problem)

    for kind in (Problem, CursorError, HTTPException, StorageError):
        app.add_exception_handler(kind, answer)


def _methods(request: Request) -> list[str]:
    """Return the methods of a request's path; Starlette names those of its first route only."""
    found: set[str] = set()
    for route in request.app.routes:
        matched, _ = route.matches(request.scope)
        if matched is not Match.NONE:
            found |= route.methods
    return sorted(found)
