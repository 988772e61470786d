"""What an answer says of the idempotency key, in the words of real APIs."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.responses.idempotency import about_the_key
from airflow_provider_osmosdest.core.http.verdict import Verdict


def problem(title, detail="", **more):
    return json.dumps({"title": title, "detail": detail, **more}).encode()


# draft-ietf-httpapi-idempotency-key-header, section 2.7, the example answers
IETF_OUTSTANDING = problem(
    "A request is outstanding for this Idempotency-Key",
    "A request with the same Idempotency-Key for the same operation is being processed or is outstanding.",
    type="https://developer.example.com/idempotency",
)
IETF_USED = problem(
    "Idempotency-Key is already used",
    "This operation is idempotent and it requires correct usage of Idempotency Key. Idempotency Key MUST not be reused "
    "across different payloads of this operation.",
    type="https://developer.example.com/idempotency",
)
IETF_MISSING = problem(
    "Idempotency-Key is missing",
    "This operation is idempotent and it requires correct usage of Idempotency Key.",
    type="https://developer.example.com/idempotency",
)
STRIPE_IN_USE = json.dumps(
    {
        "error": {
            "code": "idempotency_key_in_use",
            "message": "There is currently another in-progress request using this Stripe Idempotent Key (that probably "
            "means you submitted twice, and the other request is still going through): k.",
            "type": "idempotency_error",
        }
    }
).encode()
STRIPE_OTHER_PARAMETERS = json.dumps(
    {
        "error": {
            "message": "Keys for idempotent requests can only be used with the same parameters they were first used "
            "with. Try using a key other than 'k' if you meant to execute a different request.",
            "type": "idempotency_error",
        }
    }
).encode()
SQUARE_REUSED = json.dumps(
    {
        "errors": [
            {
                "category": "INVALID_REQUEST_ERROR",
                "code": "IDEMPOTENCY_KEY_REUSED",
                "detail": "The idempotency key can only be retried with the same request data.",
            }
        ]
    }
).encode()
ADYEN_704 = json.dumps(
    {
        "status": 422,
        "errorCode": "704",
        "message": "request already processed or in progress",
        "errorType": "validation",
    }
).encode()
GRAVITY_IN_PROGRESS = b"A transaction with the supplied idempotency-key is already in progress"
# core/mailbox/inbox/receipts.py
INBOX_IN_PROGRESS = problem(
    "In progress", "a request with this idempotency key is being worked on; send it again in 3 s for its answer"
)
INBOX_REUSED = problem(
    "Idempotency key reused",
    "this idempotency key came with another body before; send each body with a key of its own",
)


@pytest.mark.parametrize("status", [409, 423])
@pytest.mark.parametrize(
    "body",
    [
        IETF_OUTSTANDING,
        STRIPE_IN_USE,
        GRAVITY_IN_PROGRESS,
        INBOX_IN_PROGRESS,
        b'{"code": "idempotency_key_in_progress"}',
        b'{"code": "idempotency_key_in_use"}',
        b"IDEMPOTENCY KEY IN USE",
        b"Idempotency-Key: the first request is still processing",
        b"Idempotency-Key: the first request is being processed",
        b"the first request with this idempotency key is outstanding",
        b"idempotent request in-progress",
        b"idempotent request inprogress",
    ],
)
def test_an_earlier_request_is_in_progress(status, body):
    assert about_the_key(status, body, None) is Verdict.IN_PROGRESS


@pytest.mark.parametrize("status", [409, 423])
@pytest.mark.parametrize("body", [b"", b"Conflict", b'{"detail": "locked"}', INBOX_IN_PROGRESS])
def test_a_conflict_that_says_when_to_ask_again_will_pass(status, body):
    assert about_the_key(status, body, 3.0) is Verdict.IN_PROGRESS


@pytest.mark.parametrize(
    "body",
    [
        IETF_USED,
        INBOX_REUSED,
        STRIPE_OTHER_PARAMETERS,
        SQUARE_REUSED,
        b"Idempotency-Key was used with a different request body",
        b"idempotency key mismatch",
        b"The payload does not match the one first sent with this idempotency key",
        b"idempotency_key_re-used",
        b"IDEMPOTENCY_KEY_REUSED",
    ],
)
def test_the_key_came_with_other_bytes(body):
    assert about_the_key(422, body, None) is Verdict.MISCONFIGURED
    assert about_the_key(422, body, 3.0) is Verdict.MISCONFIGURED


@pytest.mark.parametrize("retry_after", [None, 0.0])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (409, b""),
        (409, b"Conflict"),
        (409, b'{"detail": "order is in progress"}'),
        (409, b'{"detail": "email already in use"}'),
        (409, b'{"detail": "customer 7 already exists"}'),
        (409, b'{"detail": "the export is still processing"}'),
        (409, b'{"detail": "an invoice is outstanding"}'),
        (423, b'{"detail": "the document is being processed"}'),
        (423, b"Locked"),
        # It is about the key, and not of a request under way.
        (409, b"Idempotency-Key is missing"),
        (409, b"A transaction with the supplied idempotency-key already exists with a conflicting payload"),
    ],
)
def test_a_conflict_of_the_records_is_none_of_the_key(status, body, retry_after):
    assert about_the_key(status, body, retry_after) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"errors": [{"field": "email", "message": "already exists"}]}',
        b'{"errors": [{"field": "email", "message": "belongs to another customer"}]}',
        b'{"errors": [{"field": "vat", "message": "does not match the country"}]}',
        ADYEN_704,
        # It is about the key, and not of another body.
        b"Idempotency-Key is too long",
        IETF_MISSING,
    ],
)
def test_a_validation_error_is_none_of_the_key(body):
    assert about_the_key(422, body, None) is None
    assert about_the_key(422, body, 3.0) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 412, 413, 425, 428, 429, 500, 503])
@pytest.mark.parametrize("body", [IETF_OUTSTANDING, IETF_USED, STRIPE_IN_USE, STRIPE_OTHER_PARAMETERS, IETF_MISSING])
def test_other_statuses_say_nothing_of_the_key(status, body):
    assert about_the_key(status, body, 3.0) is None


@pytest.mark.parametrize(("status", "body"), [(422, IETF_OUTSTANDING.replace(b"different", b"")), (409, IETF_USED)])
def test_words_of_one_status_mean_nothing_under_the_other(status, body):
    assert about_the_key(status, body, None) is None


def test_only_the_start_of_an_answer_is_looked_at():
    said = b"idempotency key in use"
    assert about_the_key(409, b" " * (4096 - len(said)) + said, None) is Verdict.IN_PROGRESS
    assert about_the_key(409, b" " * (4097 - len(said)) + said, None) is None
    assert about_the_key(409, b"idempotency key" + b" " * 4096 + b"in use", None) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "https://example.com/errors/request-in-progress"}',
        b'{"title": "A request with this key is in progress"}',
        b'{"message": "A request with the same key is still processing"}',
        b'{"detail": "idempotency key is still in flight"}',
    ],
)
def test_a_request_that_is_named_without_its_header_is_one_in_progress(body):
    assert about_the_key(409, body, None) is Verdict.IN_PROGRESS


@pytest.mark.parametrize(
    "body",
    [
        b"a leave request of this employee is in progress",
        b'{"message": "key A-7 is already in use"}',
        b'{"title": "the order is in progress"}',
    ],
)
def test_a_record_that_is_in_progress_is_refused(body):
    assert about_the_key(409, body, None) is None
