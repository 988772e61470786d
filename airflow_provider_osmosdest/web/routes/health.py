"""What load balancers and monitors ask: whether mailboxes can be served. The one route that needs no token."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_osmosdest.web.formats import JSON
from airflow_provider_osmosdest.web.http.problems import Problem
from airflow_provider_osmosdest.web.state import services

__all__ = ["health", "router"]

_RETRY_SECONDS = 5

router = APIRouter()


@router.api_route("/health", methods=["GET", "HEAD"])
async def health(request: Request) -> Response:
    """Tell whether the database and the store answer, and nothing more of them."""
    found = await services(request).health.findings()
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
