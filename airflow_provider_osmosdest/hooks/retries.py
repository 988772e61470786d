"""Build from the report of a delivery the one that delivers its failures again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import ConfigurationError, OptionsError, SourceError
from airflow_provider_osmosdest.core.records.input import reason
from airflow_provider_osmosdest.hooks.delivery import TaskRequest, folder_at, make_delivery, source_of
from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook
from airflow_provider_osmosdest.hooks.provenance import HTTP_SOURCE, MAILBOX
from airflow_provider_osmosdest.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_osmosdest.core.delivery.model import Delivery, TransportFactory
    from airflow_provider_osmosdest.core.records import Source

__all__ = ["KeptReport", "Overrides", "PreparedRetry", "open_failures", "prepare_retry", "read_report"]


@dataclass(frozen=True, slots=True)
class KeptReport:
    """
    A report as it is kept, of this version or of one before.

    :param path: where it was read
    :param report_path: where its delivery wrote it
    :param delivery_id: of the delivery
    :param failures_path: its failures file, ``None`` where every record was delivered
    :param about: what the delivery was; empty in a report of version 0.1.0
    """

    path: str
    report_path: str
    delivery_id: str
    failures_path: str | None
    about: Mapping[str, Any]

    @property
    def of_task(self) -> bool:
        """Whether a task made the delivery, or may have, so that clearing the task goes on with it."""
        return self.about.get("dag_id", "") is not None

    @property
    def given(self) -> Mapping[str, Any]:
        """What the task or command set beyond its connection."""
        given: Mapping[str, Any] = self.about.get("given") or {}
        return given


@dataclass(frozen=True, slots=True)
class Overrides:
    """
    What a retry sets itself, in place of what the report says or does not keep; ``None`` where it sets nothing.

    :param auth_type: import path of the class that signs in
    :param options: write options
    """

    conn_id: str | None = None
    endpoint: str | None = None
    method: str | None = None
    headers: Mapping[str, str] | None = None
    auth_type: str | None = None
    destination_schema: Any = None
    mapping: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether something is set, by its name in ``withheld``."""
        return (getattr(self, name) if name in self.__slots__ else self.options.get(name)) is not None


@dataclass(frozen=True, slots=True)
class PreparedRetry:
    """
    A retry that is ready to begin.

    :param delivery: its parameters
    :param transport: makes its transport
    :param conn_id: id of its connection
    """

    delivery: Delivery[Any]
    transport: TransportFactory[Any]
    conn_id: str


def read_report(path: str) -> KeptReport:
    """
    Read the report of a delivery.

    :param path: of ``report.json``, opened as ``storage_path`` is
    :raises SourceError: when it cannot be read
    :raises ConfigurationError: when it is no report, or of a delivery whose failures cannot be delivered again
    """
    try:
        with folder_at(path).open("rb") as file:
            content = file.read()
    except Exception as error:  # a store's library may raise anything
        raise SourceError(f"{path}: the report cannot be read: {reason(error)}") from error
    try:
        report = json.loads(content)
    except ValueError:
        report = None
    if not isinstance(report, dict) or not isinstance(report.get("delivery_id"), str) or "failures_path" not in report:
        raise ConfigurationError(f"{path}: is no report of a delivery; expected its report.json")
    about = report.get("about") or {}
    if about.get("kind") == HTTP_SOURCE or "pages" in report:
        raise ConfigurationError(
            f"{path}: is the report of a pull, whose failures are records that the API gave and the schema does not "
            "take. Mend the schema, and clear the task"
        )
    if about.get("retry_of") is not None and report.get("unsent"):
        # Beside those there may be records that it has not read, and that stand in no file but the first one's.
        raise ConfigurationError(
            f"{path}: is the report of a retry that did not come to its end. Give that retry again, and it goes on "
            f"where it stood: airflow osmosdest retry {about['retry_of']}, with the options it had"
        )
    return KeptReport(path, report.get("report_path") or path, report["delivery_id"], report["failures_path"], about)


def open_failures(report: KeptReport) -> Source:
    """
    Open the failures file of a report: the one beside it, else where the report says.

    :raises SourceError: when it is not there
    """
    assert report.failures_path is not None
    conn_id = load_settings().storage_conn_id
    beside = f"{report.path.rpartition('/')[0] or '.'}/{report.failures_path.rpartition('/')[2]}"
    try:
        return source_of(beside, "ndjson", conn_id)
    except SourceError:
        return source_of(report.failures_path, "ndjson", conn_id)


def prepare_retry(report: KeptReport, overrides: Overrides, instance: tuple[str, ...]) -> PreparedRetry:
    """
    Resolve the connection as it is now, with what the first delivery was given beside it.

    What failed before is taken up again where the same retry is begun once more, and no failure is allowed.

    :param instance: the ids that its folder is made from
    :raises ConfigurationError: naming what is missing, or cannot be used
    """
    conn_id = overrides.conn_id or report.about.get("conn_id")
    if conn_id is None:
        raise ConfigurationError(
            f"{report.path}: was written by a version that did not keep how it delivered. Give the connection, and "
            "with it endpoint, schema, mapping and options, as they were"
        )
    given, schema = report.given, report.about.get("schema") or {}
    options = {
        **(given.get("options") or {}),
        "max_failures": 0,
        **{name: value for name, value in overrides.options.items() if value is not None},
    }
    document = overrides.destination_schema or schema.get("document")
    mapping = overrides.mapping or report.about.get("mapping")
    if report.about.get("kind") == MAILBOX:
        prepared = _publishing(report, overrides, instance, conn_id, document, mapping, options)
    else:
        request = TaskRequest(
            endpoint=overrides.endpoint or given.get("endpoint") or "",
            method=overrides.method or given.get("method"),
            headers=overrides.headers,
            destination_schema=document,
            mapping=mapping,
            auth_type=overrides.auth_type,
            options=options,
            retry_of=report.report_path,
        )
        auth_type = None if overrides.auth_type is None else _imported(overrides.auth_type)
        hook = HttpDestinationHook(http_conn_id=conn_id, auth_type=auth_type)
        prepared = PreparedRetry(make_delivery(instance, hook.connector(), request), hook.transport(), conn_id)
    # A failures file is none of the files that 'files' goes by.
    deduplicate = prepared.delivery.options.deduplicate
    changed = replace(
        prepared.delivery.options,
        retry_rejected=True,
        deduplicate="none" if deduplicate == "files" else deduplicate,
    )
    return replace(prepared, delivery=replace(prepared.delivery, options=changed))


def _publishing(  # noqa: PLR0917 - what a delivery is made of
    report: KeptReport,
    overrides: Overrides,
    instance: tuple[str, ...],
    conn_id: str,
    document: Any,
    mapping: Any,
    options: Mapping[str, Any],
) -> PreparedRetry:
    from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
    from airflow_provider_osmosdest.hooks.publishing import make_publishing, publishing_transport

    for name in ("endpoint", "method", "headers", "auth_type"):
        if overrides.has(name):
            raise OptionsError(f"{name}: these records are published to a mailbox, which has none; leave it out")
    mailbox = MailboxHook(conn_id).mailbox()
    delivery = make_publishing(
        instance,
        conn_id,
        mailbox,
        destination_schema=document,
        mapping=mapping,
        options=options,
        retry_of=report.report_path,
    )
    return PreparedRetry(delivery, publishing_transport(mailbox, "/".join(instance)), conn_id)


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionsError(f"auth_type: {path!r} cannot be imported: {error}") from error
