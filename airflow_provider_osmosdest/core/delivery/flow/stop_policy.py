"""Decide when to stop a delivery, so that an endpoint that is down or misconfigured gets no half a million requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import DeliveryError, GivenUpError, MisconfiguredError, SystemicError
from airflow_provider_osmosdest.core.http.status_advice import NOT_CONNECTED, WHAT_TO_CHECK
from airflow_provider_osmosdest.core.http.verdict import Verdict

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification

__all__ = ["StopPolicy"]

# Chunks in a row whose retries were all spent. A poison record that makes the API fail (500) is found by halving,
# which takes at most 18 such chunks in a row; an API that is down gives nothing else.
_SPENT_IN_A_ROW = 20
_SPENT_IN_FULL = 3


class StopPolicy:
    """
    Decide when to stop a delivery, from the classified responses so far.

    :param systemic_after: refused single records, all with one status, after which to stop where none was accepted
    :param where: the endpoint, for messages
    :param advice: what to do when it cannot be reached, the end of a sentence
    :param reopens: nothing was accepted in earlier attempts either, so what is refused until a stop is not settled
    :param refuses: it is an API, which may refuse records; else it is a store, which takes each batch once
    """

    def __init__(
        self, systemic_after: int, where: str, advice: str, *, reopens: bool = True, refuses: bool = True
    ) -> None:
        self._systemic_after = systemic_after
        self._where = where
        self._advice = advice
        self._reopens = reopens
        self._refuses = refuses
        self._accepted = False
        self._alike = 0
        self._status: int | None = None
        self._spent = 0
        self._spent_in_full = 0

    def observe(
        self, classification: Classification, records: int, *, in_full: bool = True, hopeless: bool = False
    ) -> DeliveryError | None:
        """
        Take in the last classification of a chunk; return the error to stop with, ``None`` to go on.

        :param records: how many are in the chunk
        :param in_full: it had all the retries the options allow
        :param hopeless: so many probes have failed that the API counts as down
        """
        match classification.verdict:
            case Verdict.ACCEPTED if len(classification.items) < records:
                self.accepted()
                return None
            case Verdict.EXISTS if records == 1:
                self.accepted()
                return None
            case Verdict.MISCONFIGURED:
                said = f"{'was sent nothing:' if classification.status is None else 'answered'} {classification.error}"
                return MisconfiguredError(f"{self._where} {said}. {_advice(classification.status)}")
            case Verdict.UNREADABLE:
                return MisconfiguredError(
                    f"{self._where} took a request, but {classification.error}. Its records are 'unknown'. Mend "
                    "item_errors before anything more is sent."
                )
            # What is accepted still is a success by its status that lists every record as refused.
            case Verdict.REFUSED | Verdict.TOO_LARGE | Verdict.EXISTS | Verdict.ACCEPTED:
                return self._refused(classification, records)
            case _:
                return self._spent_all(classification, in_full=in_full, hopeless=hopeless)

    def unanswered(self, classification: Classification, records: int) -> DeliveryError:
        """
        Return the error to stop with where the retries of a chunk of many records were spent in doubt.

        :param records: how many are in the chunk
        """
        if not self._refuses:
            return GivenUpError(
                f"{self._where} cannot be reached: {classification.error}. It may have taken {records:,} records, "
                "which are 'unknown'; the rest is 'unsent'. Another attempt goes on with them, and none is taken "
                f"twice; {self._advice}."
            )
        return GivenUpError(
            f"{self._where} gave no answer that tells whether it took {records:,} records sent together, through all "
            f"retries; the last was {classification.error}. They are 'unknown', and are not sent in parts, as the API "
            "could take them twice; the rest is 'unsent'. Another attempt asks again, with the same records under the "
            "same key. If the API needs longer, raise 'timeout'; if what comes after these records is to go in smaller "
            "requests, lower 'batch_size'; if a 409 of this API means that it has the records, say so in "
            "'already_exists_when'; and if twice is better than late, set on_no_answer to 'split'."
        )

    def accepted(self) -> None:
        """Take in that a chunk was accepted."""
        self._accepted = True
        self._spent = self._spent_in_full = 0

    def _refused(self, classification: Classification, records: int) -> DeliveryError | None:
        self._spent = self._spent_in_full = 0
        if self._accepted or records > 1:
            return None
        self._alike = self._alike + 1 if classification.status == self._status else 1
        self._status = classification.status
        if self._alike < self._systemic_after:
            return None
        return SystemicError(
            f"{self._where} refused {self._alike:,} single records in a row and accepted nothing; it last answered "
            f"{classification.error}. Stopped, as the fault is not in the records alone: check the schema, mapping, "
            "envelope, write mode and endpoint."
            + (" Nothing is settled: mend it, and these records are sent again by another attempt." * self._reopens)
        )

    def _spent_all(self, classification: Classification, *, in_full: bool, hopeless: bool) -> DeliveryError | None:
        self._spent += 1
        self._spent_in_full += in_full
        if classification.verdict is Verdict.UNREACHABLE:
            # How large a chunk is cannot matter to a connection that does not come about.
            return GivenUpError(
                f"{self._where} cannot be reached: {classification.error}. What was not sent is 'unsent'; "
                f"{self._advice}."
            )
        if not hopeless and self._spent < _SPENT_IN_A_ROW and self._spent_in_full < _SPENT_IN_FULL:
            return None
        last = "the last was" if classification.status is None else "it last answered"
        if classification.verdict is Verdict.TRANSIENT:
            became = "What it did not take is 'unsent'; try again when the API answers."
        else:
            became = (
                "What it may have taken is 'unknown', the rest is 'unsent'; try again when the API answers, "
                "and raise 'timeout' if it needs longer."
            )
        return GivenUpError(
            f"{self._where} stayed unavailable through all retries; {last} {classification.error}. {became}"
        )


_ADVICE = {
    **WHAT_TO_CHECK,
    405: "the connection's method",
    422: (
        "whether envelope or compression were changed since the last attempt: by its key, the API has had these "
        "records in other bytes. If not, it is a bug of airflow-provider-osmosdest: please report it"
    ),
    501: "the connection's method",
}


def _advice(status: int | None) -> str:
    if status is None:
        return NOT_CONNECTED
    if status < 300:  # noqa: PLR2004 - success, RFC 9110 section 15.3
        return (
            "Check success_when, item_errors and the base URL. What it answers may have been taken, and is 'unknown'."
        )
    if 300 <= status < 400:  # noqa: PLR2004 - redirects, RFC 9110 section 15.4
        return "Records are not sent after a redirect: put the address it names into the connection's base URL."
    return f"Check {_ADVICE.get(status, 'the connection')}. Nothing more was sent."
