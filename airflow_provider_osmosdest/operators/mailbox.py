"""The operators on Airflow's side of a mailbox: publish records to it, and land what is new in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import BaseOperator

from airflow_provider_osmosdest.operators.base import DeliveringOperator, PreparedDelivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk.definitions.context import Context

    from airflow_provider_osmosdest.operators.mailbox_landing import Landed, Landing

__all__ = ["MailboxPublishOperator", "MailboxReadOperator"]


class MailboxPublishOperator(DeliveringOperator):
    """
    Validate records and publish them to a mailbox, from which partners fetch them.

    Each batch goes into the mailbox's log whole, and once, whichever attempt published it. Report,
    failures file, ledger and XCom are those of
    :class:`~airflow_provider_osmosdest.operators.http_destination.HttpDestinationOperator`. All parameters are
    template fields.

    :param mailbox_conn_id: id of a connection of type ``osmos_mailbox``
    :param records: upstream XCom (a list of objects, or one), or the path or URL of a file of records, as text or
        as an ``ObjectStoragePath``
    :param records_format: ``ndjson``, ``json``, ``csv``, ``tsv``, ``parquet`` or ``xlsx``, where the file's name
        does not say it
    :param records_conn_id: id of the connection that opens the file's storage
    :param destination_schema: what a record must be: a schema document, its JSON text, or the path of a JSON file;
        by default the mailbox's, and without any every JSON object is valid
    :param mapping: field name to source column, for fields that are called otherwise in the source
    :param batch_size: records of a batch at most, 1 to 250,000
    :param max_failures: how many records may fail: a count, a share with a point (``0.02``), or ``"2%"``
    :param max_retries: how often to publish a batch again where the store cannot be written
    :param deduplicate: what not to publish again: ``none``; ``in_file``: a record that came before in the same source;
        ``records``: that, and what an earlier run published; ``files``: a file whose content an earlier run has taken
    :param record_key: fields that identify a record, instead of its whole content: then one that was edited is
        no new one
    """

    template_fields: Sequence[str] = (
        "mailbox_conn_id",
        "records",
        "records_format",
        "records_conn_id",
        "destination_schema",
        "mapping",
        "batch_size",
        "max_failures",
        "max_retries",
        "deduplicate",
        "record_key",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"destination_schema": "json", "mapping": "json"}
    ui_color = "#e3ecd9"

    def __init__(
        self,
        *,
        mailbox_conn_id: str = "osmos_mailbox_default",
        records: Any = None,
        records_format: str | None = None,
        records_conn_id: str | None = None,
        destination_schema: Any = None,
        mapping: Mapping[str, str] | None = None,
        batch_size: int | str | None = None,
        max_failures: float | str | None = None,
        max_retries: int | str | None = None,
        deduplicate: str | None = None,
        record_key: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            records=records,
            records_format=records_format,
            records_conn_id=records_conn_id,
            destination_schema=destination_schema,
            mapping=mapping,
            **kwargs,
        )
        self.mailbox_conn_id = mailbox_conn_id
        self.batch_size = batch_size
        self.max_failures = max_failures
        self.max_retries = max_retries
        self.deduplicate = deduplicate
        self.record_key = record_key

    def _prepare(self, instance: tuple[str, ...]) -> PreparedDelivery:
        from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
        from airflow_provider_osmosdest.hooks.publishing import make_publishing, publishing_transport

        mailbox = MailboxHook(self.mailbox_conn_id).mailbox()
        delivery = make_publishing(
            instance,
            self.mailbox_conn_id,
            mailbox,
            destination_schema=self.destination_schema,
            mapping=self.mapping,
            options={
                "batch_size": self.batch_size,
                "max_failures": self.max_failures,
                "max_retries": self.max_retries,
                "deduplicate": self.deduplicate,
                "record_key": self.record_key,
            },
        )
        transport = publishing_transport(mailbox, "/".join(instance))
        return PreparedDelivery(delivery, transport, delivery.target.public_url, self.mailbox_conn_id)


class MailboxReadOperator(BaseOperator):
    """
    Land what is new in a mailbox for a consumer, and commit it last.

    At least once: a task that is killed between the two lands the same records again, over its own file. A task that
    is cleared lands those again that it landed before.

    :param mailbox_conn_id: id of a connection of type ``osmos_mailbox``
    :param consumer: name under which the mailbox keeps how far this consumer has read
    :param output: ``file``: the records go into a file of NDJSON, and its ``path`` into XCom, with ``mailbox``,
        ``consumer``, ``records``, ``bytes``, ``cursor`` and ``next_cursor``, each also under its own key; ``xcom``:
        the records themselves go into XCom, which must be less than 1 MiB
    :param max_records: records to land at most; what is left is new the next time. ``None`` for all there are
    :param skip_when_empty: skip the task where nothing is new, and with it what depends on it; else the file, or the
        list, is empty
    """

    template_fields: Sequence[str] = ("mailbox_conn_id", "consumer", "max_records")
    ui_color = "#e3ecd9"

    def __init__(
        self,
        *,
        mailbox_conn_id: str = "osmos_mailbox_default",
        consumer: str,
        output: Literal["file", "xcom"] = "file",
        max_records: int | str | None = None,
        skip_when_empty: bool = False,
        **kwargs: Any,
    ) -> None:
        if output not in ("file", "xcom"):
            msg = f"output: found {output!r}, expected 'file' or 'xcom'"
            raise ValueError(msg)
        # So that read.output["path"] is the path.
        super().__init__(**{"multiple_outputs": output == "file", **kwargs})
        self.mailbox_conn_id = mailbox_conn_id
        self.consumer = consumer
        self.output_to = output
        self.max_records = max_records
        self.skip_when_empty = skip_when_empty

    def execute(self, context: Context) -> Any:
        """
        Land what is new.

        :return: where the records are, or the records
        :raises AirflowSkipException: where nothing is new and ``skip_when_empty`` is set
        :raises AirflowFailException: where a retry cannot help: a wrong setting, or records that are purged
        :raises OsmosError: where it may
        """
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_provider_osmosdest.core.errors import ConfigurationError, CursorError

        try:
            return self._land(self._landing(context))
        except (ConfigurationError, CursorError) as error:
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error

    def _landing(self, context: Context) -> Landing:
        from airflow_provider_osmosdest.hooks.delivery import landing_folder
        from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
        from airflow_provider_osmosdest.hooks.shared_storage import check_shared
        from airflow_provider_osmosdest.operators.mailbox_landing import Landing

        ti = context["ti"]
        folder = landing_folder((ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index)))
        # Also for XCom: the note of what was committed is there, without which a retry would take it for read.
        again = "neither the task that takes the records nor a retry of this one would find them there"
        check_shared(folder, again)
        return Landing(MailboxHook(self.mailbox_conn_id).mailbox(), self.consumer, folder)

    def _land(self, landing: Landing) -> Any:
        from airflow_provider_osmosdest.core.whole_numbers import whole_number

        limit = None if self.max_records in (None, "") else whole_number("max_records", self.max_records)
        earlier = landing.earlier()
        if earlier is not None:
            self.log.info("An earlier attempt has committed %s. Landing them again.", _described(earlier))
        values: list[Any] = []
        if self.output_to == "xcom":
            landed, values = landing.to_values(limit, earlier)
        else:
            landed = landing.to_file(limit, earlier)
        if not landed.records and self.skip_when_empty:
            from airflow.providers.common.compat.sdk import AirflowSkipException

            raise AirflowSkipException(f"Nothing is new in mailbox {landed.mailbox} for consumer {landed.consumer!r}.")
        where = "XCom" if self.output_to == "xcom" else landing.path
        self.log.info("Landed %s in %s.", _described(landed), where)
        if earlier is None and landed.records and not landing.commit(landed):
            self.log.warning(
                "Consumer %r was moved while this task read, by a commit or a seek, and stays where it is now: these "
                "records may be landed twice. Let one run at a time read for a consumer (max_active_runs=1).",
                landed.consumer,
            )
        return values if self.output_to == "xcom" else _result(landed, landing.path)


def _described(landed: Landed) -> str:
    noun = "record" if landed.records == 1 else "records"
    return f"{landed.records:,} {noun} of mailbox {landed.mailbox} for consumer {landed.consumer!r}"


def _result(landed: Landed, path: str) -> dict[str, Any]:
    return {
        "mailbox": landed.mailbox,
        "consumer": landed.consumer,
        "path": path,
        "records": landed.records,
        "bytes": landed.bytes,
        "cursor": landed.cursor,
        "next_cursor": landed.next_cursor,
    }
