"""Whole batches, as they were published: the list of them, and their files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from airflow_provider_osmosdest.web.auth import Grant, reading
from airflow_provider_osmosdest.web.blobs import packed, unpacked
from airflow_provider_osmosdest.web.formats import NDJSON
from airflow_provider_osmosdest.web.negotiation import coding_header, pick_coding
from airflow_provider_osmosdest.web.problems import Problem
from airflow_provider_osmosdest.web.query import single, whole_number
from airflow_provider_osmosdest.web.ranges import wanted_range
from airflow_provider_osmosdest.web.representations import CACHING, matches
from airflow_provider_osmosdest.web.services import in_thread

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.entries import Entry
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox

__all__ = ["DEFAULT_BATCHES", "MAX_BATCHES", "router"]

MAX_BATCHES = 1000
"""The most batches that one answer lists."""

DEFAULT_BATCHES = 100
"""How many it lists where the request does not say."""

_SIGNED_SECONDS = 3600
_NUMBER = re.compile(r"[1-9]\d{0,17}", re.ASCII)

router = APIRouter(prefix="/batches")


@router.api_route("", methods=["GET", "HEAD"])
async def list_batches(request: Request, grant: Annotated[Grant, Depends(reading)]) -> Response:
    """List the batches from a cursor on, with where to fetch each."""
    mailbox = grant.mailbox
    given = single(request.query_params, {"cursor", "limit"})
    limit = whole_number(given, "limit", default=DEFAULT_BATCHES, least=1, most=MAX_BATCHES)

    def look() -> bytes:
        entries, cursor = mailbox.batches(given.get("cursor"), limit=limit)
        listed = [_listed(mailbox, entry) for entry in entries]
        return msgspec.json.encode({"batches": listed, "cursor": cursor, "up_to_date": len(entries) < limit})

    return Response(await in_thread(request, look), media_type="application/json")


@router.api_route("/{seq}/data", methods=["GET", "HEAD"])
async def fetch_batch(request: Request, grant: Annotated[Grant, Depends(reading)], seq: str) -> Response:
    """Answer with a batch's file: as it is stored to those who take gzip, unpacked on the way to others."""
    single(request.query_params, ())
    mailbox = grant.mailbox
    entry = await in_thread(request, _entry, mailbox, seq)
    accepted = request.headers.get("accept-encoding")
    coding = pick_coding(accepted, ("gzip",))
    # The digest of the stored file tells any two batches apart, packed or not.
    etag = f'"{entry.sha256}"' if coding == "gzip" else f'"{entry.sha256}-{coding}"'
    headers = {**CACHING, "ETag": etag, **coding_header(coding, accepted)}
    if matches(request, etag):
        return Response(None, 304, headers)
    if coding != "gzip":
        content = unpacked(request, mailbox.store, entry.data, entry.bytes)
        return _streamed(request, content, 200, {**headers, "Content-Length": str(entry.raw_bytes)})
    headers["Accept-Ranges"] = "bytes"
    size = entry.bytes
    part = wanted_range(request.headers.get("range"), request.headers.get("if-range"), etag, size)
    start, stop = part or (0, size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    content = packed(request, mailbox.store, entry.data, start, stop)
    return _streamed(request, content, 206 if part else 200, {**headers, "Content-Length": str(stop - start)})


def _listed(mailbox: Mailbox, entry: Entry) -> dict[str, Any]:
    signed = mailbox.store.sign(entry.data, _SIGNED_SECONDS)
    return {
        "seq": entry.seq,
        "records": entry.records,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
        "published_at": entry.published_at,
        # Relative to this document's own URL: a proxy may have put us anywhere, and may have taken TLS off.
        "url": signed or f"batches/{entry.seq}/data",
        "signed": signed is not None,
    }


def _entry(mailbox: Mailbox, seq: str) -> Entry:
    if not _NUMBER.fullmatch(seq):
        raise Problem(404, "Not found", "there is no batch of this number")
    entry = mailbox.log.entry(int(seq))
    if entry is not None and mailbox.store.size(entry.data) == entry.bytes:
        return entry
    if entry is not None or int(seq) < mailbox.log.earliest():
        raise Problem(410, "Batch purged", "this batch is no longer kept; read without a cursor for the earliest one")
    raise Problem(404, "Not found", "there is no batch of this number")


def _streamed(request: Request, content: Any, status: int, headers: dict[str, str]) -> Response:
    if request.method == "HEAD":
        return Response(None, status, headers, NDJSON)
    return StreamingResponse(content, status, headers, NDJSON)
