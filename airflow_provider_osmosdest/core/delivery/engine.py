"""Run one delivery: read, validate, send, settle, report. The loop that the other modules of this room serve."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow_provider_osmosdest.core.delivery.batch_mode import BatchMode
from airflow_provider_osmosdest.core.delivery.compression import compressor
from airflow_provider_osmosdest.core.delivery.courier import Courier
from airflow_provider_osmosdest.core.delivery.endpoint import EndpointTemplate
from airflow_provider_osmosdest.core.delivery.failures import FailuresFile
from airflow_provider_osmosdest.core.delivery.judging import READ_BYTES, Judge
from airflow_provider_osmosdest.core.delivery.narration import ending, opening
from airflow_provider_osmosdest.core.delivery.outcomes import Outcomes
from airflow_provider_osmosdest.core.delivery.patience import Patience
from airflow_provider_osmosdest.core.delivery.progress import Progress
from airflow_provider_osmosdest.core.delivery.record_mode import RecordMode
from airflow_provider_osmosdest.core.delivery.report import DeliveryReport, Tally, write_report
from airflow_provider_osmosdest.core.delivery.retry import Backoff
from airflow_provider_osmosdest.core.delivery.transport import ANSWER_BYTES
from airflow_provider_osmosdest.core.errors import (
    DeliveryError,
    OptionsError,
    OsmosError,
    SourceError,
    TooManyFailuresError,
)
from airflow_provider_osmosdest.core.schema.bulk import BulkValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_provider_osmosdest.core.delivery.failures import Folder
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.delivery.target import Target
    from airflow_provider_osmosdest.core.delivery.transport import Transport
    from airflow_provider_osmosdest.core.records import Source
    from airflow_provider_osmosdest.core.schema import DestinationSchema
    from airflow_provider_osmosdest.core.schema.blocks import Block
    from airflow_provider_osmosdest.core.schema.bulk import Validated

__all__ = ["Delivery", "Result", "TransportFactory", "carry_out", "deliver"]


class TransportFactory(Protocol):
    """Make the transport of a delivery, once its needs are known."""

    def __call__(self, target: Target, *, in_flight: int, headers: Mapping[str, str], answer_bytes: int) -> Transport:
        """Return a transport that carries ``in_flight`` requests and keeps ``answer_bytes`` of each answer."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    All that a delivery is made of, as frozen values.

    :param delivery_id: the same in every retry
    :param target: where to
    :param options: how
    :param schema: what a record must be
    :param mapping: field name to source column, for fields that are called otherwise in the source
    :param folder: where report and failures go
    """

    delivery_id: str
    target: Target
    options: DeliveryOptions
    schema: DestinationSchema
    folder: Folder
    mapping: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """
    How a delivery ended: always with a report, and with the error that its caller must raise, if any.

    :param report: the numbers and paths
    :param error: why the delivery stopped, could not read on, or had more failures than allowed
    """

    report: DeliveryReport
    error: OsmosError | None = None


class _Mode(Protocol):
    """A write mode: takes valid records, sends them, and settles them."""

    def take(self, validated: Validated, indexes: Sequence[int]) -> None: ...

    def finish(self) -> None: ...

    def abandon(self, reason: str) -> None: ...


def deliver(
    delivery: Delivery,
    source: Source,
    transport: TransportFactory,
    say: Callable[[str], None],
) -> Result:
    """
    Deliver the records of a source.

    Whatever happens on the wire or in the source ends in the result; every record that could be read has an outcome.

    :param delivery: what to do
    :param source: the records
    :param transport: makes what carries the requests
    :param say: takes the lines of the log, a few and then one every 10 seconds
    :raises StorageError: when report or failures cannot be written
    :raises ConfigurationError: when options, schema and mapping do not fit together; nothing was sent
    """
    say(opening(source.description, delivery.target, delivery.options))
    result = carry_out(delivery, source, transport, say)
    write_report(result.report, delivery.folder)
    for line in ending(result.report):
        say(line)
    return result


def carry_out(delivery: Delivery, source: Source, transport: TransportFactory, say: Callable[[str], None]) -> Result:
    """Do what :func:`deliver` does, but for saying so and writing the report."""
    started = time.monotonic()
    options, target = delivery.options, delivery.target
    endpoint = _endpoint(delivery)
    validator = BulkValidator(delivery.schema, mapping=delivery.mapping, keep_records=bool(endpoint))
    tally = Tally()
    failures = FailuresFile(delivery.folder)
    outcomes = Outcomes(tally, failures)
    progress = Progress(tally, lambda: source.progress, say)
    patience = Patience(options.systemic_after, f"{target.method} {target.public_url}")
    judge = Judge(
        success_when=options.success_when,
        item_errors=options.item_errors,
        url_of_record=bool(endpoint),
        redact=target.redact,
    )
    backoff = Backoff(options.backoff, options.max_backoff)
    compress = compressor(options.compression)
    carrier = transport(
        target,
        in_flight=options.concurrency if options.write_mode == "record" else 1,
        headers=_headers(options),
        answer_bytes=READ_BYTES if judge.reads_bodies else ANSWER_BYTES,
    )
    mode: _Mode
    if options.write_mode == "record":
        mode = RecordMode(
            options=options,
            transport=carrier,
            judge=judge,
            backoff=backoff,
            outcomes=outcomes,
            patience=patience,
            progress=progress,
            endpoint=endpoint,
            compress=compress,
        )
    else:
        courier = Courier(
            transport=carrier, judge=judge, backoff=backoff, tally=tally, progress=progress, compress=compress
        )
        mode = BatchMode(options, courier, outcomes, patience)
    try:
        error = _run(source, validator, mode, outcomes, progress)
    finally:
        carrier.close()
        failures.close()
    if error is None and (failed := tally.read - tally.delivered) > options.failures_allowed(tally.read):
        error = TooManyFailuresError(
            f"{failed:,} of {tally.read:,} records were not delivered, and max_failures allows "
            f"{options.failures_allowed(tally.read):,}: {tally.invalid:,} invalid, {tally.rejected:,} rejected, "
            f"{tally.unknown:,} unknown. Each is in {failures.path} with its reason."
        )
    report = tally.report(
        delivery.delivery_id,
        seconds=time.monotonic() - started,
        failures_path=failures.path,
        report_path=str(delivery.folder / "report.json"),
        error=None if error is None else str(error),
    )
    return Result(report, error)


def _run(
    source: Source, validator: BulkValidator, mode: _Mode, outcomes: Outcomes, progress: Progress
) -> OsmosError | None:
    """Send what the source holds; return why not all of it could be, if so."""
    stopped: DeliveryError | None = None
    broken: SourceError | None = None
    blocks = source.blocks()
    while True:
        try:
            block = next(blocks, None)
        except SourceError as error:
            broken = error
            break
        if block is None:
            break
        validated, indexes = _validated(block, validator, outcomes)
        progress.tick()
        if stopped is None:
            try:
                mode.take(validated, indexes)
            except DeliveryError as error:
                stopped = error
                mode.abandon(_reason(stopped))
        else:
            outcomes.unsent(_items(validated, indexes), _reason(stopped))
    if stopped is None:
        try:
            mode.finish()
        except DeliveryError as error:
            stopped = error
            mode.abandon(_reason(stopped))
    return stopped or broken


def _validated(block: Block, validator: BulkValidator, outcomes: Outcomes) -> tuple[Validated, Sequence[int]]:
    """Validate a block, settle its invalid records, and number its valid ones."""
    validated = validator.validate(block)
    first = outcomes.tally.read
    outcomes.tally.read += validated.count
    if not validated.invalid:
        return validated, range(first, first + validated.count)
    bad = set()
    for record in validated.invalid:
        outcomes.invalid(first + record.position, record.error, record.record)
        bad.add(record.position)
    return validated, [first + position for position in range(validated.count) if position not in bad]


def _items(validated: Validated, indexes: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    return zip(indexes, validated.lines.split(b"\n"), strict=False)


def _reason(error: DeliveryError) -> str:
    """Return why a delivery stopped, for each record it stopped before; the report has the whole of it."""
    return f"the delivery stopped before this record ({type(error).__name__})"


def _endpoint(delivery: Delivery) -> EndpointTemplate:
    endpoint = EndpointTemplate(delivery.target.url)
    if endpoint and delivery.options.write_mode == "batch":
        msg = f"endpoint: {{{endpoint.fields[0]}}} takes its value from a record, which needs write_mode 'record'"
        raise OptionsError(msg)
    endpoint.check(tuple(field.name for field in delivery.schema.fields))
    return endpoint


def _headers(options: DeliveryOptions) -> dict[str, str]:
    headers: dict[str, str] = {}
    if options.compression != "none":
        headers["Content-Encoding"] = options.compression
    if options.write_mode == "batch" and options.batch_format == "ndjson":
        headers["Content-Type"] = "application/x-ndjson"
    return headers
