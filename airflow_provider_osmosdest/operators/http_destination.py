"""The operator that delivers records to an HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.operators.interruption import Interruption
from airflow_provider_osmosdest.operators.observing import Lineage, count_metrics, describe_outlets, request_timer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk.definitions.context import Context

    from airflow_provider_osmosdest.core.delivery.engine import Result

__all__ = ["HttpDestinationOperator"]


class HttpDestinationOperator(BaseOperator):
    """
    Validate records and send them to an HTTP API, in batches or one by one.

    Every write option that is left out is the connection's, and where that says nothing, the design's default: see
    :class:`~airflow_provider_osmosdest.core.delivery.options.DeliveryOptions` for what each means. All parameters
    are template fields.

    The report is pushed to XCom whether the task succeeds or fails; it fails when more records than
    ``max_failures`` were not delivered.

    :param http_conn_id: id of a connection of type ``osmos_http``
    :param records: upstream XCom (a list of objects, or one), or the path or URL of a file of records, as text or
        as an ``ObjectStoragePath``
    :param records_format: ``ndjson``, ``json``, ``csv``, ``tsv``, ``parquet`` or ``xlsx``, where the file's name
        does not say it
    :param records_conn_id: id of the connection that opens the file's storage
    :param destination_schema: what a record must be: a schema document, its JSON text, or the path of a JSON file;
        by default the connection's, and without any every JSON object is valid
    :param mapping: field name to source column, for fields that are called otherwise in the source
    :param endpoint: path below the connection's base URL; in ``record`` mode it may name fields,
        ``/customers/{customer_id}``
    :param method: HTTP method, instead of the connection's
    :param headers: beside the connection's, which they win over
    :param write_mode: ``batch`` or ``record``
    :param batch_size: records of a batch at most, 1 to 250,000
    :param max_batch_bytes: bytes of a body at most, before compression
    :param batch_format: ``json`` or ``ndjson``
    :param envelope: a name, or an object with ``"$records"`` as a value
    :param on_batch_failure: ``split`` or ``fail``
    :param compression: ``none``, ``gzip`` or ``zstd``
    :param item_errors: JMESPath that lists the items an answer refuses
    :param success_when: JMESPath that is true for a success
    :param concurrency: requests in flight in ``record`` mode: a number, or ``auto``
    :param max_failures: how many records may fail: a count, a share with a point (``0.02``), or ``"2%"``
    :param timeout: seconds to wait for an answer once the body is sent
    :param max_retries: of one chunk, after transient failures
    :param backoff: seconds of the first wait at most
    :param max_backoff: seconds of any wait at most
    :param systemic_after: refused single records after which to stop where none was accepted
    :param max_split_requests: requests that splitting one batch may take
    :param guarantee: ``at_least_once`` or ``at_most_once``
    :param idempotency_header: name of the header with a chunk's idempotency key, ``"none"`` for none
    :param retry_rejected: a further attempt takes up ``rejected`` and ``invalid`` records too
    :param requests_per_second: at most
    :param records_per_second: at most
    :param circuit_after: transient failures in a row after which single requests ask whether the API is well
    :param defer_after: seconds of waiting from which a deferrable task gives its worker slot back
    :param auth_type: a ``requests`` ``AuthBase`` class; sends through ``requests``, which is slower
    :param deferrable: leave waits longer than ``defer_after`` to the triggerer
    """

    template_fields: Sequence[str] = (
        "http_conn_id",
        "records",
        "records_format",
        "records_conn_id",
        "destination_schema",
        "mapping",
        "endpoint",
        "method",
        "headers",
        *DeliveryOptions.names(),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "destination_schema": "json",
        "mapping": "json",
        "headers": "json",
        "envelope": "json",
    }
    ui_color = "#d9ecf2"

    def __init__(
        self,
        *,
        http_conn_id: str = "osmos_http_default",
        records: Any = None,
        records_format: str | None = None,
        records_conn_id: str | None = None,
        destination_schema: Any = None,
        mapping: Mapping[str, str] | None = None,
        endpoint: str = "",
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        write_mode: str | None = None,
        batch_size: int | str | None = None,
        max_batch_bytes: int | str | None = None,
        batch_format: str | None = None,
        envelope: str | Mapping[str, Any] | None = None,
        on_batch_failure: str | None = None,
        compression: str | None = None,
        item_errors: str | None = None,
        success_when: str | None = None,
        concurrency: int | str | None = None,
        max_failures: float | str | None = None,
        timeout: float | str | None = None,
        max_retries: int | str | None = None,
        backoff: float | str | None = None,
        max_backoff: float | str | None = None,
        systemic_after: int | str | None = None,
        max_split_requests: int | str | None = None,
        guarantee: str | None = None,
        idempotency_header: str | None = None,
        retry_rejected: bool | str | None = None,
        requests_per_second: float | str | None = None,
        records_per_second: float | str | None = None,
        circuit_after: int | str | None = None,
        defer_after: float | str | None = None,
        auth_type: Any = None,
        deferrable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.http_conn_id = http_conn_id
        self.records = records
        self.records_format = records_format
        self.records_conn_id = records_conn_id
        self.destination_schema = destination_schema
        self.mapping = mapping
        self.endpoint = endpoint
        self.method = method
        self.headers = headers
        self.write_mode = write_mode
        self.batch_size = batch_size
        self.max_batch_bytes = max_batch_bytes
        self.batch_format = batch_format
        self.envelope = envelope
        self.on_batch_failure = on_batch_failure
        self.compression = compression
        self.item_errors = item_errors
        self.success_when = success_when
        self.concurrency = concurrency
        self.max_failures = max_failures
        self.timeout = timeout
        self.max_retries = max_retries
        self.backoff = backoff
        self.max_backoff = max_backoff
        self.systemic_after = systemic_after
        self.max_split_requests = max_split_requests
        self.guarantee = guarantee
        self.idempotency_header = idempotency_header
        self.retry_rejected = retry_rejected
        self.requests_per_second = requests_per_second
        self.records_per_second = records_per_second
        self.circuit_after = circuit_after
        self.defer_after = defer_after
        self.auth_type = auth_type
        self.deferrable = deferrable
        self._interruption = Interruption()
        self._lineage: Lineage | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Deliver.

        :return: the report's numbers and paths, which become the task's XCom
        :raises AirflowFailException: where trying again cannot help: a wrong setting, token or schema
        :raises OsmosError: where it may
        """
        return self._carry_out(context, self.records)

    def on_kill(self) -> None:
        """End the delivery between two steps: with its ledger written, and a report that is true."""
        self._interruption.ask("The task was told to stop")

    def resume(self, context: Context, event: Any = None) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Go on after a wait that the triggerer kept."""
        return self.execute(context)

    def _carry_out(self, context: Context, records: Any) -> dict[str, Any]:
        with self._interruption.watching_the_clock():
            return self._finish(context, self._deliver(context, records))

    def _deliver(self, context: Context, records: Any) -> Result:
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_provider_osmosdest.core.delivery.engine import Surroundings, deliver
        from airflow_provider_osmosdest.core.errors import ConfigurationError
        from airflow_provider_osmosdest.hooks.delivery import TaskRequest, make_delivery, source_of
        from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook
        from airflow_provider_osmosdest.operators.ledger_store import ledger_store

        ti = context["ti"]
        try:
            hook = HttpDestinationHook(http_conn_id=self.http_conn_id, auth_type=self.auth_type)
            request = TaskRequest(
                endpoint=self.endpoint,
                method=self.method,
                headers=self.headers,
                destination_schema=self.destination_schema,
                mapping=self.mapping,
                options={name: getattr(self, name) for name in DeliveryOptions.names()},
            )
            instance = (ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index))
            delivery = make_delivery(instance, hook.connector(), request)
            source = source_of(records, self.records_format, self.records_conn_id)
            tags = {"dag_id": ti.dag_id, "task_id": ti.task_id, "conn_id": self.http_conn_id}
            surroundings = Surroundings(
                ledger=ledger_store(context, delivery.folder),
                stopping=lambda: self._interruption.reason,
                deferrable=self.deferrable,
                warn=self.log.warning,
                timed=request_timer(tags),
                # Clearing a task instance raises it, and a retry leaves it alone.
                occasion=str(ti.max_tries),
            )
            result = deliver(delivery, source, hook.transport(), self.log.info, surroundings)
        except ConfigurationError as error:
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error
        count_metrics(result, tags)
        path = str(records) if isinstance(records, str) or hasattr(records, "open") else None
        self._lineage = Lineage(path, delivery.target.public_url, result.report.to_xcom())
        describe_outlets(context, self.outlets, self._lineage.xcom)
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - Airflow's signature
        """Return the lineage of the delivery, for Airflow's OpenLineage provider; ``None`` where there was none."""
        return None if self._lineage is None else self._lineage.to_openlineage()

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return the lineage of a delivery that failed: some of its records may have arrived."""
        return self.get_openlineage_facets_on_complete(task_instance)

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
            # Another attempt would meet the same answer, or have nothing to send.
            raise AirflowFailException(f"{type(result.error).__name__}: {result.error}") from None
        raise result.error

    def _wait(self, seconds: float) -> None:
        from datetime import timedelta

        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=seconds)), method_name="resume")
