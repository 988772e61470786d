"""The report of a delivery: how many records have which outcome, and how many requests it took."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError, TooManyFailuresError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["DeliveryReport", "FailedRecord", "Tally", "shortened", "too_many_failures", "write_report"]

_REASONS = 5
_REASON_CHARS, _ERROR_CHARS = 500, 4_000
"""How much of each reason, and of why the delivery failed, goes into XCom."""


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """
    A record that was not delivered, as the log and the report name it.

    :param index: its position in the source
    :param row: its row in the sheet or line in the file, ``None`` where it has none
    :param key: the fields of ``record_key`` with their values, none where the delivery has no such key
    :param outcome: what became of it
    :param status: of the answer that said so, ``None`` where there was none
    :param error: the field, what was found there, and what is wrong with it; or what the API said
    """

    index: int
    row: int | None
    key: Mapping[str, Any]
    outcome: str
    status: int | None
    error: str


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """
    One delivery in numbers; ``read`` is the sum of the six outcomes.

    :param delivery_id: the same in every retry of a task instance
    :param read: records the source held, as far as it could be read
    :param requests: requests sent, retries included
    :param retries: requests that repeated an earlier one
    :param splits: refused chunks that were cut
    :param bytes_sent: bytes of all request bodies, after compression
    :param known_failures: failures that an earlier delivery has reported, which do not count for ``max_failures``
    :param seconds: how long it took
    :param failures_path: the failures file, ``None`` when every record was delivered
    :param report_path: this report as a file
    :param reasons: the most frequent reasons of failure with their counts
    :param error: why the delivery stopped or counts as failed, ``None`` when all went well
    :param first_failures: the first of the records that were not delivered
    :param about: what the delivery was: where it went, with which settings, when, and by which task
    """

    delivery_id: str
    read: int
    delivered: int
    duplicate: int
    invalid: int
    rejected: int
    unknown: int
    unsent: int
    requests: int
    retries: int
    splits: int
    bytes_sent: int
    seconds: float
    failures_path: str | None
    report_path: str | None
    reasons: tuple[tuple[str, int], ...] = ()
    error: str | None = None
    first_failures: tuple[FailedRecord, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    known_failures: int = 0

    @property
    def failed(self) -> int:
        """Records that were to be delivered and were not."""
        return self.read - self.delivered - self.duplicate

    @property
    def counting_failures(self) -> int:
        """Those that count for ``max_failures``."""
        return self.failed - self.known_failures

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, as ``report.json`` holds it."""
        reasons = [{"reason": reason, "records": count} for reason, count in self.reasons]
        return {**asdict(self), "reasons": reasons, "first_failures": [asdict(each) for each in self.first_failures]}

    def to_xcom(self) -> dict[str, Any]:
        """Return the numbers and paths, and why records failed, as they are pushed to XCom: a few kilobytes."""
        values = self.to_dict()
        del values["first_failures"], values["about"]
        reasons = [{**each, "reason": shortened(each["reason"], _REASON_CHARS)} for each in values["reasons"]]
        return {
            **values,
            "reasons": reasons,
            "error": None if self.error is None else shortened(self.error, _ERROR_CHARS),
        }


@dataclass(slots=True)
class Tally:
    """
    The running counts of a delivery.

    :param passed: records of the source that were read, those of other parts of the delivery too
    """

    passed: int = 0
    read: int = 0
    delivered: int = 0
    duplicate: int = 0
    invalid: int = 0
    rejected: int = 0
    unknown: int = 0
    unsent: int = 0
    requests: int = 0
    retries: int = 0
    splits: int = 0
    bytes_sent: int = 0
    known_failures: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def count(self, outcome: str, records: int, reason: str) -> str:
        """
        Add records that failed to an outcome, and to a reason.

        :return: the reason as it is counted
        """
        setattr(self, outcome, getattr(self, outcome) + records)
        key = f"{outcome}: {reason}"
        # A million different messages must not become a million counters.
        if key not in self.reasons and len(self.reasons) >= 1000:  # noqa: PLR2004 - some bound
            key = f"{outcome}: (other reasons)"
        self.reasons[key] += records
        return key

    @property
    def settled(self) -> int:
        """Records with an outcome."""
        return self.delivered + self.duplicate + self.invalid + self.rejected + self.unknown + self.unsent

    @property
    def failed(self) -> int:
        """Records that were to be delivered and were not, or not yet."""
        return self.read - self.delivered - self.duplicate

    @property
    def counting_failures(self) -> int:
        """Those that count for ``max_failures``."""
        return self.failed - self.known_failures

    def since(self, before: Mapping[str, int]) -> dict[str, int]:
        """Return what was added to the outcomes and the requests since ``before``."""
        names = ("delivered", "duplicate", "invalid", "rejected", "unknown", "unsent", "requests")
        return {name: getattr(self, name) - before.get(name, 0) for name in names}

    def report(
        self,
        delivery_id: str,
        *,
        seconds: float,
        failures_path: str | None,
        report_path: str | None,
        error: str | None,
        first_failures: Sequence[FailedRecord] = (),
        about: Mapping[str, Any] | None = None,
    ) -> DeliveryReport:
        """Return the report of these counts."""
        return DeliveryReport(
            delivery_id=delivery_id,
            read=self.read,
            delivered=self.delivered,
            duplicate=self.duplicate,
            invalid=self.invalid,
            rejected=self.rejected,
            unknown=self.unknown,
            unsent=self.unsent,
            requests=self.requests,
            retries=self.retries,
            splits=self.splits,
            bytes_sent=self.bytes_sent,
            seconds=round(seconds, 3),
            failures_path=failures_path,
            report_path=report_path,
            reasons=tuple(self.reasons.most_common(_REASONS)),
            error=error,
            first_failures=tuple(first_failures),
            about=about or {},
            known_failures=self.known_failures,
        )


def too_many_failures(counts: Tally | DeliveryReport, allowed: int, failures_path: str | None) -> TooManyFailuresError:
    """
    Return the error of a delivery that ran to its end with more failures than it may have.

    :param counts: of its records
    :param allowed: how many of them may fail
    :param failures_path: where they are listed
    """
    known = f" ({counts.known_failures:,} of them known failures, which do not count)" if counts.known_failures else ""
    return TooManyFailuresError(
        f"{counts.failed:,} of {counts.read:,} records {'was' if counts.failed == 1 else 'were'} not delivered{known}, "
        f"and max_failures allows {allowed:,}: {counts.invalid:,} invalid, {counts.rejected:,} rejected, "
        f"{counts.unknown:,} unknown, {counts.unsent:,} unsent. Each is in {failures_path} with its reason."
    )


def write_report(report: DeliveryReport, folder: Folder) -> None:
    """
    Write ``report.json`` into the delivery's folder.

    :raises StorageError: when the folder cannot be written
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "report.json").open("wb") as file:
            file.write(json.dumps(report.to_dict(), indent=2, ensure_ascii=False).encode(errors="replace") + b"\n")
    except Exception as error:
        msg = f"the report in {folder} cannot be written: {error}"
        raise StorageError(msg) from error


def shortened(text: str, most: int) -> str:
    """Return a text, cut to at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
