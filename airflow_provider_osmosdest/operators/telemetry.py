"""Report what a delivery did to the rest of Airflow: metrics, asset events, lineage."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow.sdk.definitions.context import Context

    from airflow_provider_osmosdest.core.delivery.model import Result

__all__ = ["OUTCOMES", "Lineage", "count_metrics", "describe_outlets", "request_timer"]

OUTCOMES = ("delivered", "duplicate", "invalid", "rejected", "unknown", "unsent")
"""The outcomes that metrics and events count."""

# A timing a request would be tens of thousands of datagrams a second.
_BETWEEN_TIMINGS = 0.1


def count_metrics(result: Result, tags: Mapping[str, str]) -> None:
    """
    Count this attempt's records and requests: ``osmosdest.records.<outcome>`` and ``osmosdest.requests``.

    :param result: how it ended
    :param tags: of the metrics, such as connection and task
    """
    from airflow.providers.common.compat.sdk import Stats

    for outcome in OUTCOMES:
        if (count := result.gained.get(outcome, 0)) > 0:
            Stats.incr(f"osmosdest.records.{outcome}", count=count, tags=dict(tags))
    if (count := result.gained.get("requests", 0)) > 0:
        Stats.incr("osmosdest.requests", count=count, tags=dict(tags))


def request_timer(tags: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> Callable[[float], None]:
    """
    Return a function that takes a request's seconds, and reports at most ten a second as ``osmosdest.request_seconds``.

    :param tags: of the metrics, such as connection and task
    :param clock: seconds that only ever grow
    """
    from airflow.providers.common.compat.sdk import Stats

    last = float("-inf")

    def timed(seconds: float) -> None:
        nonlocal last
        now = clock()
        if now - last >= _BETWEEN_TIMINGS:
            last = now
            Stats.timing("osmosdest.request_seconds", timedelta(seconds=seconds), tags=dict(tags))

    return timed


def describe_outlets(context: Context, outlets: Iterable[Any], xcom: Mapping[str, Any]) -> None:
    """
    Put the counts of a delivery into the events of the task's outlet assets.

    :param context: of the running task
    :param outlets: its outlets
    :param xcom: the report as it is pushed to XCom
    """
    from airflow.sdk import Asset

    counts = {name: xcom[name] for name in ("delivery_id", "read", *OUTCOMES)}
    for outlet in outlets:
        if isinstance(outlet, Asset):
            context["outlet_events"][outlet].extra.update(counts)


@dataclass(frozen=True, slots=True)
class Lineage:
    """
    Where records came from and went to.

    :param source: the path or URL of the file, ``None`` where they came as values
    :param destination: the API's URL, without user and query
    :param xcom: the report as it is pushed to XCom
    """

    source: str | None
    destination: str
    xcom: Mapping[str, Any]

    def to_openlineage(self) -> Any:
        """Return the lineage for Airflow's OpenLineage provider: both datasets, and how much went into the second."""
        from airflow.providers.common.compat.openlineage.facet import (
            Dataset,
            InputDataset,
            OutputDataset,
            OutputStatisticsOutputDatasetFacet,
        )
        from airflow.providers.openlineage.extractors import OperatorLineage

        inputs: list[Dataset] = []
        if self.source is not None:
            namespace, name = _dataset(self.source)
            inputs.append(InputDataset(namespace=namespace, name=name))
        namespace, name = _dataset(self.destination)
        sent = OutputStatisticsOutputDatasetFacet(rowCount=self.xcom["delivered"], size=self.xcom["bytes_sent"])
        return OperatorLineage(
            inputs=inputs,
            outputs=[OutputDataset(namespace=namespace, name=name, outputFacets={"outputStatistics": sent})],
        )


def _dataset(url: str) -> tuple[str, str]:
    """
    Return namespace and name of a URL as OpenLineage has them: scheme with host, and path; never user or query.

    Source: https://openlineage.io/docs/spec/naming
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return (f"{parts.scheme}://{host}" if host else parts.scheme or "file"), parts.path or "/"
