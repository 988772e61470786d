"""Authorize requests: a bearer token opens one mailbox in one direction, and every 401 looks alike."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.requests import Request

from airflow_provider_osmosdest.core.mailbox.tokens import Access, find
from airflow_provider_osmosdest.web.http.problems import Problem
from airflow_provider_osmosdest.web.state import web_state

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
    from airflow_provider_osmosdest.core.mailbox.tokens import Direction

__all__ = [
    "Grant",
    "authorize",
    "authorize_again",
    "holding",
    "keep_rate",
    "mailbox_of",
    "reading",
    "unauthorized",
    "writing",
]

_SEARCHED = 8
_DECOYS = tuple(
    Access(f"decoy-{n}", "read", hashlib.sha256(b"decoy %d" % n).hexdigest(), datetime(2026, 1, 1, tzinfo=UTC))
    for n in range(_SEARCHED)
)
"""Stand in where a mailbox has fewer tokens, or where there is no mailbox: a decoy's SHA-256 is of no token's form."""


@dataclass(frozen=True, slots=True)
class Grant:
    """
    The access of an authorized request.

    :param mailbox: the mailbox its token opens
    :param access: which of the mailbox's tokens it is
    """

    mailbox: Mailbox
    access: Access


async def authorize(request: Request, mailbox_id: str, direction: Direction | None) -> Grant:
    """
    Return what a request's token allows.

    :param request: the request, with its token as ``Authorization: Bearer``
    :param mailbox_id: the mailbox it asks for
    :param direction: what it wants to do there; ``None`` where any of the mailbox's tokens will do
    :raises Problem: 401 for a missing, malformed, wrong, expired or other mailbox's token, and for a mailbox that does
        not exist: the same answer, after the same time; 403 for the other direction; 429 for too many requests
    """
    grant = await _opened(request, mailbox_id)
    await keep_rate(request, grant.mailbox, grant.access.sha256)
    if direction not in (None, grant.access.direction):
        raise Problem(403, "Forbidden", f"this token is not for {direction} access; use one that is")
    return grant


async def authorize_again(request: Request, grant: Grant) -> None:
    """
    Make sure that a request that has waited is still authorized; it is not counted again.

    :param request: the request
    :param grant: what it was allowed when it arrived
    :raises Problem: 401 where its token was revoked, or has expired, meanwhile
    """
    arrived = asyncio.get_running_loop().time()
    now = await _opened(request, grant.mailbox.settings.mailbox_id)
    if now.access.direction != grant.access.direction:
        raise await unauthorized(request, arrived)


async def _opened(request: Request, mailbox_id: str) -> Grant:
    """Return what a request's token opens, in either direction."""
    arrived = asyncio.get_running_loop().time()
    mailbox = await mailbox_of(request, mailbox_id)
    kept = mailbox.settings.access if mailbox is not None else ()
    searched = (*kept, *_DECOYS[: max(0, _SEARCHED - len(kept))])
    access = find(searched, _bearer(request), None, datetime.now(UTC))
    if mailbox is None or access is None:
        raise await unauthorized(request, arrived)
    return Grant(mailbox, access)


async def unauthorized(request: Request, arrived: float) -> Problem:
    """
    Wait for as long as a failed attempt is delayed, and return its 401.

    :param request: the request
    :param arrived: the event loop's time when it arrived; the delay is counted from there, whatever was looked
        up since
    """
    address = request.client.host if request.client else ""
    held_until = arrived + web_state(request).failures.delay(address, arrived)
    await asyncio.sleep(max(0.0, held_until - asyncio.get_running_loop().time()))
    return Problem(
        401,
        "Unauthorized",
        "expected a token of this mailbox in the header Authorization: Bearer",
        headers={"WWW-Authenticate": "Bearer"},
    )


async def reading(request: Request, mailbox_id: str) -> Grant:
    """Require a token that may read the path's mailbox."""
    return await authorize(request, mailbox_id, "read")


async def writing(request: Request, mailbox_id: str) -> Grant:
    """Require a token that may write to the path's mailbox."""
    return await authorize(request, mailbox_id, "write")


async def holding(request: Request, mailbox_id: str) -> Grant:
    """Require any token of the path's mailbox."""
    return await authorize(request, mailbox_id, None)


async def mailbox_of(request: Request, mailbox_id: str) -> Mailbox | None:
    """
    Return a mailbox, ``None`` where there is none, which no response may reveal.

    :param request: a request to the app that serves it
    :param mailbox_id: its id
    """
    return await web_state(request).mailboxes.find(mailbox_id)


def _bearer(request: Request) -> str:
    """Return a request's token, or an empty text where there is none, which is compared all the same."""
    values = request.headers.getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return token.strip(" ") if scheme.lower() == "bearer" else ""


async def keep_rate(request: Request, mailbox: Mailbox, sender: str) -> None:
    """
    Count a request towards its sender's rate.

    :param request: the request
    :param mailbox: whose rate it is
    :param sender: identifies the sender
    :raises Problem: 429 for too many
    """
    rate = mailbox.settings.requests_per_second
    if rate is None:
        return
    key = (mailbox.settings.mailbox_id, sender)
    if seconds := await web_state(request).rates.wait(key, rate):
        raise Problem(
            429,
            "Too many requests",
            f"this sender may make {rate:g} requests a second; wait {seconds} s",
            headers={"Retry-After": str(seconds)},
        )
