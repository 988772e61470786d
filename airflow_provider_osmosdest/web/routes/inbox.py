"""
The route to which a partner posts records.

A sender shows a token that may write, or, as webhook senders cannot, a signature made with one of the mailbox's signing
secrets. Whatever is shown has to be valid: with a wrong token a good signature is of no use, and in a mailbox with
signing secrets a token does not make up for a wrong signature.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_osmosdest.core.mailbox.inbox.body import (
    MEDIA_TYPES,
    body_encoding,
    body_media_type,
    encodings,
    too_large,
)
from airflow_provider_osmosdest.core.mailbox.inbox.inbox import Inbox, Posting, idempotency_key, opened
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import InboxRejection
from airflow_provider_osmosdest.core.mailbox.inbox.signature import Signature
from airflow_provider_osmosdest.core.mailbox.inbox.validate import LISTED
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.web.auth import authorize, keep_rate, mailbox_of, unauthorized
from airflow_provider_osmosdest.web.formats import JSON
from airflow_provider_osmosdest.web.http.problems import Problem, problem_response
from airflow_provider_osmosdest.web.http.query import single
from airflow_provider_osmosdest.web.http.request_body import Incoming
from airflow_provider_osmosdest.web.openapi import FAULT, answer, operation, parameter, problems, reference
from airflow_provider_osmosdest.web.rejections import rejection_problem
from airflow_provider_osmosdest.web.state import in_thread, web_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import Headers

    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
    from airflow_provider_osmosdest.web.openapi import Paths

__all__ = ["describe", "post_records", "router"]

router = APIRouter()

_Result = TypeVar("_Result")

_DECOY = MailboxSettings("decoy", signing_secrets=("whsec_ZGVjb3k=",))
"""Stands in where a signature cannot be good, so that neither response nor time reveals which mailboxes there are."""


@dataclass(frozen=True, slots=True)
class _Sender:
    """
    The sender of a POST.

    :param name: its name, the scope of its idempotency keys
    :param mailbox: what it may write to; ``None`` where the signature cannot be good
    :param signature: what has to be checked once the body is there
    :param trusted: it has shown a token
    """

    name: str
    mailbox: Mailbox | None
    signature: Signature | None
    trusted: bool

    @property
    def settings(self) -> MailboxSettings:
        return self.mailbox.settings if self.mailbox is not None else _DECOY


@router.post("/records", status_code=202)
async def post_records(request: Request, mailbox_id: str) -> Response:
    """Take the records of a body, and answer once they are in the log."""
    incoming = Incoming(request)
    # An error that outlived its handler would keep the body in memory, by its traceback.
    try:
        answered = await _take(request, mailbox_id, incoming)
    except InboxRejection as rejection:
        return incoming.part(problem_response(rejection_problem(rejection)))
    except Problem as problem:
        return incoming.part(problem_response(problem))
    return Response(msgspec.json.encode(answered), 202, media_type=JSON)


async def _take(request: Request, mailbox_id: str, incoming: Incoming) -> dict[str, Any]:
    sender = await _sender(request, mailbox_id)
    single(request.query_params, ())
    media_type = body_media_type(request.headers.get("content-type"))
    encoding = body_encoding(request.headers.get("content-encoding"))
    key = _key(request.headers, signed=not sender.trusted)
    limit = sender.settings.max_body_bytes
    bodies = web_state(request).bodies
    with (bodies.trusted if sender.trusted else bodies.untrusted).hold() as take:
        raw = await incoming.read(limit, too_large, take)
        arrived = asyncio.get_running_loop().time()
        posting = Posting(media_type, encoding, raw, sender.signature)
        data = await _in_thread(request, partial(opened, posting, limit, sender.settings.signing_secrets))
        if data is None or (mailbox := sender.mailbox) is None:
            raise await unauthorized(request, arrived)
        if not sender.trusted:
            await keep_rate(request, mailbox, sender.name)
        take_all = partial(Inbox(mailbox).take, media_type, data, sender=sender.name, key=key)
        answered = await _in_thread(request, take_all)
    if answered["accepted"]:
        web_state(request).waiting.wake(mailbox_id)
    return answered


async def _in_thread(request: Request, function: Callable[[], _Result]) -> _Result:
    """Call a function that blocks and may reject a body; its rejection keeps no reference to the body."""

    def run() -> _Result | InboxRejection:
        try:
            return function()
        except InboxRejection as rejection:
            rejection.__context__ = None
            return rejection.with_traceback(None)

    outcome = await in_thread(request, run)
    if isinstance(outcome, InboxRejection):
        try:
            raise outcome
        finally:
            del outcome
    return outcome


async def _sender(request: Request, mailbox_id: str) -> _Sender:
    signature = _signature(request.headers)
    if signature is None or "authorization" in request.headers:
        grant = await authorize(request, mailbox_id, "write")
        signs = bool(grant.mailbox.settings.signing_secrets)
        return _Sender(f"token:{grant.access.name}", grant.mailbox, signature if signs else None, trusted=True)
    mailbox = await mailbox_of(request, mailbox_id)
    signs = mailbox is not None and bool(mailbox.settings.signing_secrets)
    return _Sender("signature", mailbox if signs else None, signature, trusted=False)


def _signature(headers: Headers) -> Signature | None:
    message_id, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp")
    entries = headers.get("webhook-signature")
    if message_id is None or timestamp is None or entries is None:
        return None
    return Signature(message_id, timestamp, entries)


def _key(headers: Headers, *, signed: bool) -> str | None:
    # A signature covers the message's id: with any other key, an eavesdropper could send it again.
    for name in ("webhook-id",) if signed else ("idempotency-key", "webhook-id"):
        if values := headers.getlist(name):
            if len(values) > 1:
                raise Problem(400, "Bad request", f"{name}: given more than once")
            return idempotency_key(values[0], name)
    return None


def describe(settings: MailboxSettings) -> Paths:
    """
    Describe what this router does.

    :param settings: the mailbox's
    """
    record = reference("schemas", "PostedRecord")
    either = {"oneOf": [record, {"type": "array", "items": record, "maxItems": settings.max_body_records}]}
    text = {"type": "string"}
    content = {name: {"schema": either if name == JSON else text} for name in MEDIA_TYPES}
    key = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}
    described = operation(
        "postRecords",
        "Send records",
        parameters=[
            parameter(
                "Idempotency-Key",
                key,
                "The same body sent again under its key is published once, and answered alike, for 7 days at least",
                where="header",
            ),
        ],
        body={
            "required": True,
            "description": f"At most {settings.max_body_bytes:,} bytes, also decompressed, and at most "
            f"{settings.max_body_records:,} records; Content-Encoding may be {' or '.join(encodings())}",
            "content": content,
        },
        answers={
            "202": answer("The records are in the log", {JSON: _taken(settings)}),
            **problems(400, 408, 409, 413, 415, 422),
        },
    )
    if settings.signing_secrets:
        described["security"] = [{"token": []}, {"signature": []}]
    return {"/records": {"post": described}}


def _taken(settings: MailboxSettings) -> dict[str, Any]:
    count = {"type": "integer", "minimum": 0}
    properties: dict[str, Any] = {"receipt_id": {"type": "string"}, "accepted": count}
    if settings.on_invalid == "quarantine":
        properties |= {"quarantined": count, "errors": {"type": "array", "items": FAULT, "maxItems": LISTED}}
    return {"type": "object", "required": list(properties), "properties": properties}
