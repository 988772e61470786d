"""Settle records: every record of a delivery passes here exactly once, and leaves with its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.ranges import RangeSet
from airflow_provider_osmosdest.core.delivery.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_osmosdest.core.delivery.journal import Journal
    from airflow_provider_osmosdest.core.delivery.judging import Judgement
    from airflow_provider_osmosdest.core.delivery.report import Tally

__all__ = ["Outcomes"]


class Outcomes:
    """
    Count outcomes, and hand them to the journal.

    :param tally: the running counts
    :param journal: keeps what is settled and what failed
    :param resends_unknown: a retry may send again what nobody knows the fate of (``at_least_once``)
    """

    def __init__(self, tally: Tally, journal: Journal, *, resends_unknown: bool = True) -> None:
        self.tally = tally
        self.journal = journal
        self._resends_unknown = resends_unknown

    def delivered(self, records: int, ranges: Iterable[tuple[int, int]]) -> None:
        """
        Settle records the API took.

        :param records: how many
        :param ranges: the indexes they lie in; what else lies there is settled too
        """
        self.tally.delivered += records
        self.journal.deliver(ranges)

    def delivered_each(self, indexes: list[int]) -> None:
        """Settle single records the API took."""
        self.tally.delivered += len(indexes)
        self.journal.deliver_each(indexes)

    def duplicates(self, indexes: Iterable[int]) -> None:
        """
        Settle records that need not be sent: they were delivered before, or came before in this delivery.

        :param indexes: ascending
        """
        ranges = RangeSet()
        ranges.add_all(indexes)
        self.tally.duplicate += len(ranges)
        self.journal.deliver(ranges)

    def invalid(self, index: int, error: str, record: bytes) -> None:
        """Settle a record that cannot be sent as it is."""
        self.invalid_all([(index, error, record)])

    def invalid_all(self, records: Sequence[tuple[int, str, bytes]], *, textual: bool = False) -> None:
        """
        Settle records that do not satisfy the schema.

        :param records: index, what is wrong, and JSON of each
        :param textual: they come from a format without types
        """
        # Values make every message different; the part before them is what many records share.
        reasons = [error.partition(" (found ")[0] for _, error, _ in records]
        self.journal.fail_each("invalid", records, reasons, textual=textual)

    def failed(
        self, records: Iterable[tuple[int, bytes]], judgement: Judgement, attempts: int, error: str = ""
    ) -> None:
        """
        Settle records by the last answer to them.

        What the API refused is ``rejected`` for good. Where its answers only told that it was not well, that is
        the outcome of this attempt, and another attempt of the task sends the records again. Where no answer came
        they are ``unknown``, which may be sent again only if twice is better than never.

        :param records: index and JSON of each
        :param judgement: of the answer
        :param attempts: requests their chunk took
        :param error: what the answer says of these records, if more than of the chunk
        """
        unknown = judgement.verdict in (Verdict.AMBIGUOUS, Verdict.UNREADABLE)
        open_ = judgement.verdict is Verdict.TRANSIENT or (
            judgement.verdict is Verdict.AMBIGUOUS and self._resends_unknown
        )
        self.journal.fail(
            "unknown" if unknown else "rejected",
            records,
            status=judgement.status,
            error=error or judgement.error,
            attempts=attempts,
            final=not open_,
        )

    def unknown(self, records: Iterable[tuple[int, bytes]], error: str) -> None:
        """Settle records that were sent by somebody who did not live to see the answer."""
        self.journal.fail("unknown", records, status=None, error=error, attempts=1, final=not self._resends_unknown)

    def unsent(self, records: Iterable[tuple[int, bytes]], reason: str) -> None:
        """Count records the delivery stopped before; they stay unsettled."""
        self.journal.fail("unsent", records, status=None, error=reason, attempts=0, final=False)
