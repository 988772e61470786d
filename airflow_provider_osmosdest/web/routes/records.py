"""Records from anywhere in a mailbox; the reader keeps its own cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_osmosdest.web.auth import Grant, reading
from airflow_provider_osmosdest.web.pages import answer_page, page_request

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.mailbox import Page

__all__ = ["router"]

router = APIRouter()


@router.api_route("/records", methods=["GET", "HEAD"])
async def read_records(request: Request, grant: Annotated[Grant, Depends(reading)]) -> Response:
    """Answer with the records from a cursor on."""
    mailbox = grant.mailbox
    asked = page_request(request, mailbox, "cursor")

    def read() -> tuple[Page, str]:
        page = mailbox.read(asked.given.get("cursor"), limit=asked.limit, max_bytes=mailbox.settings.page_bytes)
        return page, mailbox.cursor_text(page.next.position, page.next.generation)

    return await answer_page(request, mailbox, asked, read)
