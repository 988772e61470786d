"""Records from anywhere in a mailbox; the reader keeps its own cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_osmosdest.web.auth import Grant, reading
from airflow_provider_osmosdest.web.openapi import CURSOR, operation, parameter
from airflow_provider_osmosdest.web.pages import answer_page, page_answers, page_parameters

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
    from airflow_provider_osmosdest.web.openapi import Paths

__all__ = ["describe", "read_records", "router"]

router = APIRouter()


@router.api_route("/records", methods=["GET", "HEAD"])
async def read_records(request: Request, grant: Annotated[Grant, Depends(reading)]) -> Response:
    """Answer with the records from a cursor on."""
    return await answer_page(request, grant)


def describe(settings: MailboxSettings) -> Paths:
    """
    Describe what this router does.

    :param settings: the mailbox's
    """
    cursor = parameter("cursor", CURSOR, "Where to begin; the earliest record where it is not given")
    read = operation(
        "readRecords",
        "Read records from anywhere",
        parameters=[cursor, *page_parameters(settings)],
        answers=page_answers(settings),
    )
    return {"/records": {"get": read}}
