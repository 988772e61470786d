"""A mailbox's OpenAPI document, from which clients can be made."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_osmosdest.web.auth import Grant, holding
from airflow_provider_osmosdest.web.formats import JSON
from airflow_provider_osmosdest.web.http.query import single
from airflow_provider_osmosdest.web.openapi import answer, document, operation, problems
from airflow_provider_osmosdest.web.routes import batches, consumers, inbox, records

__all__ = ["openapi", "router"]

_NAME = "/openapi.json"

router = APIRouter()


@router.api_route(_NAME, methods=["GET", "HEAD"])
async def openapi(request: Request, grant: Annotated[Grant, Depends(holding)]) -> Response:
    """Answer with the mailbox's OpenAPI document."""
    single(request.query_params, ())
    settings = grant.mailbox.settings
    itself = operation(
        "getDocument",
        "Read this document",
        answers={"200": answer("This document", {JSON: {"type": "object"}}), **problems(400)},
    )
    described = [each.describe(settings) for each in (records, inbox, consumers, batches)]
    paths = [*described, {_NAME: {"get": itself}}]
    # A path without a host: a proxy may have taken TLS off.
    url = request.url.path.removesuffix(_NAME)
    return Response(msgspec.json.encode(document(settings, url, paths)), media_type=JSON)
