"""
What a response means: the one table that decides it (docs/architecture/delivery.md, Verdicts).

Sources: RFC 9110 section 15 for the status codes; 425 is RFC 8470, 429 is RFC 6585.
"""

from __future__ import annotations

from enum import Enum

from airflow_provider_osmosdest.core.errors import (
    AmbiguousError,
    CredentialsError,
    NotSentError,
    TlsError,
    TransportError,
)

__all__ = ["REFUSALS", "Verdict", "verdict_of"]


class Verdict(Enum):
    """What a response means for what was sent: a chunk of records, or the request for a page."""

    ACCEPTED = "accepted"
    EXISTS = "exists"
    """The API has it already: ``already_exists_when`` is true."""
    TOO_LARGE = "too large"
    REFUSED = "refused"
    TRANSIENT = "transient"
    """Not taken, as the API says, and may be taken later."""
    UNREACHABLE = "unreachable"
    """Not sent."""
    FAILED = "failed"
    """The API answered that it failed (500): what it had taken by then, it does not say."""
    IN_DOUBT = "in doubt"
    """Sent, and no answer of the API itself came back: it may have been taken."""
    IN_PROGRESS = "in progress"
    """The API is still at an earlier request with the same idempotency key: send again later."""
    MISCONFIGURED = "misconfigured"
    UNREADABLE = "unreadable"
    """A success that cannot be read: some records may have been taken, some not."""


REFUSALS = frozenset({Verdict.REFUSED, Verdict.TOO_LARGE})
"""The verdicts of a refusal, which can be about a single record."""

_TOO_LARGE = frozenset({413})
_TRANSIENT = frozenset({408, 425, 429, 503})
_MISCONFIGURED = frozenset({401, 403, 404, 405, 407, 410, 501, 505})
# A gateway lost the answer of the API behind it (RFC 9110 sections 15.6.3 and 15.6.5); 520, 522 and 524 are
# Cloudflare's for an origin that answered garbage, or nothing in time.
_GATEWAY = frozenset({502, 504, 520, 522, 524})
# Where each record has a URL of its own, "not found" and "gone" are about that record.
_ABOUT_THE_URL = frozenset({404, 410})


def verdict_of(  # noqa: PLR0911 - a table has a return for each line
    status: int | None, error: TransportError | None, *, url_of_record: bool = False
) -> Verdict:
    """
    Return what a response, or the lack of one, means.

    :param status: the status code of the whole answer, ``None`` where there was none
    :param error: why there was none
    :param url_of_record: the URL was made from the record, so 404 and 410 are about the data
    """
    if status is None:
        return _verdict_of_error(error)
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success, RFC 9110 section 15.3
        return Verdict.ACCEPTED
    if status in _TOO_LARGE:
        return Verdict.TOO_LARGE
    if status in _MISCONFIGURED:
        return Verdict.REFUSED if url_of_record and status in _ABOUT_THE_URL else Verdict.MISCONFIGURED
    if status in _TRANSIENT:
        return Verdict.TRANSIENT
    if status in _GATEWAY:
        return Verdict.IN_DOUBT
    if status >= 500:  # noqa: PLR2004 - server errors, RFC 9110 section 15.6
        return Verdict.FAILED
    if status >= 400:  # noqa: PLR2004 - client errors, RFC 9110 section 15.5
        return Verdict.REFUSED
    # A redirect is not followed with records in hand: the base URL is out of date.
    return Verdict.MISCONFIGURED


def _verdict_of_error(error: TransportError | None) -> Verdict:
    match error:
        case TlsError() | CredentialsError():
            return Verdict.MISCONFIGURED
        case NotSentError():
            return Verdict.UNREACHABLE
        case AmbiguousError():
            return Verdict.IN_DOUBT
        case _:
            msg = f"an exchange ended with neither a status nor a known error: {error!r}"
            raise TypeError(msg)
