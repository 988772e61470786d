"""Records for a named consumer, whose cursor the mailbox keeps; it moves by commits alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_osmosdest.core.mailbox.consumers import valid_consumer
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.web.auth import Grant, reading
from airflow_provider_osmosdest.web.formats import JSON
from airflow_provider_osmosdest.web.http.problems import Problem, problem_response
from airflow_provider_osmosdest.web.http.query import bad_parameter, single
from airflow_provider_osmosdest.web.http.request_body import Incoming
from airflow_provider_osmosdest.web.openapi import CURSOR, answer, operation, parameter, problems
from airflow_provider_osmosdest.web.pages import answer_page, page_answers, page_parameters
from airflow_provider_osmosdest.web.state import in_thread

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
    from airflow_provider_osmosdest.web.openapi import Paths

__all__ = ["MAX_COMMIT_BYTES", "commit", "describe", "read_records", "router", "status"]

MAX_COMMIT_BYTES = 64 * 1024
"""The most bytes of a commit's body."""

_NAME_PATTERN = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"

router = APIRouter(prefix="/consumers/{name}")


class _Commit(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a commit."""

    cursor: str


_DECODER = msgspec.json.Decoder(_Commit)


async def _consumer(name: str) -> str:
    """Require a name that a consumer may have."""
    if not valid_consumer(name):
        raise bad_parameter("name", name, "1 to 64 letters, digits, dots, hyphens or underscores, no dot first")
    return name


@router.api_route("/records", methods=["GET", "HEAD"])
async def read_records(
    request: Request, grant: Annotated[Grant, Depends(reading)], name: Annotated[str, Depends(_consumer)]
) -> Response:
    """Answer with the records from the committed cursor on; the same ones until there is a commit."""
    return await answer_page(request, grant, name)


@router.post("/commit", status_code=204)
async def commit(
    request: Request, grant: Annotated[Grant, Depends(reading)], name: Annotated[str, Depends(_consumer)]
) -> Response:
    """Commit a cursor for the consumer; a stale one changes nothing, and is no error."""
    single(request.query_params, ())
    incoming = Incoming(request)
    try:
        body = _DECODER.decode(await _body(incoming, request.headers))
    except Problem as problem:
        return incoming.part(problem_response(problem))
    # What is not UTF-8 is no DecodeError to msgspec.
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "Bad request", f"body: {error}", parameter="cursor") from None
    await in_thread(request, grant.mailbox.commit, name, body.cursor)
    return Response(status_code=204)


@router.api_route("", methods=["GET", "HEAD"])
async def status(
    request: Request, grant: Annotated[Grant, Depends(reading)], name: Annotated[str, Depends(_consumer)]
) -> Response:
    """Answer with the consumer's cursor, lag and last poll."""
    single(request.query_params, ())
    mailbox = grant.mailbox

    def read() -> dict[str, Any]:
        committed = mailbox.consumers.committed(name)
        earliest = Position(mailbox.log.earliest())
        polled = mailbox.consumers.polled(name)
        return {
            "consumer": name,
            "cursor": None if committed is None else mailbox.cursor_text(committed.position, committed.generation),
            "lag": mailbox.lag(earliest if committed is None else max(earliest, committed.position)),
            "last_poll": None if polled is None else polled.isoformat(),
        }

    return Response(msgspec.json.encode(await in_thread(request, read)), media_type=JSON)


def describe(settings: MailboxSettings) -> Paths:
    """
    Describe what this router does.

    :param settings: the mailbox's
    """
    named = {"type": "string", "pattern": _NAME_PATTERN}
    name = parameter(
        "name", named, "The consumer; it comes into being by its first commit", where="path", required=True
    )
    state = {
        "type": "object",
        "required": ["consumer", "cursor", "lag", "last_poll"],
        "properties": {
            "consumer": {"type": "string"},
            "cursor": {**CURSOR, "type": ["string", "null"]},
            "lag": {"type": "integer", "minimum": 0, "description": "Records after the cursor"},
            "last_poll": {"type": ["string", "null"], "format": "date-time", "description": "To about a minute"},
        },
    }
    body = {
        "type": "object",
        "required": ["cursor"],
        "properties": {"cursor": CURSOR},
        "additionalProperties": False,
    }
    return {
        "/consumers/{name}/records": {
            "get": operation(
                "readConsumerRecords",
                "Read records from a consumer's committed cursor on",
                parameters=[name, *page_parameters(settings)],
                answers=page_answers(settings),
            )
        },
        "/consumers/{name}/commit": {
            "post": operation(
                "commitConsumer",
                "Let a consumer go on at a cursor",
                parameters=[name],
                body={"required": True, "content": {JSON: {"schema": body}}},
                answers={
                    "204": answer("The consumer goes on there, or was past it already"),
                    **problems(400, 408, 413, 415),
                },
            )
        },
        "/consumers/{name}": {
            "get": operation(
                "getConsumer",
                "Tell where a consumer stands",
                parameters=[name],
                answers={"200": answer("Where it stands", {JSON: state}), **problems(400)},
            )
        },
    }


async def _body(incoming: Incoming, headers: Headers) -> bytes:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Problem(415, "Unsupported media type", f"Content-Type: found {kind[:80]!r}, expected {JSON}")
    # So little needs no room set aside for it.
    return await incoming.read(MAX_COMMIT_BYTES, _too_large, lambda _: None)


def _too_large(limit: int) -> Problem:
    return Problem(413, "Content too large", f"body: expected at most {limit} bytes")
