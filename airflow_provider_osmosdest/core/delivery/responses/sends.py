"""Decide from all sends of one chunk whether to send it again, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.http.verdict import Verdict

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification

__all__ = ["EARLIER", "IN_PROGRESS_SECONDS", "Sends", "with_earlier"]

IN_PROGRESS_SECONDS = 600.0
"""How long an API may answer that an earlier request with the same key is in progress, in seconds."""

_REDIRECTS = 300
_CONFLICT_SECONDS = 10.0
"""How long a plain conflict may be a request in progress at least, in seconds; else as long as the time-out."""

_ASKS = 10
"""How often to send at most, within the time-out of a request, to find out whether the one before it is done."""

EARLIER = "it was sent, and no answer that tells came back"
"""The error of a send without an error of its own: from an earlier attempt, or cut short by a stop."""

_PASSING = frozenset({Verdict.TRANSIENT, Verdict.UNREACHABLE})
_PERHAPS_TAKEN = frozenset({Verdict.IN_DOUBT, Verdict.FAILED})
# What a plain refusal with one of these means depends on the request before it: "conflict", "locked".
_CONFLICT = frozenset({409, 423})


class Sends:
    """
    The sends of one chunk, all with the same bytes and the same idempotency key.

    A send is *in doubt* when some of its body left and no whole answer came back. Only an answer to the same bytes
    settles that; until then the chunk may be sent again, whole, and may not be cut.

    :param retries: how often it may be sent again after a failure that may pass
    :param timeout: seconds that the API may take for a request, so an earlier one may be in progress for as long
    :param once: nothing may be sent again that may have been taken
    :param inherited: a send of an earlier attempt is in doubt
    """

    __slots__ = ("_inherited", "_once", "_own", "_progress_since", "_retries", "_timeout", "attempts", "earlier_error")

    def __init__(self, retries: int, *, timeout: float, once: bool, inherited: bool) -> None:
        self._retries = retries
        self._timeout = max(timeout, _CONFLICT_SECONDS)
        self._once = once
        self._inherited = inherited
        self._own = False
        self._progress_since: float | None = None
        self.attempts = 0
        self.earlier_error: str = EARLIER if inherited else ""
        """The error of a send that may have been taken, empty where there is none."""

    @property
    def in_doubt(self) -> bool:
        """Whether a send of these bytes is in doubt."""
        return self._own or self._inherited

    def again(self, classification: Classification, now: float) -> bool:
        """
        Take in the answer to a send; return whether the same request goes again.

        :param classification: of the answer
        :param now: seconds that only ever grow
        """
        verdict = classification.verdict
        if verdict in _PERHAPS_TAKEN or verdict is Verdict.IN_PROGRESS:
            self.lost(classification.error, in_doubt=verdict is not Verdict.FAILED)
        elif (
            verdict is Verdict.MISCONFIGURED
            and classification.status is not None
            and classification.status < _REDIRECTS
        ):
            # A success by its status, but not by its body.
            self.lost(classification.error)
        if verdict is Verdict.IN_PROGRESS or self._conflicts(classification):
            self._progress_since = now if self._progress_since is None else self._progress_since
            bound = IN_PROGRESS_SECONDS if verdict is Verdict.IN_PROGRESS else self._timeout
            return now - self._progress_since < bound
        if verdict in _PASSING or (verdict in _PERHAPS_TAKEN and not self._once):
            self._retries -= 1
            return self._retries >= 0
        return False

    def least_wait(self, classification: Classification) -> float:
        """Return the seconds to wait at least before the same request goes again."""
        in_progress = classification.verdict is Verdict.IN_PROGRESS or self._conflicts(classification)
        return self._timeout / _ASKS if in_progress else 0.0

    def lost(self, error: str, *, in_doubt: bool = True) -> None:
        """Note that a send may have been taken, and its error."""
        self._own = self._own or in_doubt
        self.earlier_error = error

    def conclude(self, classification: Classification) -> Classification:
        """
        Return the classification of the chunk: the last answer, in view of the sends before it.

        What may still be under way at the API is in doubt: a part of it, under another key, could be taken twice. A
        conflict or a failure (500) through all retries of an attempt whose own sends were all answered is no such case:
        no API is at one request from one attempt to the next.
        """
        verdict = classification.verdict
        if verdict is Verdict.IN_PROGRESS or (
            self._own and (self._conflicts(classification) or verdict is Verdict.FAILED)
        ):
            return self._as(Verdict.IN_DOUBT, classification)
        if verdict in _PASSING and self.earlier_error:
            return self._as(Verdict.IN_DOUBT if self.in_doubt else Verdict.FAILED, classification)
        return classification

    def _conflicts(self, classification: Classification) -> bool:
        # Also after a 500, by which the API may have answered before it was done.
        perhaps_taken = bool(self.earlier_error)
        return perhaps_taken and classification.verdict is Verdict.REFUSED and classification.status in _CONFLICT

    def _as(self, verdict: Verdict, classification: Classification) -> Classification:
        return replace(classification, verdict=verdict, error=with_earlier(classification.error, self.earlier_error))


def with_earlier(error: str, earlier: str) -> str:
    """Return an error together with that of an earlier request that may have been taken."""
    return error if not earlier or earlier == error else f"{error}; an earlier request may have been taken: {earlier}"
