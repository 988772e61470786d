"""Answer with one page of records, at once or as soon as there are any."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.responses import Response

from airflow_provider_osmosdest.web.auth import authorize_again
from airflow_provider_osmosdest.web.formats import CSV, JSON, formats_of, to_csv, to_json
from airflow_provider_osmosdest.web.http.etags import represent, respond
from airflow_provider_osmosdest.web.http.negotiation import codings, pick_coding, pick_media_type
from airflow_provider_osmosdest.web.http.query import MAX_WAIT, default_page, page_size, single, whole_number
from airflow_provider_osmosdest.web.openapi import CURSOR, answer, header, parameter, problems, reference
from airflow_provider_osmosdest.web.state import in_thread, web_state

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position
    from airflow_provider_osmosdest.core.mailbox.log.read import Page
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
    from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
    from airflow_provider_osmosdest.web.auth import Grant
    from airflow_provider_osmosdest.web.http.etags import Representation
    from airflow_provider_osmosdest.web.http.negotiation import Coding

__all__ = [
    "NEXT_CURSOR",
    "UP_TO_DATE",
    "answer_page",
    "page_answers",
    "page_parameters",
]

NEXT_CURSOR = "Mailbox-Next-Cursor"
"""The header with the cursor of the next page."""

UP_TO_DATE = "Mailbox-Up-To-Date"
"""The header that says whether there was nothing after this page."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """
    What a request for a page asks for.

    :param cursor: where to begin; ``None`` for the earliest record
    :param consumer: whose committed cursor to begin at instead
    :param limit: records at most
    :param wait: seconds to wait when there is nothing
    :param media_type: of the response
    :param coding: of the response
    """

    cursor: str | None
    consumer: str | None
    limit: int
    wait: int
    media_type: str
    coding: Coding


async def answer_page(request: Request, grant: Grant, consumer: str | None = None) -> Response:
    """
    Answer with a page, or with 204 when there was nothing for as long as the client would wait.

    :param request: the request
    :param grant: what it may do; checked again when it has waited
    :param consumer: whose page; without one, the page at the request's own ``cursor``
    :raises Problem: 400 for a parameter that cannot be used; 406 for a client that takes nothing there is; 401 where
        its token was revoked while it waited
    """
    asked = _asked(request, grant.mailbox.settings, consumer)
    page, cursor, representation = await in_thread(request, _read, grant.mailbox, asked)
    if representation is None and await _wait_for_records(request, grant, page.next.position, asked.wait):
        page, cursor, representation = await in_thread(request, _read, grant.mailbox, asked)
    headers = {NEXT_CURSOR: cursor, UP_TO_DATE: "true" if page.up_to_date else "false"}
    if not page.up_to_date:
        # Relative to the request's URL: no proxy can make that wrong.
        onward = "records" if consumer is None else "../../records"
        headers["Link"] = f'<{onward}?{urlencode({"cursor": cursor, "limit": asked.limit})}>; rel="next"'
    if representation is None:
        return Response(None, 204, headers)
    return respond(request, representation, headers)


def page_parameters(settings: MailboxSettings) -> list[dict[str, Any]]:
    """
    Return the descriptions of the parameters that every request for a page has.

    :param settings: the mailbox's
    """
    most = {
        "type": "integer",
        "minimum": 1,
        "maximum": settings.page_limit,
        "default": default_page(settings.page_limit),
    }
    wait = {"type": "integer", "minimum": 0, "maximum": MAX_WAIT, "default": 0}
    return [
        parameter("limit", most, "Records at most; a page may have fewer, and is not the last one for that"),
        parameter("wait", wait, "Seconds to wait when there is nothing yet"),
        parameter("If-None-Match", {"type": "string"}, "ETags of what the client has already", where="header"),
    ]


def page_answers(settings: MailboxSettings) -> dict[str, Any]:
    """
    Return the descriptions of the responses to a request for a page.

    :param settings: the mailbox's
    """
    page = {
        "type": "object",
        "required": ["records", "cursor", "up_to_date"],
        "properties": {
            "records": {"type": "array", "items": reference("schemas", "Record")},
            "cursor": CURSOR,
            "up_to_date": {"type": "boolean", "description": "There was nothing after these when they were read"},
        },
    }
    text = {"type": "string"}
    content = {each: page if each == JSON else text for each in formats_of(settings.schema)}
    position = {
        NEXT_CURSOR: header("Where the next page begins"),
        UP_TO_DATE: header("There was nothing after this page", kind="boolean"),
    }
    etag = {"ETag": header("Of these very bytes")}
    link = {"Link": header('The next page, as rel="next", where there was one already', required=False)}
    return {
        "200": answer("Records, in the order of the log", content, {**position, **link, **etag}),
        "204": answer("Nothing came while the client waited", headers=position),
        "304": answer("The client has this page already", headers={**position, **link, **etag}),
        **problems(400, 406, 410),
    }


def _asked(request: Request, settings: MailboxSettings, consumer: str | None) -> _Asked:
    """Read a request's parameters, and negotiate the form of its response."""
    known = ("limit", "wait", "cursor") if consumer is None else ("limit", "wait")
    given = single(request.query_params, known)
    return _Asked(
        given.get("cursor"),
        consumer,
        page_size(given, settings.page_limit),
        whole_number(given, "wait", default=0, least=0, most=MAX_WAIT),
        pick_media_type(_joined(request, "accept"), formats_of(settings.schema)),
        pick_coding(_joined(request, "accept-encoding"), codings()),
    )


def _read(mailbox: Mailbox, asked: _Asked) -> tuple[Page, str, Representation | None]:
    """Read and encode a page; return it with the next one's cursor, unencoded where the request will wait; blocks."""
    start: str | Cursor | None = asked.cursor
    if asked.consumer is not None and (start := mailbox.consumers.committed(asked.consumer)) is not None:
        # Only commits bring consumers into being: a reader that tries out names leaves nothing behind.
        mailbox.consumers.note_poll(asked.consumer)
    page = mailbox.read(start, limit=asked.limit, max_bytes=mailbox.settings.page_bytes)
    # A consumer that was never moved by hand is in its generation 0.
    generation = page.next.generation if asked.consumer is None else page.next.generation or 0
    cursor = mailbox.cursor_text(page.next.position, generation)
    if asked.wait and not page.count:
        return page, cursor, None
    schema = mailbox.settings.schema
    if asked.media_type == JSON:
        content = to_json(page.lines, cursor, up_to_date=page.up_to_date)
    elif asked.media_type == CSV and schema is not None:
        content = to_csv(page.lines, schema)
    else:
        content = page.lines
    return page, cursor, represent(content, asked.media_type, asked.coding)


async def _wait_for_records(request: Request, grant: Grant, position: Position, seconds: float) -> bool:
    waiting, mailbox = web_state(request).waiting, grant.mailbox
    came = await waiting.until_new(
        mailbox.settings.mailbox_id,
        position,
        seconds,
        has_new=partial(in_thread, request, mailbox.has_new, position),
        disconnected=partial(_disconnected, request),
    )
    # A server that shuts down has no time to look the mailbox up, and so reveals nothing of it.
    if not waiting.ended:
        await authorize_again(request, grant)
        return came
    return False


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _joined(request: Request, name: str) -> str | None:
    """Join the values of a header that may be repeated."""
    values = request.headers.getlist(name)
    return ",".join(values) if values else None
