"""Run a delivery begun by hand: its signals, its report on stdout, its last words and its exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.cli.console import FAILED, say
from airflow_provider_osmosdest.cli.stopping import stopping_on_signals
from airflow_provider_osmosdest.core.delivery.dry_run import dry_run
from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.messages import counted
from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.errors import StoppedError
from airflow_provider_osmosdest.hooks.shared_rates import shared_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.model import Delivery, Result, TransportFactory
    from airflow_provider_osmosdest.core.records import Source

__all__ = ["run_by_hand", "try_by_hand"]


def run_by_hand(
    delivery: Delivery[Any],
    source: Source,
    transport: TransportFactory[Any],
    conn_id: str,
    show: Callable[[Any], None],
    *,
    run_key: str | None = None,
) -> None:
    """
    Deliver, show the report, and exit where not everything was delivered.

    :param conn_id: id of its connection, for rates that are shared
    :param show: takes the document for stdout
    :param run_key: the same in every run that goes on with the ones before it
    """
    with stopping_on_signals() as stopping:
        limits = shared_limits(conn_id, delivery.options, 1, say)
        result = deliver(
            delivery, source, transport, say, RunContext(stopping=stopping.why, limits=limits, run_key=run_key)
        )
    report = result.report
    _tell(result, show)
    if report.unknown:
        again = "goes on with this delivery where it is given again, under the same keys"
        if run_key is None:
            again = "begins a new delivery, under new keys, each time"
        say(
            f"{counted(report.unknown, 'record')} {'are' if report.unknown > 1 else 'is'} 'unknown', and this command "
            f"{again}: ask the API whether it has them before they are delivered again."
        )
    if result.error is not None or report.failed:
        sys.exit(stopping.exit_code if isinstance(result.error, StoppedError) else FAILED)


def try_by_hand(delivery: Delivery[Any], source: Source, show: Callable[[Any], None]) -> None:
    """
    Do a dry run, show the report and the first request, and exit where a record is invalid.

    :param show: takes the document for stdout
    """
    tried = dry_run(delivery, source, say)
    say(tried.first_request or "No request would go out: there is no valid record.")
    _tell(tried.result, show)
    if tried.result.error is not None or tried.result.report.invalid:
        sys.exit(FAILED)


def _tell(result: Result, show: Callable[[Any], None]) -> None:
    show(result.report.to_dict())
    if result.error is not None:
        say(f"error: {result.error}")
