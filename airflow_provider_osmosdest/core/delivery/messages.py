"""The first and last log lines of a delivery, in sentences for the person on call."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.options import AUTO

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.model import Delivery
    from airflow_provider_osmosdest.core.delivery.report import DeliveryReport, FailedRecord
    from airflow_provider_osmosdest.core.http.target import Destination

__all__ = ["counted", "ending", "failure_lines", "listing", "opening"]


def opening(source: str, delivery: Delivery[Destination]) -> str:
    """Return the first line: what goes where, and how."""
    options = delivery.options
    if options.write_mode == "record":
        many = "as many in flight as it takes" if options.concurrency == AUTO else f"{options.concurrency} in flight"
        how = f"one record a {delivery.target.request_noun}, {many}"
    else:
        how = f"up to {options.batch_size:,} records a {delivery.target.request_noun}"
        if delivery.target.refuses:
            how += f"; when one is refused, {'split it' if options.on_batch_failure == 'split' else 'reject all of it'}"
    return f"Delivering {source} to {delivery.where}: {how}."


def failure_lines(report: DeliveryReport, allowed: int, *, in_task: bool = True) -> list[str]:
    """
    Return the lines of the log that need attention: why the delivery stopped, and what was not delivered.

    :param allowed: how many records may fail
    :param in_task: a task delivers, so that its colour is explained; else the caller says the report's error itself
    """
    if not report.failed:
        return [report.error] if in_task and report.error is not None else []
    by_outcome = [(name, getattr(report, name)) for name in ("invalid", "rejected", "unknown", "unsent")]
    if report.error is not None and sum(count for _, count in by_outcome) < report.failed:
        # It waits, and goes on with the records that have no outcome yet.
        return [report.error] if in_task else []
    stopped = report.error is not None and (report.unsent or report.counting_failures <= allowed)
    lines = [report.error] if in_task and stopped and report.error is not None else []
    counts = ", ".join(f"{count:,} {name}" for name, count in by_outcome if count)
    line = f"{counted(report.failed, 'record')} not delivered: {counts}."
    if report.known_failures:
        line += (
            f" {counted(report.known_failures, 'known failure')} among them, reported by an earlier delivery, "
            f"{'does' if report.known_failures == 1 else 'do'} not count."
        )
    # Where all may fail, as in a part of a delivery, that is not what is asked.
    asked = report.counting_failures > allowed if report.error is not None else allowed < report.read
    if report.known_failures and not report.counting_failures and report.error is None:
        # What max_failures allows is not asked then.
        line = f"{line[:-1]}, so the task succeeds." if in_task else line
    elif asked and (in_task or not stopped):
        verdict = ", so the task fails" if report.error is not None else ", so the task succeeds"
        line += f" max_failures allows {allowed:,}{verdict if in_task else ''}."
    if in_task or stopped or report.error is None:
        lines.append(line)
    return [*lines, *listing(report)]


def listing(report: DeliveryReport) -> list[str]:
    """Return the lines of the log that say which records failed and why, and where all of them are."""
    if report.failures_path is None:
        return []
    # What was not sent is nothing that a record is at fault for, and has its line among the reasons.
    failed = report.invalid + report.rejected + report.unknown
    first = [each for each in report.first_failures if each.outcome != "unsent"]
    lines = ["The most frequent reasons:"] if report.reasons else []
    lines += [f"  {records:,} x {reason}" for reason, records in report.reasons]
    if first:
        lines.append("The records:" if len(first) == failed else f"The first {len(first):,} of {failed:,}:")
        lines += [f"  {_named(each)}" for each in first]
    return [*lines, "Each with its reason, fit to be delivered again:", report.failures_path]


def _named(failed: FailedRecord) -> str:
    names = [f"row {failed.row:,}"] if failed.row is not None else []
    names += [f"{name}={value}" for name, value in failed.key.items()]
    which = f"record {failed.index:,}" + (f" ({', '.join(names)})" if names else "")
    # The API's own words begin with the status, those of one of its items do not.
    status = "" if failed.status is None or failed.error.startswith(str(failed.status)) else f" ({failed.status})"
    return f"{which}: {failed.outcome}{status}: {failed.error}"


def ending(report: DeliveryReport, request_noun: str, *, whole: bool = True) -> list[str]:
    """
    Return the last lines: what became of the records, at what price, and where the report is.

    :param request_noun: the noun for sending one body, in the singular
    :param whole: it is no part of a larger delivery, whose failures are delivered again together
    """
    speed = f" ({report.delivered / report.seconds:,.0f} records/s)" if report.seconds >= 1 and report.delivered else ""
    price = [counted(report.requests, request_noun)]
    price += [counted(number, noun) for number, noun in ((report.retries, "retry"), (report.splits, "split")) if number]
    first = (
        f"{report.delivered:,} of {counted(report.read, 'record')} delivered in {report.seconds:,.1f} s{speed}; "
        f"{', '.join(price)}, {_bytes(report.bytes_sent)} sent."
    )
    lines = [first, f"Report: {report.report_path}"]
    # What a task has not sent, its next attempt sends.
    of_task = report.about.get("dag_id") is not None
    left = report.invalid + report.rejected + report.unknown + (0 if of_task else report.unsent)
    if whole and left and report.report_path is not None:
        if report.about.get("retry_of") is not None:
            lines.append("To go on with what is left, once the cause is mended: the same command again.")
        else:
            again = shlex.quote(report.report_path)
            lines.append(f"To deliver them again, once the cause is mended: airflow osmosdest retry {again}")
    if report.duplicate:
        lines.insert(
            1, f"{counted(report.duplicate, 'duplicate')} not sent: delivered before, or twice in this source."
        )
    return lines


def counted(number: int, noun: str) -> str:
    """Return a number and a noun, in the plural where it is not 1."""
    if number == 1:
        return f"1 {noun}"
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number:,} {many}"


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":  # noqa: PLR2004 - SI steps
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
