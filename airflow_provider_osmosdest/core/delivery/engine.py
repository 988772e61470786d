"""Run one delivery from start to end: resume the ledger, run the pipeline, write the report."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_osmosdest.core.delivery.deduplication import deduplicator_of, seen_folder
from airflow_provider_osmosdest.core.delivery.endpoint import EndpointTemplate
from airflow_provider_osmosdest.core.delivery.flow.pacer import Pacer, most_in_flight
from airflow_provider_osmosdest.core.delivery.flow.stop_policy import StopPolicy
from airflow_provider_osmosdest.core.delivery.known_failures import KnownFailures
from airflow_provider_osmosdest.core.delivery.ledger.attempt import begin, check_holder, take_over
from airflow_provider_osmosdest.core.delivery.ledger.first_failures import first_failures
from airflow_provider_osmosdest.core.delivery.ledger.journal import Journal
from airflow_provider_osmosdest.core.delivery.ledger.outcomes import Outcomes
from airflow_provider_osmosdest.core.delivery.ledger.reopening import reopen
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.delivery.messages import ending, failure_lines, opening
from airflow_provider_osmosdest.core.delivery.model import Result, RunContext
from airflow_provider_osmosdest.core.delivery.new_files import new_files
from airflow_provider_osmosdest.core.delivery.options import NO_HEADER
from airflow_provider_osmosdest.core.delivery.pipeline import run_pipeline
from airflow_provider_osmosdest.core.delivery.progress import Progress
from airflow_provider_osmosdest.core.delivery.replay import ReplaySource
from airflow_provider_osmosdest.core.delivery.report import Tally, too_many_failures, write_report
from airflow_provider_osmosdest.core.delivery.responses.classifier import READ_BYTES, ResponseClassifier
from airflow_provider_osmosdest.core.delivery.sending.batch_mode import BatchMode
from airflow_provider_osmosdest.core.delivery.sending.context import SendContext
from airflow_provider_osmosdest.core.delivery.sending.record_mode import RecordMode
from airflow_provider_osmosdest.core.errors import (
    DeliveryError,
    OptionsError,
    OsmosError,
    StorageError,
)
from airflow_provider_osmosdest.core.http.compression import compressor
from airflow_provider_osmosdest.core.http.retry import Backoff
from airflow_provider_osmosdest.core.http.target import Destination
from airflow_provider_osmosdest.core.http.transport import ANSWER_BYTES
from airflow_provider_osmosdest.core.schema.validation.bulk import BulkValidator
from airflow_provider_osmosdest.core.seen.paths import FAILURES
from airflow_provider_osmosdest.core.seen.store import SeenStore
from airflow_provider_osmosdest.core.storage import try_out

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_osmosdest.core.delivery.ledger.ledger import Ledger
    from airflow_provider_osmosdest.core.delivery.model import Delivery, TransportFactory
    from airflow_provider_osmosdest.core.delivery.new_files import NewFiles
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.records import Source
    from airflow_provider_osmosdest.core.seen.deduplicator import Deduplicator

__all__ = ["DeliveryRun", "deliver"]

_MOST_HELD = 10_000
"""Refusals more than a systemic stop takes that are held back until something is accepted, in records."""

_LONGEST_DEFERRAL = 24 * 3600.0
"""Seconds a deferrable delivery waits at most when the API asks it to."""

_D = TypeVar("_D", bound=Destination)


def deliver(
    delivery: Delivery[_D],
    source: Source,
    transport: TransportFactory[_D],
    say: Callable[[str], None],
    run_context: RunContext | None = None,
) -> Result:
    """
    Deliver the records of a source, or resume where an earlier attempt stopped.

    Whatever happens on the wire or in the source ends in the result; every record that could be read has an outcome.

    :param delivery: what to do
    :param source: the records
    :param transport: makes what carries the requests
    :param say: takes the lines of the log, a few and then one every 10 seconds
    :param run_context: what the caller provides: the ledger, the stop signal, the log
    :raises StorageError: when report, failures or ledger cannot be read or written
    :raises SupersededError: when a later attempt of the delivery has begun; nothing was written then
    :raises ConfigurationError: when options, schema and mapping do not fit together; nothing was sent
    """
    run_context = run_context or RunContext()
    say(opening(source.description, delivery))
    options, limits = delivery.options, run_context.limits
    for noun, rate in (("requests", options.requests_per_second), ("records", options.records_per_second)):
        if (line := limits.describe(noun, rate)) is not None:
            say(line)
    try_out(delivery.folder)
    result = DeliveryRun(delivery, source, transport, say, run_context).run()
    write_report(result.report, delivery.folder)
    allowed = delivery.options.failures_allowed(result.report.read)
    for line in failure_lines(result.report, allowed, in_task=run_context.in_task):
        (run_context.warn or say)(line)
    for line in ending(result.report, delivery.target.request_noun, whole=run_context.part is None):
        say(line)
    return result


class DeliveryRun(Generic[_D]):
    """
    One attempt at a delivery, without the lines of the log at its start and end, and without writing the report.

    :param delivery: what to do
    :param source: the records
    :param transport: makes what carries the requests
    :param say: takes the lines of the log
    :param run_context: what the caller provides
    :raises ConfigurationError: when options, schema and mapping do not fit together; nothing was touched then
    """

    def __init__(
        self,
        delivery: Delivery[_D],
        source: Source,
        transport: TransportFactory[_D],
        say: Callable[[str], None],
        run_context: RunContext,
    ) -> None:
        self._delivery = delivery
        self._source = source
        self._transport = transport
        self._say = say
        self._run_context = run_context
        self._endpoint = _endpoint(delivery)
        self._validator = BulkValidator(delivery.schema, mapping=delivery.mapping, keep_records=bool(self._endpoint))
        self._compress = compressor(delivery.options.compression)
        self._store = run_context.ledger or FolderLedgerStore(delivery.folder)

    def run(self) -> Result:
        """
        Make the attempt.

        :raises StorageError: when failures or ledger cannot be read or written
        :raises SupersededError: when a later attempt of the delivery has begun; nothing was written then
        """
        delivery, options, dry_run = self._delivery, self._delivery.options, self._run_context.dry_run
        part = self._run_context.part
        tally = Tally()
        files = new_files(delivery, self._source, self._store, tally, self._say)
        first_index = 0 if part is None else part.first_index
        source = ReplaySource(files or self._source, first_index=first_index)
        # Before the ledger is read: an attempt before this one must not send what it notes after that.
        attempt = uuid.uuid4().hex
        self._store.claim(attempt)
        fingerprint = source.fingerprint
        ledger = self._find_ledger(fingerprint, attempt)
        about = {
            **delivery.about,
            "source": {"description": source.description, "format": source.format, "fingerprint": fingerprint},
        }
        before = dict(ledger.counts)
        deduplicator = (
            None
            if ledger.complete
            else deduplicator_of(delivery, ledger, keeping=not dry_run, share=None if part is None else part.share)
        )
        journal = Journal(
            ledger,
            self._store,
            delivery.folder,
            tally,
            origin=source.origin,
            deduplicator=deduplicator,
            once=options.once,
            attempt=attempt,
            movable=self._run_context.host is not None,
        )
        if ledger.complete:
            tally.read = tally.delivered + tally.duplicate + tally.invalid + tally.rejected + tally.unknown
            return self._finish(journal, tally, about, None)
        most_held = options.systemic_after + _MOST_HELD
        outcomes = Outcomes(tally, journal, resends_unknown=not options.once, most_held=most_held)
        # Neither a dry run nor a pull delivers anything.
        became = "valid" if dry_run else "delivered"
        progress = Progress(tally, lambda: source.progress, self._say, became=became)
        context = self._context(outcomes, progress, deduplicator)
        try:
            # Before the first send, so that every attempt uses the same delivery id.
            journal.write()
            mode = RecordMode(context, self._endpoint) if options.write_mode == "record" else BatchMode(context)
            error = run_pipeline(source, self._validator, mode, context)
            outcomes.close(stopped=isinstance(error, DeliveryError))
        finally:
            context.transport.close()
        if files is not None:
            files.count()
        result = self._finish(journal, tally, about, error, None if dry_run else files)
        return replace(result, gained=tally.since(before))

    def _find_ledger(self, fingerprint: str | None, attempt: str) -> Ledger:
        """Find the ledger of the attempts before, or begin one; take up again what the options say."""
        delivery, run_context = self._delivery, self._run_context
        warn = run_context.warn or self._say
        part = run_context.part
        ledger = begin(
            self._store,
            fingerprint,
            warn,
            run_context.run_key,
            folder=delivery.folder,
            delivery_id=None if part is None else part.delivery_id,
            takes_up=delivery.options.retry_rejected,
        )
        take_over(ledger, delivery.folder, run_context.host, warn)
        if ledger.complete:
            return ledger
        if delivery.options.once and (doubts := ledger.doubts()):
            warn(
                f"Warning: an earlier attempt may have sent up to {len(doubts):,} records without an answer that "
                "tells. As the guarantee is at_most_once, they become unknown, stand in the failures file, and are not "
                "sent again: ask the API about them."
            )
        if delivery.options.retry_rejected and ledger.parts:
            check_holder(self._store, attempt, ledger.delivery_id)
            reopen(ledger, self._store, delivery.folder)
        return ledger

    def _context(self, outcomes: Outcomes, progress: Progress, deduplicator: Deduplicator | None) -> SendContext:
        """Return what all requests of the attempt share; its transport is to be closed."""
        options, target = self._delivery.options, self._delivery.target
        classifier = ResponseClassifier(
            success_when=options.success_when,
            item_errors=options.item_errors,
            already_exists_when=options.already_exists_when,
            url_of_record=bool(self._endpoint),
            keyed=options.idempotency_header != NO_HEADER,
            redact=target.redact,
        )
        in_flight = most_in_flight(options)
        transport = self._transport(
            target,
            in_flight=in_flight,
            headers=_headers(options),
            answer_bytes=_answer_bytes(classifier, in_flight),
            may_repeat=not options.once,
        )
        # A deferrable caller waits without a worker slot, so it can wait as long as the API asks.
        asked = _LONGEST_DEFERRAL if self._run_context.deferrable else options.max_backoff
        backoff = Backoff(options.backoff, options.max_backoff, max(asked, options.max_backoff))
        return SendContext(
            options=options,
            run_context=self._run_context,
            transport=transport,
            classify=classifier,
            backoff=backoff,
            pacer=Pacer(options, backoff, self._run_context.limits),
            stop_policy=StopPolicy(
                options.systemic_after,
                self._delivery.where,
                target.advice,
                reopens=not outcomes.tally.delivered,
                refuses=target.refuses,
            ),
            outcomes=outcomes,
            progress=progress,
            compress=self._compress,
            deduplicator=deduplicator,
        )

    def _finish(
        self,
        journal: Journal,
        tally: Tally,
        about: Mapping[str, Any],
        error: OsmosError | None,
        taken: NewFiles | None = None,
    ) -> Result:
        """Decide whether the delivery failed and whether another attempt may mend it, and write the ledger."""
        delivery = self._delivery
        if error is not None:
            # An attempt that stops early has not read again what those before it have settled.
            tally.read = max(tally.read, tally.settled)
        elif tally.settled != tally.read:
            # The numbers are all that users look at when a task succeeds.
            error = StorageError(
                f"the report does not add up: {tally.read:,} records were read, and {tally.settled:,} have an outcome. "
                "The ledger is about other records than the source holds now, or was changed. Look at it with 'airflow "
                "osmosdest delivery show'; after 'airflow osmosdest delivery forget' all is sent again under the same "
                "keys."
            )
        allowed = delivery.options.failures_allowed(tally.read)
        if delivery.options.remember_failures:
            # Before the ledger is marked complete: no later attempt would do it.
            journal.guard()
            tally.known_failures = self._known_failures(journal.delivery_id).count(journal.failure_lines())
        failed = tally.counting_failures
        mendable = error is not None or journal.has_open
        # Whether too many of a part's records failed is said of the whole, and clearing that may take them up again.
        complete = not mendable and failed <= (allowed if self._run_context.part is None else 0)
        if complete and taken is not None:
            journal.guard()
            # Before the ledger is marked complete: no later attempt would do it.
            taken.take(journal.delivery_id)
        failures_path = journal.close(complete=complete)
        if error is None and failed > allowed:
            error = too_many_failures(tally, allowed, failures_path)
        report = tally.report(
            journal.delivery_id,
            seconds=journal.seconds,
            failures_path=failures_path,
            report_path=str(delivery.folder / "report.json"),
            error=None if error is None else str(error),
            first_failures=first_failures(
                delivery.folder,
                failures_path,
                key_fields=delivery.options.key_fields,
                mapping=delivery.mapping,
                redact=delivery.target.redact,
            ),
            about={**about, **journal.times},
        )
        return Result(report, error, mendable=mendable)

    def _known_failures(self, delivery_id: str) -> KnownFailures:
        store = SeenStore(seen_folder(self._delivery) / FAILURES)
        return KnownFailures(store, delivery_id, keeping=not self._run_context.dry_run)


def _endpoint(delivery: Delivery[Destination]) -> EndpointTemplate:
    endpoint = EndpointTemplate(delivery.target.url)
    if endpoint and delivery.options.write_mode == "batch":
        msg = f"endpoint: {{{endpoint.fields[0]}}} takes its value from a record, which needs write_mode 'record'"
        raise OptionsError(msg)
    endpoint.check(tuple(field.name for field in delivery.schema.fields))
    return endpoint


def _answer_bytes(classifier: ResponseClassifier, in_flight: int) -> int:
    """Return how much of each answer to keep, so that all that may be in flight together stay within bounds."""
    return max(ANSWER_BYTES, READ_BYTES // in_flight) if classifier.reads_bodies else ANSWER_BYTES


def _headers(options: DeliveryOptions) -> dict[str, str]:
    headers: dict[str, str] = {}
    if options.compression != "none":
        headers["Content-Encoding"] = options.compression
    if options.write_mode == "batch" and options.batch_format == "ndjson":
        headers["Content-Type"] = "application/x-ndjson"
    return headers
