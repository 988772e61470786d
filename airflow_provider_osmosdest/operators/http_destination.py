"""The operator that delivers records to an HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.operators.base import DeliveringOperator, PreparedDelivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["HttpDestinationOperator"]


class HttpDestinationOperator(DeliveringOperator):
    """
    Validate records and send them to an HTTP API, in batches or one by one.

    Every write option that is left out is the connection's, and where that sets none, the default: see
    :class:`~airflow_provider_osmosdest.core.delivery.options.DeliveryOptions` for their meaning. All
    parameters are template fields.

    The report is pushed to XCom whether the task succeeds or fails; it fails when more records than
    ``max_failures`` were not delivered.

    :param http_conn_id: id of a connection of type ``osmos_http``
    :param records: upstream XCom (a list of objects, or one), or the path or URL of a file of records, as text or
        as an ``ObjectStoragePath``
    :param records_format: ``ndjson``, ``json``, ``csv``, ``tsv``, ``parquet`` or ``xlsx``, where the file's name
        does not say it; ``sheet`` for a list of rows of cells, such as ``GSheetsHook.get_values`` returns
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
    :param already_exists_when: JMESPath over ``{status, body}`` that is true where the API has the record already
    :param on_no_answer: ``stop`` or ``split``
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
    :param remember_failures: what an earlier delivery has reported as ``invalid`` or ``rejected``, and is so again,
        does not count for ``max_failures``
    :param retry_rejected: a further attempt takes up ``rejected`` and ``invalid`` records too
    :param requests_per_second: at most
    :param records_per_second: at most
    :param circuit_after: transient failures in a row after which single requests probe whether the API works
    :param defer_after: seconds of waiting from which a deferrable task gives its worker slot back
    :param deduplicate: what not to send again: ``none``; ``in_file``: a record that came before in the same source;
        ``records``: that, and what an earlier run delivered; ``files``: a file whose content an earlier run has taken
    :param record_key: fields that identify a record, instead of its whole content: then one that was edited is
        no new one
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
        already_exists_when: str | None = None,
        on_no_answer: str | None = None,
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
        remember_failures: bool | str | None = None,
        requests_per_second: float | str | None = None,
        records_per_second: float | str | None = None,
        circuit_after: int | str | None = None,
        defer_after: float | str | None = None,
        deduplicate: str | None = None,
        record_key: str | Sequence[str] | None = None,
        auth_type: Any = None,
        deferrable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            records=records,
            records_format=records_format,
            records_conn_id=records_conn_id,
            destination_schema=destination_schema,
            mapping=mapping,
            deferrable=deferrable,
            **kwargs,
        )
        self.http_conn_id = http_conn_id
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
        self.already_exists_when = already_exists_when
        self.on_no_answer = on_no_answer
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
        self.remember_failures = remember_failures
        self.requests_per_second = requests_per_second
        self.records_per_second = records_per_second
        self.circuit_after = circuit_after
        self.defer_after = defer_after
        self.deduplicate = deduplicate
        self.record_key = record_key
        self.auth_type = auth_type

    def _sees_all(self, instance: tuple[str, ...]) -> bool:
        """Whether no other instance of the task sends to the same API at the same time."""
        return instance[3] == "-1" or self.max_active_tis_per_dagrun == 1

    def _prepare(self, instance: tuple[str, ...]) -> PreparedDelivery:
        from airflow_provider_osmosdest.hooks.delivery import TaskRequest, make_delivery
        from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook

        hook = HttpDestinationHook(http_conn_id=self.http_conn_id, auth_type=self.auth_type)
        request = TaskRequest(
            endpoint=self.endpoint,
            method=self.method,
            headers=self.headers,
            destination_schema=self.destination_schema,
            mapping=self.mapping,
            auth_type=None if self.auth_type is None else _import_path(self.auth_type),
            options={name: getattr(self, name) for name in DeliveryOptions.names()},
        )
        delivery = make_delivery(instance, hook.connector(), request)
        if delivery.options.deduplicate == "records" and not self._sees_all(instance):
            raise OptionsError(
                "deduplicate: found 'records' in a mapped task, whose instances run at the same time and do not see "
                "what the others send, so that a record of two of them goes out twice. Use deliver_in_parts, which "
                "shares the records out by their keys; or let the instances run one after another, with "
                "max_active_tis_per_dagrun=1."
            )
        return PreparedDelivery(delivery, hook.transport(), delivery.target.public_url, self.http_conn_id)


def _import_path(kind: Any) -> str:
    """Return where a class is imported from, for the report: what it is made of may be secret."""
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', type(kind).__qualname__)}"
