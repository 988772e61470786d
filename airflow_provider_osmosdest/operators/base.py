"""The base of the operators that deliver records: run one attempt, push its report, and end the task."""

from __future__ import annotations

import platform
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_osmosdest.operators.mapped_tasks import tasks_at_once
from airflow_provider_osmosdest.operators.stop_signal import StopSignal
from airflow_provider_osmosdest.operators.telemetry import Lineage, count_metrics, describe_outlets, request_timer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk.definitions.context import Context

    from airflow_provider_osmosdest.core.delivery.model import Delivery, PartOf, Result, TransportFactory
    from airflow_provider_osmosdest.core.records import Source

__all__ = ["DeliveringOperator", "PreparedDelivery"]


@dataclass(frozen=True, slots=True)
class PreparedDelivery:
    """
    A delivery that is ready to begin.

    :param delivery: the delivery's parameters
    :param transport: makes its transport
    :param destination: URL of where the records go, for lineage; without user and query
    :param conn_id: id of the connection, for metrics
    """

    delivery: Delivery[Any]
    transport: TransportFactory[Any]
    destination: str
    conn_id: str


class DeliveringOperator(BaseOperator):
    """
    Deliver records, report what became of each, and end as the report says.

    :param records: upstream XCom (a list of objects, or one), or the path or URL of a file of records, as text or
        as an ``ObjectStoragePath``
    :param records_format: of the file, where its name does not say it
    :param records_conn_id: id of the connection that opens the file's storage
    :param destination_schema: the schema of the records
    :param mapping: field name to source column
    :param deferrable: leave long waits to the triggerer
    """

    def __init__(
        self,
        *,
        records: Any = None,
        records_format: str | None = None,
        records_conn_id: str | None = None,
        destination_schema: Any = None,
        mapping: Mapping[str, str] | None = None,
        deferrable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.records = records
        self.records_format = records_format
        self.records_conn_id = records_conn_id
        self.destination_schema = destination_schema
        self.mapping = mapping
        self.deferrable = deferrable
        self._stop_signal = StopSignal()
        self._lineage: Lineage | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Deliver the records.

        :return: the report's numbers and paths, which become the task's XCom
        :raises AirflowFailException: where a retry cannot help: a wrong setting, token or schema
        :raises OsmosError: where it may
        """
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_provider_osmosdest.core.delivery.engine import deliver
        from airflow_provider_osmosdest.core.delivery.model import RunContext
        from airflow_provider_osmosdest.core.errors import ConfigurationError
        from airflow_provider_osmosdest.hooks.shared_rates import shared_limits
        from airflow_provider_osmosdest.operators.state_store import ledger_store

        ti = context["ti"]
        records = self._records(context)
        with self._stop_signal.watching_the_clock():
            try:
                prepared = self._prepare((ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index)))
                delivery = prepared.delivery
                source = self._open(records)
                part = self._part_of()
                tags = {"dag_id": ti.dag_id, "task_id": ti.task_id, "conn_id": prepared.conn_id}
                state = context.get("task_state_store")
                host = self._check_storage(delivery.folder, has_state=state is not None)
                run_context = RunContext(
                    ledger=ledger_store(state, delivery.folder),
                    stopping=self._why_stop,
                    deferrable=self.deferrable,
                    warn=self.log.warning,
                    timed=request_timer(tags),
                    # Clearing a task instance raises it, and a retry leaves it alone.
                    run_key=str(ti.max_tries) if part is None else part.delivery_id,
                    part=part,
                    in_task=True,
                    host=host,
                    limits=shared_limits(prepared.conn_id, delivery.options, tasks_at_once(context), self.log.warning),
                )
                result = deliver(delivery, source, prepared.transport, self.log.info, run_context)
            except ConfigurationError as error:
                raise AirflowFailException(f"{type(error).__name__}: {error}") from error
            count_metrics(result, tags)
            self._describe(context, records, prepared.destination, result.report.to_xcom())
            return self._finish(context, result)

    def on_kill(self) -> None:
        """End the delivery between two steps, with its ledger and report written."""
        self._stop_signal.request_stop("The task was told to stop")

    def resume(self, context: Context, event: Any = None) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Go on after a wait in the triggerer."""
        return self.execute(context)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - Airflow's signature
        """Return the lineage of the delivery, for Airflow's OpenLineage provider; ``None`` where there was none."""
        return None if self._lineage is None else self._lineage.to_openlineage()

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return the lineage of a delivery that failed: some of its records may have arrived."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _open(self, records: Any) -> Source:
        """
        Open the records to deliver.

        :raises ConfigurationError: when they are neither values nor a path
        """
        from airflow_provider_osmosdest.hooks.delivery import source_of

        return source_of(records, self.records_format, self.records_conn_id)

    def _part_of(self) -> PartOf | None:
        """Return the larger delivery that this one is a part of, ``None`` where it is whole."""
        return None

    def _why_stop(self) -> str | None:
        """Return why to stop and how to go on, ``None`` not to stop."""
        return self._stop_signal.why()

    @abstractmethod
    def _prepare(self, instance: tuple[str, ...]) -> PreparedDelivery:
        """
        Resolve connection and parameters.

        :param instance: dag, run, task and map index of the task instance
        :raises ConfigurationError: naming what cannot be used
        """

    def _check_storage(self, folder: Any, *, has_state: bool) -> str | None:
        """
        Return this machine's name where a retry on another would not find the delivery's folder, else ``None``.

        :param has_state: whether Airflow keeps a ledger elsewhere, which such a retry does find
        :raises ConfigurationError: when it does not
        """
        from airflow_provider_osmosdest.hooks.shared_storage import check_shared, one_machine_only

        if (why := one_machine_only(folder)) is None:
            return None
        if not has_state:
            again = "a retry on another would send everything again, as Airflow keeps no task state before 3.3"
            check_shared(folder, again)
        host = platform.node()
        self.log.warning(
            "[osmosdest] storage_path: %s. So report and failures file stay on %s, and the ledger is kept in Airflow's "
            "task state, which takes some 10 ms for each request to the API. Set [osmosdest] storage_path to a URL of "
            "object storage; or, where all machines have the same disk mounted there, shared_storage = True.",
            why,
            host,
        )
        return host

    def _describe(self, context: Context, records: Any, destination: str, xcom: dict[str, Any]) -> None:
        """Tell Airflow's lineage and the events of the outlets what was delivered."""
        path = str(records) if isinstance(records, str) or hasattr(records, "open") else None
        self._lineage = Lineage(path, destination, xcom)
        describe_outlets(context, self.outlets, xcom)

    def _records(self, context: Context) -> Any:  # noqa: ARG002 - for those that make records only now
        """Return the records to deliver, or where they are."""
        return self.records

    def _finish(self, context: Context, result: Result) -> dict[str, Any]:
        """Push the report, and let the task fail if the delivery did."""
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_provider_osmosdest.core.errors import MisconfiguredError, SystemicError, WaitError

        xcom = result.report.to_xcom()
        if result.error is None:
            return xcom
        if isinstance(result.error, WaitError):
            self._wait(result.error.seconds)
        context["ti"].xcom_push(key="return_value", value=xcom)
        if isinstance(result.error, (MisconfiguredError, SystemicError)) or not result.mendable:
            # Another attempt would get the same response, or have nothing to send.
            raise AirflowFailException(f"{type(result.error).__name__}: {result.error}") from None
        raise result.error

    def _wait(self, seconds: float) -> None:
        from datetime import timedelta

        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=seconds)), method_name="resume")
