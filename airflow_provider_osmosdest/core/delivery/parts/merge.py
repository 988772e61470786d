"""Put the reports and failures of a delivery's parts together, as if it had been delivered in one."""

from __future__ import annotations

import heapq
import json
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.ledger.failures import FAILURES_PATTERN, index_of
from airflow_provider_osmosdest.core.delivery.ledger.ledger import COUNTS
from airflow_provider_osmosdest.core.delivery.report import Tally, too_many_failures
from airflow_provider_osmosdest.core.errors import DeliveryError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from airflow_provider_osmosdest.core.delivery.parts.plan import Plan
    from airflow_provider_osmosdest.core.delivery.report import DeliveryReport, FailedRecord
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["merge_failures", "merge_reports", "read_report"]

_NAME = "failures-all.ndjson"
_RUN_BYTES = 32 * 1024 * 1024
"""How much of the failures is sorted in memory at once, in bytes."""

_COUNTS = ("read", "unsent", *COUNTS)
_NOT_READ = "its part was not begun, stopped before this record, or left no report"
_MOST = 20


def read_report(folder: Folder, delivery_id: str) -> dict[str, Any] | None:
    """
    Return the report of a part, ``None`` where none of its attempts at this delivery has left one.

    :param folder: of the part
    :param delivery_id: of the whole
    :raises StorageError: when it cannot be read
    """
    try:
        with (folder / "report.json").open("rb") as file:
            report = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    # The clients of object stores have trees of errors of their own.
    except Exception as error:
        msg = f"the report in {folder} cannot be read: {error}. Mend the storage, then clear the task."
        raise StorageError(msg) from error
    return report if isinstance(report, dict) and report.get("delivery_id") == delivery_id else None


def merge_reports(
    plan: Plan,
    reports: Sequence[dict[str, Any] | None],
    *,
    allowed: Callable[[int], int],
    failures_path: str | None,
    report_path: str,
    first_failures: Sequence[FailedRecord] = (),
    about: Mapping[str, Any] | None = None,
) -> tuple[DeliveryReport, DeliveryError | None]:
    """
    Put the reports of all parts together.

    A record that no part has read is ``unsent``: its part was not begun, ended without a report, or stopped before it.

    :param plan: of the delivery
    :param reports: of the parts, in order, ``None`` for a part without one
    :param allowed: returns how many of a number of records may fail
    :param failures_path: of the merged failures
    :param report_path: where the report will be
    :param first_failures: of the merged failures
    :param about: what the report says of the whole beside its numbers and times
    :return: the report, and why the delivery failed, ``None`` where it did not
    """
    there = [each for each in reports if each is not None]
    tally = Tally()
    for each in there:
        for name in _COUNTS:
            setattr(tally, name, getattr(tally, name) + each[name])
        tally.known_failures += each.get("known_failures", 0)
        tally.reasons.update({reason["reason"]: reason["records"] for reason in each["reasons"]})
    not_read = max(0, plan.records - tally.read)
    if not_read:
        tally.read += not_read
        tally.count("unsent", not_read, _NOT_READ)
    report = tally.report(
        plan.delivery_id,
        seconds=sum(each["seconds"] for each in there),
        failures_path=failures_path,
        report_path=report_path,
        error=None,
        first_failures=first_failures,
        about={**(about or {}), **_times(there)},
    )
    error = _error(plan, reports, report, allowed(report.read))
    return replace(report, error=None if error is None else str(error)), error


def merge_failures(folders: Iterable[Folder], into: Folder) -> str | None:
    """
    Write the failure records of all parts into one file, in the order of their indexes.

    However many they are, 32 MB of them are in memory, and the rest in temporary files.

    :param folders: of the parts
    :param into: folder of the whole
    :return: path of the file, ``None`` where there are no failures
    :raises StorageError: when a folder cannot be read or written
    """
    path = into / _NAME
    try:
        with ExitStack() as runs:
            lines = heapq.merge(*_sorted_runs(folders, runs), key=index_of)
            first = next(lines, None)
            if first is None:
                return None
            into.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(first)
                file.writelines(lines)
    except OSError as error:
        msg = f"the failures cannot be put together in {into}: {error}. Mend the storage, then clear the task."
        raise StorageError(msg) from error
    return str(path)


def _sorted_runs(folders: Iterable[Folder], runs: ExitStack) -> list[Iterable[bytes]]:
    """Return the lines of all failures files as iterables that are in order; temporary files are closed by ``runs``."""
    made: list[Iterable[bytes]] = []
    lines: list[bytes] = []
    size = 0
    for folder in folders:
        for line in _lines(folder):
            lines.append(line)
            size += len(line)
            if size >= _RUN_BYTES:
                lines.sort(key=index_of)
                spilled = runs.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it is closed with all runs
                spilled.writelines(lines)
                spilled.seek(0)
                made.append(spilled)
                lines, size = [], 0
    return [*made, sorted(lines, key=index_of)]


def _lines(folder: Folder) -> Iterator[bytes]:
    with suppress(FileNotFoundError):
        for path in sorted(folder.glob(FAILURES_PATTERN), key=str):
            with path.open("rb") as file:
                yield from file


def _times(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return when the parts were delivered, and in how many attempts at most."""
    told = [each["about"] for each in reports if each.get("about")]
    return {
        "started_at": min((each["started_at"] for each in told), default=None),
        "ended_at": max((each["ended_at"] for each in told), default=None),
        "attempts": max((each["attempts"] for each in told), default=0),
    }


def _error(
    plan: Plan, reports: Sequence[dict[str, Any] | None], report: DeliveryReport, allowed: int
) -> DeliveryError | None:
    lost = [number for number, each in enumerate(reports) if each is None]
    stopped = [(number, each["error"]) for number, each in enumerate(reports) if each is not None and each["error"]]
    if stopped or lost:
        said = f"{len(stopped) + len(lost):,} of {len(plan.parts):,} parts did not come to their end."
        if stopped:
            said += f" Part {stopped[0][0]:,}: {stopped[0][1]}"
        if lost:
            said += f" Without a report, so that their records count as unsent: part {_listed(lost)}; see their logs."
        return DeliveryError(f"{said} Clear the group, and each part goes on where it stood.")
    if report.counting_failures > allowed:
        return too_many_failures(report, allowed, report.failures_path)
    return None


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:_MOST])) + (" and more" if len(numbers) > _MOST else "")
