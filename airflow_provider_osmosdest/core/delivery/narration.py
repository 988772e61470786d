"""The log of a delivery: what is said at its start and end, in sentences for whoever reads it at 6 a.m."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.delivery.report import DeliveryReport
    from airflow_provider_osmosdest.core.delivery.target import Target

__all__ = ["ending", "opening"]


def opening(source: str, target: Target, options: DeliveryOptions) -> str:
    """Return the first line: what goes where, and how."""
    if options.write_mode == "record":
        how = f"one record a request, {options.concurrency} in flight"
    else:
        after = "split it" if options.on_batch_failure == "split" else "reject all of it"
        how = f"up to {options.batch_size:,} records a request; when one is refused, {after}"
    return f"Delivering {source} to {target.method} {target.public_url}: {how}."


def ending(report: DeliveryReport) -> list[str]:
    """Return the last lines: what became of the records, why some failed, and where they are."""
    speed = report.read / report.seconds if report.seconds else 0.0
    first = (
        f"{report.delivered:,} of {report.read:,} records delivered in {report.seconds:,.1f} s "
        f"({speed:,.0f} records/s) with {_count(report.requests, 'request')}, {_count(report.retries, 'retry')} and "
        f"{_count(report.splits, 'split')}, {_bytes(report.bytes_sent)} sent."
    )
    lines = [first]
    if report.failed:
        names = ("invalid", "rejected", "unknown", "unsent")
        counts = ", ".join(f"{count:,} {name}" for name in names if (count := getattr(report, name)))
        lines.append(f"{report.failed:,} not delivered: {counts}. The most frequent reasons:")
        lines += [f"  {records:,} x {reason}" for reason, records in report.reasons]
        lines.append(f"Each with its reason, fit to be delivered again: {report.failures_path}")
    lines.append(f"Report: {report.report_path}")
    return lines


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":  # noqa: PLR2004 - SI steps
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
