"""What a rejection of the inbox comes to on the wire."""

from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.mailbox.inbox.rejection import (
    EncodingRejection,
    InboxRejection,
    KeyInProgressRejection,
    KeyRejection,
    KeyReusedRejection,
    MediaTypeRejection,
    RecordsRejection,
    SizeRejection,
    UnreadableRejection,
)
from airflow_provider_osmosdest.web.rejections import rejection_problem

ERRORS = [{"index": 1, "field": None, "reason": "it is none"}]

# Rejection, status, title, headers, further members; a problem type where the status does not say it all.
WIRE = [
    (
        MediaTypeRejection("why"),
        415,
        "Unsupported media type",
        {"Accept": "application/json, application/x-ndjson, text/csv"},
        {},
    ),
    (EncodingRejection("why"), 415, "Unsupported media type", {"Accept-Encoding": "gzip, zstd"}, {}),
    (SizeRejection("why", 7), 413, "Content too large", {}, {"limit": 7}),
    (UnreadableRejection("why"), 400, "Unreadable body", {}, {}),
    (RecordsRejection("why", 3, ERRORS), 422, "Invalid records", {}, {"invalid": 3, "errors": ERRORS}),
    (KeyRejection("why"), 400, "Bad request", {}, {}),
    # draft-ietf-httpapi-idempotency-key-header-07, section 2.7. Asking again cannot help with the first.
    (
        KeyReusedRejection("why"),
        422,
        "Idempotency-Key is already used",
        {},
        {"type": "urn:osmosdest:problem:idempotency-key-reused"},
    ),
    (
        KeyInProgressRejection("why", 5),
        409,
        "A request is outstanding for this Idempotency-Key",
        {"Retry-After": "5"},
        {"type": "urn:osmosdest:problem:idempotency-key-in-progress"},
    ),
]


@pytest.mark.parametrize(("rejection", "status", "title", "headers", "members"), WIRE)
def test_each_reason_has_its_status(rejection, status, title, headers, members):
    problem = rejection_problem(rejection)
    assert (problem.status, problem.headers) == (status, headers)
    assert problem.document == {"type": "about:blank", "title": title, "status": status, "detail": "why", **members}


def test_no_reason_is_left_out():
    assert {type(rejection) for rejection, *_ in WIRE} == set(InboxRejection.__subclasses__())
