"""Settle records: give every record of a delivery its outcome, exactly once."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.ledger.failures import Failure
from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
from airflow_provider_osmosdest.core.delivery.responses.sends import EARLIER, with_earlier
from airflow_provider_osmosdest.core.http.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_osmosdest.core.delivery.ledger.failures import RecordForm
    from airflow_provider_osmosdest.core.delivery.ledger.journal import Journal
    from airflow_provider_osmosdest.core.delivery.report import Tally
    from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification

__all__ = ["Outcomes"]


class Outcomes:
    """
    Count outcomes, and hand them to the journal.

    :param tally: the running counts
    :param journal: keeps what is settled and what failed
    :param resends_unknown: a retry may send again what may have been taken (``at_least_once``)
    :param most_held: records refused before anything is accepted that are held back at most: where the delivery then
        stops, the fault is not theirs, and they are open to the next attempt
    """

    def __init__(self, tally: Tally, journal: Journal, *, resends_unknown: bool = True, most_held: int = 0) -> None:
        self.tally = tally
        self.journal = journal
        self._resends_unknown = resends_unknown
        self._most_held = most_held
        self._holding = most_held > 0 and not tally.delivered
        self._held: list[tuple[Failure, tuple[int, bytes]]] = []

    def delivered(self, records: int, ranges: Iterable[tuple[int, int]]) -> None:
        """
        Settle records the API took.

        :param records: how many
        :param ranges: the indexes they lie in; what else lies there is settled too
        """
        self._accepted()
        self.tally.delivered += records
        self.journal.deliver(ranges)

    def delivered_each(self, indexes: list[int]) -> None:
        """Settle single records the API took."""
        self._accepted()
        self.tally.delivered += len(indexes)
        self.journal.deliver_each(indexes)

    def duplicates(self, indexes: Iterable[int]) -> None:
        """
        Settle records the API has already: delivered before, or equal to one before them in this delivery.

        :param indexes: ascending
        """
        ranges = RangeSet()
        ranges.add_all(indexes)
        self.tally.duplicate += len(ranges)
        self.journal.deliver(ranges)

    def others(self, indexes: Sequence[int]) -> None:
        """
        Leave records to other parts of the delivery, which settle them; so the ledger stays a few ranges.

        :param indexes: ascending
        """
        self.tally.read -= len(indexes)
        ranges = RangeSet()
        ranges.add_all(indexes)
        self.journal.deliver(ranges)

    def invalid(self, index: int, error: str, record: bytes) -> None:
        """Settle a record that cannot be sent as it is."""
        self.invalid_all([(index, error, record)], "as_sent")

    def invalid_all(self, records: Sequence[tuple[int, str, bytes]], form: RecordForm = "source") -> None:
        """
        Settle records that do not satisfy the schema.

        :param records: index, what is wrong, and JSON of each
        :param form: of their JSON
        """
        # Values make every message different; the part before them is what many records share.
        reasons = [error.partition(" (found ")[0] for _, error, _ in records]
        self.journal.fail_each("invalid", records, reasons, form)

    def failed(
        self,
        records: Iterable[tuple[int, bytes]],
        classification: Classification,
        attempts: int,
        *,
        error: str = "",
        earlier_error: str = "",
    ) -> None:
        """
        Settle records by the classification of the answers to them.

        What the API refused is ``rejected`` for good, and ``unknown`` where an earlier send of it may have been taken.
        What the API says it did not take is ``unsent``, and another attempt of the task sends it again.
        What may have been taken is ``unknown``, which may be sent again only if twice is better than never.

        :param records: index and JSON of each
        :param classification: of the answers
        :param attempts: requests their chunk took
        :param error: the answer's error for these records, where it differs from the chunk's
        :param earlier_error: the error of an earlier send of the chunk that may have been taken
        """
        error = error or classification.error
        status = classification.status
        match classification.verdict:
            case Verdict.TRANSIENT | Verdict.UNREACHABLE:
                self.unsent(records, error, status=status, attempts=attempts)
            case Verdict.IN_DOUBT | Verdict.FAILED:
                failure = Failure("unknown", error, status, attempts)
                self.journal.fail(failure, records, final=not self._resends_unknown)
            case Verdict.UNREADABLE:
                self.journal.fail(Failure("unknown", error, status, attempts), records)
            case _:
                refused, in_doubt = self._apart(records)
                if in_doubt:
                    said = with_earlier(error, earlier_error or EARLIER)
                    self._refused(Failure("unknown", said, status, attempts), in_doubt)
                self._refused(Failure("rejected", error, status, attempts), refused)

    def close(self, *, stopped: bool) -> None:
        """
        Settle what was refused while nothing was accepted.

        :param stopped: the delivery stopped: another attempt sends these records again, as the fault may not be theirs
        """
        held, self._held = self._held, []
        self._holding = False
        for failure, record in held:
            self.journal.fail(failure, [record], final=not stopped)

    def unknown(self, records: Iterable[tuple[int, bytes]], error: str, *, attempts: int = 1) -> None:
        """Settle records that were sent, and of which no answer came back."""
        self.journal.fail(Failure("unknown", error, attempts=attempts), records, final=not self._resends_unknown)

    def unsent(
        self, records: Iterable[tuple[int, bytes]], reason: str, *, status: int | None = None, attempts: int = 0
    ) -> None:
        """
        Count records that were not taken and stay unsettled; those of which a send is in doubt count as ``unknown``.

        :param records: index and JSON of each
        :param reason: why they were not taken
        :param status: of the answer that said so, if one did
        :param attempts: requests their chunk took
        """
        left, in_doubt = self._apart(records)
        if in_doubt:
            self.unknown(in_doubt, EARLIER, attempts=max(1, attempts))
        self.journal.fail(Failure("unsent", reason, status, attempts), left, final=False)

    def _refused(self, failure: Failure, records: Iterable[tuple[int, bytes]]) -> None:
        records = iter(records)
        if self._holding:
            self._held += [(failure, record) for record in islice(records, self._most_held)]
            if len(self._held) < self._most_held:
                return
            self.close(stopped=False)
        self.journal.fail(failure, records)

    def _accepted(self) -> None:
        """Settle what was refused before, now that the API has accepted something."""
        if self._holding:
            self.close(stopped=False)

    def _apart(
        self, records: Iterable[tuple[int, bytes]]
    ) -> tuple[Iterable[tuple[int, bytes]], list[tuple[int, bytes]]]:
        """Separate records without a send in doubt from those with one."""
        in_doubt = self.journal.in_doubt
        if not in_doubt:
            return records, []
        records = list(records)
        return [item for item in records if item[0] not in in_doubt], [item for item in records if item[0] in in_doubt]
