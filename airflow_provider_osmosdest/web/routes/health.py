"""The health check for load balancers and monitors. The one route that needs no token."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_osmosdest.web.formats import JSON
from airflow_provider_osmosdest.web.http.problems import Problem
from airflow_provider_osmosdest.web.state import web_state

__all__ = ["health", "router"]

_RETRY_SECONDS = 5

router = APIRouter()


@router.api_route("/health", methods=["GET", "HEAD"])
async def health(request: Request) -> Response:
    """Answer whether the database and the store are available, and nothing more."""
    found = await web_state(request).health.findings()
    parts = {"database": found.database, "store": found.store}
    silent = [name for name, answers in parts.items() if not answers]
    words = {name: "ok" if answers else "unavailable" for name, answers in parts.items()}
    if silent:
        raise Problem(
            503,
            "Unavailable",
            f"no answer from the {' and the '.join(silent)}",
            headers={"Retry-After": str(_RETRY_SECONDS)},
            **words,
        )
    return Response(msgspec.json.encode({"status": "ok", **words}), media_type=JSON)
