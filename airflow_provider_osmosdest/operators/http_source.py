"""The operator that pulls records from an HTTP API."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_osmosdest.operators.airflow_limits import XCOM_BYTES
from airflow_provider_osmosdest.operators.mapped_tasks import tasks_at_once
from airflow_provider_osmosdest.operators.stop_signal import StopSignal
from airflow_provider_osmosdest.operators.telemetry import Lineage, count_metrics, describe_outlets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk.definitions.context import Context

    from airflow_provider_osmosdest.core.delivery.model import RunContext
    from airflow_provider_osmosdest.core.source.pull_runner import PullOrder, PullResult

__all__ = ["OUTPUTS", "HttpSourceOperator"]

OUTPUTS = ("file", "xcom")
"""Where the records of a pull go."""


class HttpSourceOperator(BaseOperator):
    """
    Pull records from an HTTP API, page by page, and validate them.

    Each page is kept in object storage before the next is fetched, so that a killed or retried task goes on with the
    next page. All parameters are template fields but ``auth_type``. Retries, time-outs and the rate are the
    connection's, where the task does not set them.

    The report is pushed to XCom whether the task succeeds or fails.

    :param http_conn_id: id of a connection of type ``osmos_http``
    :param endpoint: path below the connection's base URL
    :param method: HTTP method; a ``POST`` must be one that only reads, as it is sent again when in doubt
    :param headers: beside the connection's, which they win over
    :param query: query parameters of the first request (``params`` are Airflow's own, in every operator)
    :param body: JSON body of each request
    :param paginator: how the next page is found: a name, or an object with ``type`` and options
    :param data_selector: JSONPath to the records in an answer; by default the whole answer
    :param array_as: ``records``: each element of the array there is a record; ``record``: the array is one record
    :param response_actions: what to do with certain responses: objects with ``status``, ``content`` and ``action``
    :param incremental: take only what is new since the last run: an object with ``cursor_path``, ``param`` and more
    :param destination_schema: what a record must be: a schema document, its JSON text, or the path of a JSON file;
        without any every JSON object is valid
    :param mapping: field name to the API's name, for fields that are called otherwise there
    :param deduplicate: ``none``, ``in_file`` or ``records``: what to leave out of the records
    :param record_key: the field, or fields, that identify a record for ``deduplicate``; by default all of it
    :param output_as: ``file``: the task returns the report, with the records' path; ``xcom``: it returns the records
    :param max_pages: pages at most; more are an error
    :param max_page_bytes: bytes of an answer at most, unpacked; more are an error
    :param max_failures: how many records may fail: a count, a share with a point (``0.02``), or ``"2%"``
    :param timeout: seconds to wait for an answer
    :param max_retries: of one page, after transient failures
    :param backoff: seconds of the first wait at most
    :param max_backoff: seconds of any wait at most
    :param requests_per_second: at most
    :param auth_type: a ``requests`` ``AuthBase`` class
    """

    template_fields: Sequence[str] = (
        "http_conn_id",
        "endpoint",
        "method",
        "headers",
        "query",
        "body",
        "paginator",
        "data_selector",
        "array_as",
        "response_actions",
        "incremental",
        "destination_schema",
        "mapping",
        "deduplicate",
        "record_key",
        "output_as",
        "max_pages",
        "max_page_bytes",
        "max_failures",
        "timeout",
        "max_retries",
        "backoff",
        "max_backoff",
        "requests_per_second",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "headers": "json",
        "query": "json",
        "body": "json",
        "paginator": "json",
        "response_actions": "json",
        "incremental": "json",
        "destination_schema": "json",
        "mapping": "json",
    }
    ui_color = "#e2f0d9"

    def __init__(
        self,
        *,
        http_conn_id: str = "osmos_http_default",
        endpoint: str = "",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        paginator: str | Mapping[str, Any] | None = None,
        data_selector: str | None = None,
        array_as: str = "records",
        response_actions: Sequence[Mapping[str, Any]] | None = None,
        incremental: Mapping[str, Any] | None = None,
        destination_schema: Any = None,
        mapping: Mapping[str, str] | None = None,
        deduplicate: str | None = None,
        record_key: str | Sequence[str] | None = None,
        output_as: str = "file",
        max_pages: int | str | None = None,
        max_page_bytes: int | str | None = None,
        max_failures: float | str | None = None,
        timeout: float | str | None = None,
        max_retries: int | str | None = None,
        backoff: float | str | None = None,
        max_backoff: float | str | None = None,
        requests_per_second: float | str | None = None,
        auth_type: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.http_conn_id = http_conn_id
        self.endpoint = endpoint
        self.method = method
        self.headers = headers
        self.query = query
        self.body = body
        self.paginator = paginator
        self.data_selector = data_selector
        self.array_as = array_as
        self.response_actions = response_actions
        self.incremental = incremental
        self.destination_schema = destination_schema
        self.mapping = mapping
        self.deduplicate = deduplicate
        self.record_key = record_key
        self.output_as = output_as
        self.max_pages = max_pages
        self.max_page_bytes = max_page_bytes
        self.max_failures = max_failures
        self.timeout = timeout
        self.max_retries = max_retries
        self.backoff = backoff
        self.max_backoff = max_backoff
        self.requests_per_second = requests_per_second
        self.auth_type = auth_type
        self._stop_signal = StopSignal()
        self._lineage: Lineage | None = None

    def execute(self, context: Context) -> Any:
        """
        Pull the records.

        :return: the report, or the records, which become the task's XCom
        :raises AirflowFailException: where a retry cannot help: a wrong setting, token or paginator
        :raises OsmosError: where it may
        """
        with self._stop_signal.watching_the_clock():
            order, result = self._pull(context)
            return self._finish(context, order, result)

    def on_kill(self) -> None:
        """End the pull between two steps: a retry goes on with the page it stood at."""
        self._stop_signal.request_stop("The task was told to stop")

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - Airflow's signature
        """Return the lineage of the pull, for Airflow's OpenLineage provider; ``None`` where there was none."""
        return None if self._lineage is None else self._lineage.to_openlineage()

    def _pull(self, context: Context) -> tuple[PullOrder, PullResult]:
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_provider_osmosdest.core.delivery.model import RunContext
        from airflow_provider_osmosdest.core.errors import ConfigurationError
        from airflow_provider_osmosdest.core.source.pull_runner import run_pull
        from airflow_provider_osmosdest.hooks.delivery import delivery_folder
        from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook
        from airflow_provider_osmosdest.operators.state_store import ledger_store
        from airflow_provider_osmosdest.operators.watermarks import with_watermark

        ti = context["ti"]
        instance = (ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index))
        try:
            hook = HttpDestinationHook(http_conn_id=self.http_conn_id, auth_type=self.auth_type)
            run_context = RunContext(
                ledger=ledger_store(context.get("task_state_store"), delivery_folder(instance)),
                stopping=self._stop_signal.why,
                warn=self.log.warning,
                # Clearing a task instance raises it, and a retry leaves it alone.
                run_key=str(ti.max_tries),
                in_task=True,
            )
            order = self._order(instance, hook, run_context, tasks_at_once(context))
            order = with_watermark(order, context, instance, (*self.inlets, *self.outlets))
            if self.output_as == "xcom":
                order = replace(order, most_bytes=XCOM_BYTES)
            result = run_pull(order, self.log.info, run_context)
        except ConfigurationError as error:
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error
        count_metrics(result.ended, {"dag_id": ti.dag_id, "task_id": ti.task_id, "conn_id": self.http_conn_id})
        return order, result

    def _order(self, instance: tuple[str, ...], hook: Any, run_context: RunContext, share: int) -> PullOrder:
        from airflow_provider_osmosdest.core.errors import OptionsError
        from airflow_provider_osmosdest.hooks.shared_storage import check_shared
        from airflow_provider_osmosdest.hooks.source import PULL_OPTIONS, SourceRequest, make_pull

        if self.output_as not in OUTPUTS:
            raise OptionsError(f"output_as: found {self.output_as!r}, expected one of {', '.join(OUTPUTS)}")
        request = SourceRequest(
            endpoint=self.endpoint,
            method=self.method,
            headers=self.headers,
            query=self.query,
            body=self.body,
            paginator=self.paginator,
            data_selector=self.data_selector,
            array_as=self.array_as,
            response_actions=self.response_actions,
            incremental=self.incremental,
            destination_schema=self.destination_schema,
            mapping=self.mapping,
            max_pages=self.max_pages,
            max_page_bytes=self.max_page_bytes,
            options={name: getattr(self, name) for name in (*PULL_OPTIONS, "deduplicate", "record_key")},
        )
        order = make_pull(instance, hook, request, run_context, share)
        if self.output_as == "file":
            nowhere = "the task that takes the records would not find them (few of them may go by output_as='xcom')"
            check_shared(order.folder, nowhere)
        return order

    def _finish(self, context: Context, order: PullOrder, result: PullResult) -> Any:
        """Push the report, and let the task fail if the pull did."""
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_provider_osmosdest.core.errors import PagingError
        from airflow_provider_osmosdest.core.source.pull_runner import read_records

        ti = context["ti"]
        xcom = result.report.to_xcom()
        describe_outlets(context, self.outlets, xcom)
        if result.error is not None:
            ti.xcom_push(key="return_value", value=xcom)
            if isinstance(result.error, PagingError) or not result.ended.mendable:
                # Another attempt would get the same response, or the same records.
                raise AirflowFailException(f"{type(result.error).__name__}: {result.error}") from None
            raise result.error
        self._lineage = Lineage(order.spec.target.public_url, xcom["records_path"], xcom)
        # For task.output["records_path"], in a task downstream.
        ti.xcom_push(key="records_path", value=xcom["records_path"])
        if self.output_as == "file":
            return xcom
        ti.xcom_push(key="report", value=xcom)
        return read_records(order)
