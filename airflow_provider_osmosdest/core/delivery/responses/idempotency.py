"""
Classify responses that are about the request's idempotency key.

Source: draft-ietf-httpapi-idempotency-key-header, sections 2.6 and 2.7: 409 while a request with the same key is
outstanding, 422 where the key was used with another body. APIs say it in words of their own (Stripe:
``idempotency_key_in_use``), so what counts is that the answer mentions the key at all.
"""

from __future__ import annotations

import re

from airflow_provider_osmosdest.core.http.verdict import Verdict

__all__ = ["KEY_REUSED", "TOO_EARLY", "about_the_key"]

TOO_EARLY = 425
KEY_REUSED = 422

_CONFLICT = frozenset({409, 423})
_LOOKED_AT = 4096
_NAMES_THE_KEY = re.compile(rb"idempoten", re.IGNORECASE)
_UNDER_WAY = re.compile(
    rb"in[ _-]?(?:progress|flight|use)|outstanding|(?:being|still)[ _-](?:process|worked)", re.IGNORECASE
)
# Of the request or its key, and not of the record: "order is in progress", "e-mail already in use".
_REQUEST_UNDER_WAY = re.compile(
    rb"(?:\brequest[ _-](?:is[ _-])?(?:(?:already|currently|still)[ _-])?"
    rb'|\b(?:this|same|that)[ _-]key[^"{}]{0,20})(?:%s)' % _UNDER_WAY.pattern,
    re.IGNORECASE,
)
_OTHER_BODY = re.compile(rb"already|different|another|mismatch|re-?used|does not match|not match", re.IGNORECASE)


def about_the_key(status: int, body: bytes, retry_after: float | None) -> Verdict | None:
    """
    Return the verdict of a refusal about the key, ``None`` where it is about the records.

    :param status: of the answer
    :param body: its first bytes
    :param retry_after: seconds the server asked to wait
    """
    if status in _CONFLICT and retry_after:
        return Verdict.IN_PROGRESS
    body = body[:_LOOKED_AT]
    names_it = _NAMES_THE_KEY.search(body)
    if status in _CONFLICT and ((names_it and _UNDER_WAY.search(body)) or _REQUEST_UNDER_WAY.search(body)):
        return Verdict.IN_PROGRESS
    if status == KEY_REUSED and names_it and _OTHER_BODY.search(body):
        return Verdict.MISCONFIGURED
    return None
