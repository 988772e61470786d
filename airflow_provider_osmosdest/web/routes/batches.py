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
from airflow_provider_osmosdest.web.formats import JSON, NDJSON
from airflow_provider_osmosdest.web.http.etags import CACHING, matches
from airflow_provider_osmosdest.web.http.negotiation import coding_header, pick_coding
from airflow_provider_osmosdest.web.http.problems import Problem
from airflow_provider_osmosdest.web.http.query import single, whole_number
from airflow_provider_osmosdest.web.http.ranges import wanted_range
from airflow_provider_osmosdest.web.openapi import CURSOR, answer, header, operation, parameter, problems
from airflow_provider_osmosdest.web.state import in_thread

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.log.entry import Entry
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
    from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
    from airflow_provider_osmosdest.web.openapi import Paths

__all__ = ["DEFAULT_BATCHES", "MAX_BATCHES", "describe", "fetch_batch", "list_batches", "router"]

MAX_BATCHES = 1000
"""The most batches that one response lists."""

DEFAULT_BATCHES = 100
"""The batches that it lists where the request sets no limit."""

_SIGNED_SECONDS = 3600
_NUMBER = re.compile(r"[1-9]\d{0,17}", re.ASCII)

router = APIRouter(prefix="/batches")


@router.api_route("", methods=["GET", "HEAD"])
async def list_batches(request: Request, grant: Annotated[Grant, Depends(reading)]) -> Response:
    """List the batches from a cursor on, with where to fetch each."""
    mailbox = grant.mailbox
    given = single(request.query_params, {"cursor", "limit"})
    limit = whole_number(given, "limit", default=DEFAULT_BATCHES, least=1, most=MAX_BATCHES)

    def read() -> bytes:
        entries, cursor = mailbox.batches(given.get("cursor"), limit=limit)
        listed = [_listed(mailbox, entry) for entry in entries]
        return msgspec.json.encode({"batches": listed, "cursor": cursor, "up_to_date": len(entries) < limit})

    return Response(await in_thread(request, read), media_type=JSON)


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


def describe(_settings: MailboxSettings) -> Paths:
    """
    Describe what this router does.

    :param _settings: the mailbox's
    """
    listed = operation(
        "listBatches",
        "List whole batches, with where to fetch each",
        parameters=[
            parameter("cursor", CURSOR, "Where to begin; the earliest batch where it is not given"),
            parameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": MAX_BATCHES, "default": DEFAULT_BATCHES},
                "Batches at most",
            ),
        ],
        answers={"200": answer("Batches, in the order of the log", {JSON: _LIST}), **problems(400, 410)},
    )
    data = operation(
        "fetchBatch",
        "Fetch a whole batch",
        parameters=[
            parameter("seq", {"type": "integer", "minimum": 1}, "The batch's number", where="path", required=True),
            parameter("Range", {"type": "string"}, "One range of bytes, to resume; of the gzip file", where="header"),
            parameter("If-Range", {"type": "string"}, "The ETag the range is of", where="header"),
            parameter("If-None-Match", {"type": "string"}, "ETags of what the client has already", where="header"),
        ],
        answers={
            "200": answer("The batch: with `Content-Encoding: gzip` for those who take it", _FILE, _ETAG),
            "206": answer("The range", _FILE, {**_ETAG, "Content-Range": header("Which range it is")}),
            "304": answer("The client has it already", headers=_ETAG),
            **problems(400, 406, 410, 416),
        },
    )
    return {"/batches": {"get": listed}, "/batches/{seq}/data": {"get": data}}


_FILE = {NDJSON: {"type": "string"}}
_ETAG = {"ETag": header("Of these very bytes")}
_LIST = {
    "type": "object",
    "required": ["batches", "cursor", "up_to_date"],
    "properties": {
        "batches": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["seq", "records", "bytes", "sha256", "published_at", "url", "signed"],
                "properties": {
                    "seq": {"type": "integer", "minimum": 1},
                    "records": {"type": "integer", "minimum": 1},
                    "bytes": {"type": "integer", "description": "Of the gzip file"},
                    "sha256": {"type": "string", "description": "Of the gzip file, in hexadecimal"},
                    "published_at": {"type": "string", "format": "date-time"},
                    "url": {
                        "type": "string",
                        "format": "uri-reference",
                        "description": "Resolve it against this document's own URL",
                    },
                    "signed": {
                        "type": "boolean",
                        "description": "The URL is the object store's own and opens for an hour: send it no token, and "
                        "expect the gzip file itself, whatever you accept",
                    },
                },
            },
        },
        "cursor": CURSOR,
        "up_to_date": {"type": "boolean", "description": "There was no batch after these when they were read"},
    },
}


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
