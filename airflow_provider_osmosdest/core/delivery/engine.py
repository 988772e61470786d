"""Run one delivery: read, validate, send, settle, report. The loop that the other modules of this room serve."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from airflow_provider_osmosdest.core.delivery.ledger.journal import Journal, begin, check_holder
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.delivery.messages import ending, failure_lines, opening
from airflow_provider_osmosdest.core.delivery.new_files import new_files
from airflow_provider_osmosdest.core.delivery.deduplication import sightings_of
from airflow_provider_osmosdest.core.delivery.ledger.outcomes import Outcomes
from airflow_provider_osmosdest.core.delivery.sending.setup import attempt_at, mode_of, tools_of
from airflow_provider_osmosdest.core.delivery.progress import Progress
from airflow_provider_osmosdest.core.delivery.ledger.reopening import take_up_again
from airflow_provider_osmosdest.core.delivery.replay import ReplaySource
from airflow_provider_osmosdest.core.delivery.report import DeliveryReport, Tally, write_report
from airflow_provider_osmosdest.core.delivery.pipeline import send_all
from airflow_provider_osmosdest.core.http.target import Place
from airflow_provider_osmosdest.core.errors import DeliveryError, OsmosError, StorageError, TooManyFailuresError
from airflow_provider_osmosdest.core.storage import try_out

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_osmosdest.core.delivery.ledger.failures import Folder
    from airflow_provider_osmosdest.core.delivery.ledger.ledger import LedgerStore
    from airflow_provider_osmosdest.core.delivery.new_files import NewFiles
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.http.transport import Transport
    from airflow_provider_osmosdest.core.records import Source
    from airflow_provider_osmosdest.core.schema import DestinationSchema
    from airflow_provider_osmosdest.core.seen.storage import SeenFolder

__all__ = ["Delivery", "Result", "Surroundings", "TransportFactory", "carry_out", "deliver"]


_MOST_HELD = 10_000
"""Refusals more than a systemic stop takes that are held back until something is accepted, in records."""

_P = TypeVar("_P", bound=Place)
_P_co = TypeVar("_P_co", bound=Place, covariant=True)
_P_contra = TypeVar("_P_contra", bound=Place, contravariant=True)


class TransportFactory(Protocol[_P_contra]):
    """Make the transport of a delivery, once its needs are known."""

    def __call__(
        self, target: _P_contra, *, in_flight: int, headers: Mapping[str, str], answer_bytes: int, may_repeat: bool
    ) -> Transport:
        """
        Return a transport.

        :param target: where the delivery goes
        :param in_flight: requests it must be able to carry at the same time
        :param headers: headers for every request beside the target's, which win
        :param answer_bytes: how much of each answer it must keep, in bytes
        :param may_repeat: whether it may send a request again by itself
        """


@dataclass(frozen=True, slots=True)
class Delivery(Generic[_P_co]):
    """
    All that a delivery is made of, as frozen values.

    :param target: where to
    :param options: how
    :param schema: what a record must be
    :param folder: where report and failures go
    :param mapping: field name to source column, for fields that are called otherwise in the source
    :param name: what the log and errors call the place beside its URL, such as ``connection 'crm'``
    :param seen: where what was delivered there before is kept, for ``deduplicate``
    """

    target: _P_co
    options: DeliveryOptions
    schema: DestinationSchema
    folder: Folder
    mapping: Mapping[str, str] | None = None
    name: str = ""
    seen: SeenFolder | None = None

    @property
    def where(self) -> str:
        """What the log and errors call the place."""
        described = self.target.described
        return f"{self.name} ({described})" if self.name else described


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What a delivery may ask of whoever runs it.

    :param ledger: keeps the ledger; by default it is a file in the delivery's folder
    :param stopping: returns why to stop and how to go on, in whole sentences, ``None`` not to stop; asked at least once
        a second
    :param deferrable: whether long waits can be left to the caller, as a :class:`~.errors.WaitError` in the result
    :param warn: takes the lines of the log that somebody should read; by default they go where the others go
    :param timed: takes how long a request took, in seconds, for some of them
    :param occasion: the same in every retry; a complete delivery begins anew only on another one, or on ``None``
    :param rehearsing: nothing leaves the machine, so nothing counts as delivered
    """

    ledger: LedgerStore | None = None
    stopping: Callable[[], str | None] = field(default=lambda: None)
    deferrable: bool = False
    warn: Callable[[str], None] | None = None
    timed: Callable[[float], None] | None = None
    occasion: str | None = None
    rehearsing: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """
    How a delivery ended: always with a report, and with the error that its caller must raise, if any.

    :param report: the numbers and paths
    :param error: why the delivery stopped, could not read on, or had more failures than allowed
    :param mendable: whether another attempt may deliver more than this one did
    :param gained: counts of this attempt alone, by outcome and for ``requests``: what metrics are made of
    """

    report: DeliveryReport
    error: OsmosError | None = None
    mendable: bool = False
    gained: Mapping[str, int] = field(default_factory=dict)


