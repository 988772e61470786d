"""
Which status, title and headers a rejection of the inbox comes to.

What concerns an idempotency key is as draft-ietf-httpapi-idempotency-key-header-07, section 2.7, has it. A sender
tells both from any other 409 or 422 by their problem type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.mailbox.inbox.body import MEDIA_TYPES, encodings
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import (
    EncodingRejection,
    KeyInProgressRejection,
    KeyRejection,
    KeyReusedRejection,
    MediaTypeRejection,
    RecordsRejection,
    SizeRejection,
    UnreadableRejection,
)
from airflow_provider_osmosdest.web.http.problems import Problem

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.inbox.rejection import InboxRejection

__all__ = ["rejection_problem"]

_PLAIN = "about:blank"

_KINDS: dict[type[InboxRejection], tuple[int, str, str]] = {
    MediaTypeRejection: (415, "Unsupported media type", _PLAIN),
    EncodingRejection: (415, "Unsupported media type", _PLAIN),
    SizeRejection: (413, "Content too large", _PLAIN),
    UnreadableRejection: (400, "Unreadable body", _PLAIN),
    RecordsRejection: (422, "Invalid records", _PLAIN),
    KeyRejection: (400, "Bad request", _PLAIN),
    KeyReusedRejection: (422, "Idempotency-Key is already used", "urn:osmosdest:problem:idempotency-key-reused"),
    KeyInProgressRejection: (
        409,
        "A request is outstanding for this Idempotency-Key",
        "urn:osmosdest:problem:idempotency-key-in-progress",
    ),
}
"""Status, title and problem type of each."""


def rejection_problem(rejection: InboxRejection) -> Problem:
    """
    Return the problem that tells a sender of a rejection.

    :param rejection: the inbox's
    """
    status, title, kind = _KINDS[type(rejection)]
    headers: dict[str, str] = {}
    members: dict[str, Any] = {}
    match rejection:
        case EncodingRejection():
            headers["Accept-Encoding"] = ", ".join(encodings())
        case MediaTypeRejection():
            headers["Accept"] = ", ".join(MEDIA_TYPES)
        case SizeRejection():
            members["limit"] = rejection.limit
        case RecordsRejection():
            members = {"invalid": rejection.invalid, "errors": rejection.errors}
        case KeyInProgressRejection():
            headers["Retry-After"] = str(rejection.seconds)
        case _:
            pass
    return Problem(status, title, str(rejection), kind, headers, **members)
