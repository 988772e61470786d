"""What all requests of one attempt share, in either write mode."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.options import NO_HEADER
from airflow_provider_osmosdest.core.errors import StoppedError, WaitError
from airflow_provider_osmosdest.core.http.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.flow.pacer import Pacer
    from airflow_provider_osmosdest.core.delivery.flow.stop_policy import StopPolicy
    from airflow_provider_osmosdest.core.delivery.ledger.outcomes import Outcomes
    from airflow_provider_osmosdest.core.delivery.model import RunContext
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.delivery.progress import Progress
    from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification, ResponseClassifier
    from airflow_provider_osmosdest.core.http.retry import Backoff
    from airflow_provider_osmosdest.core.http.transport import Body, Transport
    from airflow_provider_osmosdest.core.seen.deduplicator import Deduplicator

__all__ = ["CHECK_IN_SECONDS", "SendContext"]

CHECK_IN_SECONDS = 1.0
"""Seconds between two check-ins (progress, ledger, stop signal) while answers are awaited."""

_PASSING = frozenset({Verdict.TRANSIENT, Verdict.UNREACHABLE})
_PERHAPS_TAKEN = frozenset({Verdict.IN_DOUBT, Verdict.FAILED})


@dataclass(frozen=True, slots=True)
class SendContext:
    """
    What all requests of one attempt share.

    :param options: the write options
    :param run_context: what the caller provides
    :param transport: carries requests
    :param classify: classifies responses
    :param backoff: decides how long to wait before a retry
    :param pacer: decides how fast requests may start
    :param stop_policy: decides when to stop the delivery
    :param outcomes: settles records
    :param progress: logs how far the delivery is
    :param compress: compresses a body
    :param deduplicator: finds duplicates, ``None`` where every record is sent
    """

    options: DeliveryOptions
    run_context: RunContext
    transport: Transport
    classify: ResponseClassifier
    backoff: Backoff
    pacer: Pacer
    stop_policy: StopPolicy
    outcomes: Outcomes
    progress: Progress
    compress: Callable[[Body], Body] | None = None
    deduplicator: Deduplicator | None = None

    @property
    def once(self) -> bool:
        """Whether nothing may be sent that may have arrived already."""
        return self.options.once

    def passing(self, classification: Classification) -> bool:
        """Whether the API seems to be unavailable, so that the same request may succeed later."""
        return classification.verdict in _PASSING or (classification.verdict in _PERHAPS_TAKEN and not self.once)

    def check_stop(self) -> None:
        """
        Stop the delivery if the caller asks for it.

        :raises StoppedError: with the reason
        """
        if (reason := self.run_context.stopping()) is not None:
            raise StoppedError(reason)

    def check_wait(self, seconds: float) -> None:
        """
        Leave a wait that is too long to hold a worker slot for to a deferrable caller.

        :raises WaitError: with the seconds
        """
        if self.run_context.deferrable and seconds > self.options.defer_after:
            raise WaitError(seconds)

    @property
    def key_name(self) -> str | None:
        """The header that carries an idempotency key, ``None`` where it is off."""
        name = self.options.idempotency_header
        return None if name == NO_HEADER else name

    def check_in(self) -> None:
        """Log progress and write the ledger where they are due; stop if the caller asks for it."""
        self.progress.tick()
        self.check_stop()

    def now(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()
