"""Settle records: every record of a delivery passes here exactly once, and leaves with its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_osmosdest.core.delivery.failures import FailuresFile
    from airflow_provider_osmosdest.core.delivery.judging import Judgement
    from airflow_provider_osmosdest.core.delivery.report import Tally

__all__ = ["Outcomes"]


class Outcomes:
    """
    Count outcomes and keep what failed.

    :param tally: the running counts
    :param failures: takes the records that were not delivered
    """

    def __init__(self, tally: Tally, failures: FailuresFile) -> None:
        self.tally = tally
        self._failures = failures

    def delivered(self, records: int) -> None:
        """Settle records the API took."""
        self.tally.delivered += records

    def invalid(self, index: int, error: str, record: bytes) -> None:
        """Settle a record that does not satisfy the schema."""
        # Values make every message different; the part before them is what many records share.
        self._fail(
            "invalid", [(index, record)], error, status=None, attempts=0, reason=error.split(" (found ", maxsplit=1)[0]
        )

    def failed(
        self, outcome: str, records: Iterable[tuple[int, bytes]], judgement: Judgement, attempts: int, error: str = ""
    ) -> None:
        """
        Settle records by an answer.

        :param outcome: ``rejected`` or ``unknown``
        :param records: index and JSON of each
        :param judgement: of the answer that settles them
        :param attempts: requests their chunk took
        :param error: what the answer says of these records, if more than of the chunk
        """
        self._fail(outcome, records, error or judgement.error, status=judgement.status, attempts=attempts)

    def unsent(self, records: Iterable[tuple[int, bytes]], reason: str) -> None:
        """Settle records the delivery stopped before."""
        self._fail("unsent", records, reason, status=None, attempts=0)

    def _fail(
        self,
        outcome: str,
        records: Iterable[tuple[int, bytes]],
        error: str,
        *,
        status: int | None,
        attempts: int,
        reason: str = "",
    ) -> None:
        count = self._failures.write(outcome, records, status=status, error=error, attempts=attempts)
        self.tally.count(outcome, count, reason or error)
