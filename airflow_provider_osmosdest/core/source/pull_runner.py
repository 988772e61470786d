"""Pull records into a file: fetch pages, validate and write them, with a delivery's ledger, failures and report."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.deduplication import seen_folder
from airflow_provider_osmosdest.core.delivery.engine import DeliveryRun
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.delivery.messages import counted, failure_lines
from airflow_provider_osmosdest.core.delivery.model import Delivery, Result, RunContext
from airflow_provider_osmosdest.core.delivery.report import DeliveryReport, write_report
from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.http.rate_limits import RateLimits
from airflow_provider_osmosdest.core.seen.keys import RecordKeys
from airflow_provider_osmosdest.core.seen.paths import scope_of_keys
from airflow_provider_osmosdest.core.seen.store import SeenStore
from airflow_provider_osmosdest.core.source.incremental.tracker import Tracker, Watermark
from airflow_provider_osmosdest.core.source.pages import Landing
from airflow_provider_osmosdest.core.source.parts import (
    PartsTransport,
    RecordsFolder,
    finish_parts,
    read_parts,
    size_of_parts,
)
from airflow_provider_osmosdest.core.source.pull import Pull
from airflow_provider_osmosdest.core.storage import try_out

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_osmosdest.core.delivery.ledger.ledger import DocumentStore
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.errors import OsmosError
    from airflow_provider_osmosdest.core.schema import DestinationSchema
    from airflow_provider_osmosdest.core.source.fetching.http_client import Traffic
    from airflow_provider_osmosdest.core.source.fetching.page_fetcher import PageFetcher
    from airflow_provider_osmosdest.core.source.pages import PullState
    from airflow_provider_osmosdest.core.source.request_spec import RequestSpec
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["PullOrder", "PullReport", "PullResult", "read_records", "run_pull"]

_RECORDS = "records"
_BEFORE = "incremental-before.json"

# A part of the records is kept in memory until it is full.
_PART_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PullOrder:
    """
    The parameters of one pull.

    :param spec: what to request
    :param options: time-outs, retries, waits, rate and ``max_failures``
    :param schema: what a record must be
    :param folder: where pages, records, failures and report go
    :param fetcher: makes the page fetcher
    :param mapping: field name to the API's name, for fields that are called otherwise there
    :param name: what the log and errors call the API beside its URL
    :param watermark: stores the watermark between runs
    :param seen: where what was pulled before is kept, for ``deduplicate``
    :param about: what the report says of it beside the numbers, as plain values without secrets
    :param most_bytes: of records at most, where they go into XCom; ``None`` for any number
    :param limits: how its rate is kept together with other tasks
    """

    spec: RequestSpec
    options: DeliveryOptions
    schema: DestinationSchema
    folder: Folder
    fetcher: Callable[[Traffic], PageFetcher]
    mapping: Mapping[str, str] | None = None
    name: str = ""
    watermark: DocumentStore | None = None
    seen: Folder | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    most_bytes: int | None = None
    limits: RateLimits = field(default_factory=RateLimits)

    @property
    def where(self) -> str:
        """What the log and errors call the API."""
        described = self.spec.target.described
        return f"{self.name} ({described})" if self.name else described


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport(DeliveryReport):
    """
    One pull in numbers. ``requests`` and ``retries`` are those to the API, ``bytes_sent`` are those of the records.

    :param pages: pages fetched
    :param bytes_received: bytes of all answers, unpacked
    :param dropped: records left out, as an earlier run had taken them
    :param records_path: the path of the records, ``None`` where not all could be pulled
    """

    pages: int
    bytes_received: int
    dropped: int
    records_path: str | None


@dataclass(frozen=True, slots=True)
class PullResult:
    """
    How a pull ended.

    :param report: the numbers and paths
    :param ended: how the engine behind it ended, with what this attempt gained
    """

    report: PullReport
    ended: Result

    @property
    def error(self) -> OsmosError | None:
        """Why not all of it is there, or more records failed than allowed."""
        return self.ended.error


def run_pull(order: PullOrder, say: Callable[[str], None], run_context: RunContext | None = None) -> PullResult:
    """
    Pull records, or go on pulling them where an earlier attempt stood.

    :param order: the pull's parameters
    :param say: writes a line to the log
    :param run_context: ledger, stop signal and log of the caller's
    :raises StorageError: when pages, records, report, failures or ledger cannot be read or written
    :raises ConfigurationError: when schema and mapping do not fit together; no request was sent
    """
    run_context = run_context or RunContext()
    warn = run_context.warn or say
    try_out(order.folder)
    landing = Landing(order.folder, order.spec.target.secrets)
    tracker = None
    if order.spec.incremental is not None and order.watermark is not None:
        tracker = Tracker(order.spec.incremental, _before(order, order.watermark))
    pull = Pull(order.spec, landing, order.fetcher, tracker, say)
    pull.open(order.spec.digest(order.schema.to_dict(), dict(order.mapping or {})), run_context.run_key)
    before = pull.state.requests
    say(f"Pulling from {order.where}{_since(tracker)}.")
    if (line := order.limits.describe("requests", order.options.requests_per_second)) is not None:
        say(line)
    delivery = Delivery(
        target=RecordsFolder(order.folder / _RECORDS, order.where),
        # The API's rate does not apply to the folder.
        options=replace(order.options, requests_per_second=None, batch_format="ndjson", max_batch_bytes=_PART_BYTES),
        schema=order.schema,
        folder=order.folder,
        mapping=order.mapping,
        seen=order.seen,
        about=order.about,
    )
    # No task reads the records of a pull that fails, so they count as seen only when all of it is there.
    result = DeliveryRun(delivery, pull, PartsTransport, say, replace(run_context, dry_run=True)).run()
    path = None
    if result.error is None:
        path = finish_parts(order.folder / _RECORDS, result.report.delivery_id)
        if order.most_bytes is not None and size_of_parts(order.folder / _RECORDS) > order.most_bytes:
            # Before anything counts as taken: no task gets these records.
            result = replace(result, error=_too_large(path, result.report.delivered, order.most_bytes), mendable=False)
        elif not pull.state.cleared:
            _keep_seen(delivery, result.report.delivery_id)
            _advance(order, pull, tracker)
    report = _report(result.report, pull.state, path)
    write_report(report, order.folder)
    if result.error is None:
        # Last, as a retry may need them for all before.
        pull.clear()
    for line in failure_lines(report, order.options.failures_allowed(report.read), in_task=run_context.in_task):
        warn(line)
    for line in _ending(report, tracker):
        say(line)
    gained = {**result.gained, "requests": pull.state.requests - before}
    return PullResult(report, replace(result, report=report, gained=gained))


def _before(order: PullOrder, store: DocumentStore) -> Watermark:
    """
    Return the watermark as it was before this run, also in its later attempts.

    A run that is cleared after it was complete has moved the watermark itself, and must take its records again.
    """
    kept = store.load()
    own = FolderLedgerStore(order.folder, _BEFORE)
    found = None if kept is None else own.load()
    if found is not None:
        return Watermark.read(found)
    before = Watermark.read(kept)
    own.save(before.to_json())
    return before


def _too_large(path: str, records: int, most_bytes: int) -> OptionsError:
    return OptionsError(
        f"output_as is 'xcom', and the {records:,} records are more than the {most_bytes:,} bytes that an XCom should "
        f"hold. They are in {path}, and none counts as taken: set output_as='file', clear the task, and give "
        "the path to the next one."
    )


def _keep_seen(delivery: Delivery[RecordsFolder], delivery_id: str) -> None:
    """Keep the keys of what was pulled, now that all of it is there."""
    if delivery.options.deduplicate != "records":
        return
    keys = RecordKeys(delivery.schema, delivery.options.key_fields)
    store = SeenStore(seen_folder(delivery) / scope_of_keys(delivery.options.key_fields))
    for lines in read_parts(delivery.target.path):
        store.append(delivery_id, keys.of(lines))
    store.fold()


def _advance(order: PullOrder, pull: Pull, tracker: Tracker | None) -> None:
    """Keep how far this run came, now that all of it is taken."""
    if tracker is None or order.watermark is None:
        return
    if not pull.was_read:
        # An attempt took all of it, and ended before it could keep this.
        for _ in pull.kept():
            pass
    order.watermark.save(tracker.watermark(Watermark.read(order.watermark.load())).to_json(), last=True)


def _report(report: DeliveryReport, state: PullState, path: str | None) -> PullReport:
    told = {each.name: getattr(report, each.name) for each in fields(DeliveryReport)}
    told.update(requests=state.requests, retries=state.retries)
    more: dict[str, Any] = {"pages": state.pages, "bytes_received": state.bytes_received, "dropped": state.dropped}
    return PullReport(**told, **more, records_path=path)


def _since(tracker: Tracker | None) -> str:
    return "" if tracker is None or tracker.since is None else f", what is new since {tracker.since!r}"


def _ending(report: PullReport, tracker: Tracker | None) -> list[str]:
    left_out = f", {report.dropped:,} left out as taken before" if report.dropped else ""
    first = (
        f"{report.delivered:,} of {report.read:,} records from {counted(report.pages, 'page')} in "
        f"{report.seconds:,.1f} s; {counted(report.requests, 'request')}, {counted(report.retries, 'retry')}, "
        f"{report.bytes_received:,} bytes received{left_out}."
    )
    lines = [first]
    if tracker is not None and tracker.without:
        lines.append(f"{tracker.without:,} records have no cursor value; they are taken each time they come.")
    if report.records_path is not None:
        lines.append(f"Records: {report.records_path}")
    return [*lines, f"Report: {report.report_path}"]


def read_records(order: PullOrder) -> list[Any]:
    """
    Return the records of a pull that has succeeded.

    :raises StorageError: when they cannot be read
    """
    parts = read_parts(order.folder / _RECORDS)
    return [json.loads(line) for lines in parts for line in lines.splitlines()]
