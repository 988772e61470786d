"""Validate everything, send nothing, and keep the first request as it would have gone out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.engine import DeliveryRun
from airflow_provider_osmosdest.core.delivery.ledger.store import MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.messages import listing
from airflow_provider_osmosdest.core.delivery.model import Result, RunContext
from airflow_provider_osmosdest.core.delivery.shown import show_request
from airflow_provider_osmosdest.core.errors import TooManyFailuresError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_osmosdest.core.delivery.model import Delivery
    from airflow_provider_osmosdest.core.http.target import Destination
    from airflow_provider_osmosdest.core.http.transport import Request
    from airflow_provider_osmosdest.core.records import Source

__all__ = ["DryRun", "dry_run"]


@dataclass(frozen=True, slots=True)
class DryRun:
    """
    What a dry run found.

    :param result: the report: ``invalid`` is true, what would be sent is ``unsent``
    :param first_request: request line, headers and the start of the body, secrets masked; ``None`` if there is none
    """

    result: Result
    first_request: str | None


class _DryRunTransport:
    """Send nothing, and answer every request as accepted."""

    def __init__(self, target: Destination, headers: Mapping[str, str]) -> None:
        self._target = target
        self._headers = headers
        self.first: str | None = None

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Response]:  # noqa: ARG002 - nothing to wait for
        for request in starting:
            if self.first is None:
                self.first = self._shown(request)
        # A success with the answer that any ``success_when`` would need cannot be made up: see dry_run().
        return [Response(request, 200) for request in starting]

    def close(self) -> None:
        """Do nothing: no connection is open."""

    def _shown(self, request: Request) -> str:
        if isinstance(self._target, Target):
            return str(show_request(self._target, self._headers, request))
        return f"The first {self._target.request_noun}, to {self._target.described}: {request.length:,} bytes"


def dry_run(delivery: Delivery[Any], source: Source, say: Callable[[str], None]) -> DryRun:
    """
    Do everything a delivery does except send.

    :param delivery: the delivery to try
    :param source: the records
    :param say: takes the lines of the log
    :raises OsmosError: as :func:`~airflow_provider_osmosdest.core.delivery.engine.deliver` does
    """
    stages: list[_DryRunTransport] = []

    def make(target: Destination, *, headers: Mapping[str, str], **_: Any) -> _DryRunTransport:
        stages.append(_DryRunTransport(target, headers))
        return stages[0]

    # No response comes that an expression could read.
    options = replace(delivery.options, success_when=None, item_errors=None)
    say("Dry run: everything is validated, nothing is sent.")
    run_context = RunContext(ledger=MemoryLedgerStore(), dry_run=True)
    result = DeliveryRun(replace(delivery, options=options), source, make, say, run_context).run()
    report, error = result.report, result.error
    if isinstance(error, TooManyFailuresError):
        allowed = options.failures_allowed(report.read)
        error = TooManyFailuresError(
            f"{report.invalid:,} of {report.read:,} records do not satisfy the schema, and max_failures allows "
            f"{allowed:,}."
        )
    for line in listing(report):
        say(line)
    report = replace(
        report,
        delivered=0,
        unsent=report.delivered,
        requests=0,
        bytes_sent=0,
        report_path=None,
        error=None if error is None else str(error),
    )
    return DryRun(Result(report, error), stages[0].first)
