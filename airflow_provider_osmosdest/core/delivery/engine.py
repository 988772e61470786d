"""Run one delivery from start to end: resume the ledger, run the pipeline, write the report."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_osmosdest.core.delivery.deduplication import deduplicator_of
from airflow_provider_osmosdest.core.delivery.ledger.attempt import begin, check_holder
from airflow_provider_osmosdest.core.delivery.ledger.journal import Journal
from airflow_provider_osmosdest.core.delivery.ledger.outcomes import Outcomes
from airflow_provider_osmosdest.core.delivery.ledger.reopening import reopen
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.delivery.messages import ending, failure_lines, opening
from airflow_provider_osmosdest.core.delivery.model import Result, RunContext
from airflow_provider_osmosdest.core.delivery.new_files import new_files
from airflow_provider_osmosdest.core.delivery.pipeline import run_pipeline
from airflow_provider_osmosdest.core.delivery.progress import Progress
from airflow_provider_osmosdest.core.delivery.replay import ReplaySource
from airflow_provider_osmosdest.core.delivery.report import Tally, write_report
from airflow_provider_osmosdest.core.delivery.setup import context_of, mode_of, tools_of
from airflow_provider_osmosdest.core.errors import DeliveryError, OsmosError, StorageError, TooManyFailuresError
from airflow_provider_osmosdest.core.http.target import Destination
from airflow_provider_osmosdest.core.storage import try_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.model import Delivery, TransportFactory
    from airflow_provider_osmosdest.core.delivery.new_files import NewFiles
    from airflow_provider_osmosdest.core.records import Source

__all__ = ["carry_out", "deliver"]


_MOST_HELD = 10_000
"""Refusals more than a systemic stop takes that are held back until something is accepted, in records."""

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
    try_out(delivery.folder)
    result = carry_out(delivery, source, transport, say, run_context)
    write_report(result.report, delivery.folder)
    allowed = delivery.options.failures_allowed(result.report.read)
    for line in failure_lines(result.report, allowed):
        (run_context.warn or say)(line)
    for line in ending(result.report, delivery.target.request_noun):
        say(line)
    return result


def carry_out(
    delivery: Delivery[_D],
    source: Source,
    transport: TransportFactory[_D],
    say: Callable[[str], None],
    run_context: RunContext | None = None,
) -> Result:
    """Do what :func:`deliver` does, without its log lines and without writing the report."""
    run_context = run_context or RunContext()
    warn = run_context.warn or say
    tools = tools_of(delivery)
    store = run_context.ledger or FolderLedgerStore(delivery.folder)
    tally = Tally()
    files = new_files(delivery, source, store, tally, say)
    source = ReplaySource(files or source, delivery.mapping)
    # Before the ledger is read: an attempt before this one must not send what it notes after that.
    attempt_id = uuid.uuid4().hex
    store.claim(attempt_id)
    ledger = begin(store, source.fingerprint, warn, run_context.run_key, folder=delivery.folder)
    once = delivery.options.once
    if once and not ledger.complete and (doubts := ledger.doubts()):
        warn(
            f"Warning: an earlier attempt may have sent up to {len(doubts):,} records without an answer that tells. As "
            "the guarantee is at_most_once, they become unknown, stand in the failures file, and are not sent again: "
            "ask the API about them."
        )
    if delivery.options.retry_rejected and ledger.parts and not ledger.complete:
        check_holder(store, attempt_id, ledger.delivery_id)
        reopen(ledger, store, delivery.folder)
    before = dict(ledger.counts)
    deduplicator = None if ledger.complete else deduplicator_of(delivery, ledger, keeping=not run_context.dry_run)
    journal = Journal(
        ledger,
        store,
        delivery.folder,
        tally,
        origin=source.origin,
        deduplicator=deduplicator,
        once=once,
        attempt=attempt_id,
    )
    if ledger.complete:
        tally.read = tally.delivered + tally.duplicate + tally.invalid + tally.rejected + tally.unknown
        return _finish(delivery, journal, tally, None)
    most_held = delivery.options.systemic_after + _MOST_HELD
    outcomes = Outcomes(tally, journal, resends_unknown=not once, most_held=most_held)
    progress = Progress(tally, lambda: source.progress, say)
    context = context_of(
        delivery,
        tools,
        transport,
        outcomes=outcomes,
        progress=progress,
        run_context=run_context,
        deduplicator=deduplicator,
    )
    try:
        # Before the first send, so that every attempt uses the same delivery id.
        journal.write()
        error = run_pipeline(source, tools.validator, mode_of(context, tools), context)
        outcomes.close(stopped=isinstance(error, DeliveryError))
    finally:
        context.transport.close()
    if files is not None:
        files.count()
    taken = None if run_context.dry_run else files
    return replace(_finish(delivery, journal, tally, error, taken), gained=tally.since(before))


def _finish(
    delivery: Delivery[Destination],
    journal: Journal,
    tally: Tally,
    error: OsmosError | None,
    taken: NewFiles | None = None,
) -> Result:
    """Decide whether the delivery failed and whether another attempt may mend it, and write the ledger."""
    if error is not None:
        # An attempt that stops early has not read again what those before it have settled.
        tally.read = max(tally.read, tally.settled)
    elif tally.settled != tally.read:
        # The numbers are all that users look at when a task succeeds.
        error = StorageError(
            f"the report does not add up: {tally.read:,} records were read, and {tally.settled:,} have an outcome. The "
            "ledger is about other records than the source holds now, or was changed. Look at it with 'airflow "
            "osmosdest delivery show'; after 'airflow osmosdest delivery forget' all is sent again under the same keys."
        )
    allowed = delivery.options.failures_allowed(tally.read)
    failed = tally.failed
    mendable = error is not None or journal.has_open
    complete = not mendable and failed <= allowed
    if complete and taken is not None:
        journal.guard()
        # Before the ledger is marked complete: no later attempt would do it.
        taken.take(journal.delivery_id)
    failures_path = journal.close(complete=complete)
    if error is None and failed > allowed:
        error = TooManyFailuresError(
            f"{failed:,} of {tally.read:,} records were not delivered, and max_failures allows {allowed:,}: "
            f"{tally.invalid:,} invalid, {tally.rejected:,} rejected, {tally.unknown:,} unknown, {tally.unsent:,} "
            "unsent. Each is in "
            f"{failures_path} with its reason."
        )
    report = tally.report(
        journal.delivery_id,
        seconds=journal.seconds,
        failures_path=failures_path,
        report_path=str(delivery.folder / "report.json"),
        error=None if error is None else str(error),
    )
    return Result(report, error, mendable=mendable)