def deliver(
    delivery: Delivery[_P],
    source: Source,
    transport: TransportFactory[_P],
    say: Callable[[str], None],
    surroundings: Surroundings | None = None,
) -> Result:
    """
    Deliver the records of a source, or go on delivering them where an earlier attempt stood.

    Whatever happens on the wire or in the source ends in the result; every record that could be read has an outcome.

    :param delivery: what to do
    :param source: the records
    :param transport: makes what carries the requests
    :param say: takes the lines of the log, a few and then one every 10 seconds
    :param surroundings: what the delivery may ask of its caller
    :raises StorageError: when report, failures or ledger cannot be read or written
    :raises SupersededError: when a later attempt of the delivery has begun; nothing was written then
    :raises ConfigurationError: when options, schema and mapping do not fit together; nothing was sent
    """
    surroundings = surroundings or Surroundings()
    say(opening(source.description, delivery))
    try_out(delivery.folder)
    result = carry_out(delivery, source, transport, say, surroundings)
    write_report(result.report, delivery.folder)
    allowed = delivery.options.failures_allowed(result.report.read)
    for line in failure_lines(result.report, allowed):
        (surroundings.warn or say)(line)
    for line in ending(result.report, delivery.target.exchange):
        say(line)
    return result


def carry_out(
    delivery: Delivery[_P],
    source: Source,
    transport: TransportFactory[_P],
    say: Callable[[str], None],
    surroundings: Surroundings | None = None,
) -> Result:
    """Do what :func:`deliver` does, but for saying so and writing the report."""
    surroundings = surroundings or Surroundings()
    warn = surroundings.warn or say
    tools = tools_of(delivery)
    store = surroundings.ledger or FolderLedgerStore(delivery.folder)
    tally = Tally()
    taking = new_files(delivery, source, store, tally, say)
    source = ReplaySource(taking or source, delivery.mapping)
    # Before the ledger is read: what an attempt before this one notes after that, it sends no more.
    attempt_id = uuid.uuid4().hex
    store.claim(attempt_id)
    entry = begin(store, source.fingerprint, warn, surroundings.occasion)
    once = delivery.options.once
    if once and not entry.complete and (doubts := entry.doubts()):
        warn(
            f"Warning: an earlier attempt may have sent up to {len(doubts):,} records without an answer that tells. As "
            "the guarantee is at_most_once, they become unknown, stand in the failures file, and are not sent again: "
            "ask the API about them."
        )
    if delivery.options.retry_rejected and entry.parts and not entry.complete:
        check_holder(store, attempt_id, entry.delivery_id)
        take_up_again(entry, store, delivery.folder)
    before = dict(entry.counts)
    sightings = None if entry.complete else sightings_of(delivery, entry, keeping=not surroundings.rehearsing)
    journal = Journal(
        entry,
        store,
        delivery.folder,
        tally,
        origin=source.origin,
        sightings=sightings,
        once=once,
        attempt=attempt_id,
    )
    if entry.complete:
        tally.read = tally.delivered + tally.duplicate + tally.invalid + tally.rejected + tally.unknown
        return _closed(delivery, journal, tally, None)
    most_held = delivery.options.systemic_after + _MOST_HELD
    outcomes = Outcomes(tally, journal, resends_unknown=not once, most_held=most_held)
    progress = Progress(tally, lambda: source.progress, say)
    attempt = attempt_at(
        delivery,
        tools,
        transport,
        outcomes=outcomes,
        progress=progress,
        surroundings=surroundings,
        sightings=sightings,
    )
    try:
        # Before the first send, so that every attempt knows the delivery by one id.
        journal.write()
        error = send_all(source, tools.validator, mode_of(attempt, tools), attempt)
        outcomes.close(stopped=isinstance(error, DeliveryError))
    finally:
        attempt.transport.close()
    if taking is not None:
        taking.count()
    taken = None if surroundings.rehearsing else taking
    return replace(_closed(delivery, journal, tally, error, taken), gained=tally.since(before))


def _closed(
    delivery: Delivery[Place], journal: Journal, tally: Tally, error: OsmosError | None, taken: NewFiles | None = None
) -> Result:
    """Close the books: decide whether it failed, whether another attempt may mend it, and write the ledger."""
    if error is not None:
        # An attempt that stops early has not read again what those before it have settled.
        tally.read = max(tally.read, tally.settled)
    elif tally.settled != tally.read:
        # Of a green task the numbers are all that is looked at.
        error = StorageError(
            f"the report does not add up: {tally.read:,} records were read, and {tally.settled:,} have an outcome. The "
            "ledger speaks of other records than the source holds now, or was changed. Look at it with 'airflow "
            "osmosdest delivery show'; after 'airflow osmosdest delivery forget' all is sent again under the same keys."
        )
    allowed = delivery.options.failures_allowed(tally.read)
    failed = tally.failed
    mendable = error is not None or journal.has_open
    complete = not mendable and failed <= allowed
    if complete and taken is not None:
        journal.guard()
        # Before the ledger says that all is done: nobody would come back to it.
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
