"""Build what one attempt at a delivery needs: its tools, its send context and its write mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_osmosdest.core.delivery.endpoint import EndpointTemplate
from airflow_provider_osmosdest.core.delivery.flow.pacer import Pacer, most_in_flight
from airflow_provider_osmosdest.core.delivery.flow.stop_policy import StopPolicy
from airflow_provider_osmosdest.core.delivery.options import NO_HEADER
from airflow_provider_osmosdest.core.delivery.responses.classifier import READ_BYTES, ResponseClassifier
from airflow_provider_osmosdest.core.delivery.sending.batch_mode import BatchMode
from airflow_provider_osmosdest.core.delivery.sending.chunk_sender import ChunkSender
from airflow_provider_osmosdest.core.delivery.sending.context import SendContext
from airflow_provider_osmosdest.core.delivery.sending.record_mode import RecordMode
from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.http.compression import compressor
from airflow_provider_osmosdest.core.http.retry import Backoff
from airflow_provider_osmosdest.core.http.target import Destination
from airflow_provider_osmosdest.core.http.transport import ANSWER_BYTES
from airflow_provider_osmosdest.core.schema.validation.bulk import BulkValidator

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.ledger.outcomes import Outcomes
    from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext, TransportFactory
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.delivery.pipeline import WriteMode
    from airflow_provider_osmosdest.core.delivery.progress import Progress
    from airflow_provider_osmosdest.core.http.transport import Body
    from airflow_provider_osmosdest.core.seen.deduplicator import Deduplicator

__all__ = ["Tools", "context_of", "mode_of", "tools_of"]

_LONGEST_DEFERRAL = 24 * 3600.0
"""Seconds a deferrable delivery waits at most when the API asks it to."""

_P = TypeVar("_P", bound=Destination)


@dataclass(frozen=True, slots=True)
class Tools:
    """
    What depends on the values of a delivery alone.

    :param endpoint: makes a URL from each record, where it has placeholders for fields
    :param validator: validates records
    :param compress: compresses a body, ``None`` for no compression
    """

    endpoint: EndpointTemplate
    validator: BulkValidator
    compress: Callable[[Body], Body] | None


def tools_of(delivery: Delivery[Destination]) -> Tools:
    """
    Check that options, schema and mapping fit together, and build their tools; storage and network are not touched.

    :raises ConfigurationError: naming what does not fit
    """
    endpoint = _endpoint(delivery)
    validator = BulkValidator(delivery.schema, mapping=delivery.mapping, keep_records=bool(endpoint))
    return Tools(endpoint, validator, compressor(delivery.options.compression))


def context_of(
    delivery: Delivery[_P],
    tools: Tools,
    transport: TransportFactory[_P],
    *,
    outcomes: Outcomes,
    progress: Progress,
    run_context: RunContext,
    deduplicator: Deduplicator | None,
) -> SendContext:
    """
    Return the send context of an attempt; the caller closes its transport.

    :param delivery: the delivery
    :param tools: of the delivery
    :param transport: makes what carries the requests
    :param outcomes: settles records
    :param progress: logs how far the delivery is
    :param run_context: what the caller provides
    :param deduplicator: finds duplicates, ``None`` where every record is sent
    """
    options, target = delivery.options, delivery.target
    classifier = ResponseClassifier(
        success_when=options.success_when,
        item_errors=options.item_errors,
        already_exists_when=options.already_exists_when,
        url_of_record=bool(tools.endpoint),
        keyed=options.idempotency_header != NO_HEADER,
        redact=target.redact,
    )
    carrier = transport(
        target,
        in_flight=most_in_flight(options),
        headers=_headers(options),
        answer_bytes=_answer_bytes(classifier, most_in_flight(options)),
        may_repeat=not options.once,
    )
    # A deferrable caller waits without a worker slot, so it can wait as long as the API asks.
    asked = _LONGEST_DEFERRAL if run_context.deferrable else options.max_backoff
    backoff = Backoff(options.backoff, options.max_backoff, max(asked, options.max_backoff))
    return SendContext(
        options=options,
        transport=carrier,
        classify=classifier,
        backoff=backoff,
        pacer=Pacer(options, backoff),
        stop_policy=StopPolicy(
            options.systemic_after,
            delivery.where,
            target.advice,
            reopens=not outcomes.tally.delivered,
            refuses=target.refuses,
        ),
        outcomes=outcomes,
        progress=progress,
        compress=tools.compress,
        stopping=run_context.stopping,
        deferrable=run_context.deferrable,
        timed=run_context.timed,
        deduplicator=deduplicator,
    )


def mode_of(context: SendContext, tools: Tools) -> WriteMode:
    """Return the write mode that the options ask for."""
    if context.options.write_mode == "record":
        return RecordMode(context, tools.endpoint)
    return BatchMode(context, ChunkSender(context))


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
