"""Build a delivery from a connector and the parameters of a task."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from airflow_provider_osmosdest.core.delivery.envelope import PLACEHOLDER
from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import ConfigurationError, SchemaError, StorageError
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.seen.paths import scope_of_endpoint
from airflow_provider_osmosdest.core.storage import PrivatePath, private
from airflow_provider_osmosdest.hooks.connections.http_fields import headers_of, secrets_of
from airflow_provider_osmosdest.hooks.connections.masking import mask_secrets, secret_texts
from airflow_provider_osmosdest.hooks.provenance import HTTP_DESTINATION, Given, about_delivery
from airflow_provider_osmosdest.hooks.shared_storage import check_shared
from airflow_provider_osmosdest.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import ObjectStoragePath

    from airflow_provider_osmosdest.core.http.target import Target
    from airflow_provider_osmosdest.core.records import Source
    from airflow_provider_osmosdest.hooks.connections.connector import Connector

__all__ = [
    "TaskRequest",
    "check_seen",
    "delivery_folder",
    "folder_at",
    "landing_folder",
    "load_schema",
    "make_delivery",
    "mapping_of",
    "path_of",
    "seen_folder",
    "seen_folders",
    "source_of",
    "watermark_folder",
]


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """
    The parameters of one task beyond its connection; they are the operator's.

    :param auth_type: import path of the class that signs in, for the report
    :param options: write options, ``None`` where the task leaves them to the connection
    :param retry_of: path of the report whose failures are delivered again
    """

    endpoint: str = ""
    method: str | None = None
    headers: Mapping[str, str] | None = None
    destination_schema: Any = None
    mapping: Mapping[str, str] | None = None
    auth_type: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    retry_of: str | None = None


def make_delivery(instance: tuple[str, ...], connector: Connector, request: TaskRequest) -> Delivery[Target]:
    """
    Build a delivery.

    :param instance: the ids that its folder is made from
    :raises ConfigurationError: naming what cannot be used
    """
    options = DeliveryOptions.layered([request.options, connector.options])
    headers = headers_of(request.headers)
    target = connector.at(request.endpoint, method=request.method, headers=headers, timeout=options.timeout)
    target = replace(target, secrets=target.secrets + _secrets_of_envelope(options.envelope))
    mask_secrets(target.secrets)
    schema_document = request.destination_schema or connector.destination_schema
    schema = load_schema(schema_document) if schema_document else DestinationSchema.any_object()
    mapping = mapping_of(request.mapping)
    seen = seen_folder(connector.conn_id, request.endpoint)
    check_seen(options, seen)
    return Delivery(
        target=target,
        options=options,
        schema=schema,
        folder=delivery_folder(instance),
        mapping=mapping,
        name=f"connection {connector.conn_id!r}",
        seen=seen,
        about=about_delivery(
            HTTP_DESTINATION,
            instance,
            connector.conn_id,
            method=target.method,
            url=target.public_url,
            schema=schema,
            mapping=mapping,
            options=options,
            given=Given(
                endpoint=request.endpoint,
                method=request.method,
                headers=headers,
                auth_type=request.auth_type,
                has_schema=bool(request.destination_schema),
                options=request.options,
            ),
            redact=target.redact,
            retry_of=request.retry_of,
        ),
    )


def load_schema(value: Any) -> DestinationSchema:
    """
    Load a schema from a document, its JSON text, or the path of a JSON file.

    :raises SchemaError: naming the field or the file
    """
    if not isinstance(value, str) or value.lstrip().startswith(("{", "[")):
        return DestinationSchema.load(value)
    from airflow.sdk import ObjectStoragePath

    try:
        text = ObjectStoragePath(value).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        msg = f"destination_schema: {value!r} is neither JSON nor a file that can be read: {error}"
        raise SchemaError(msg) from error
    return DestinationSchema.load(text)


def source_of(records: Any, records_format: str | None, conn_id: str | None = None) -> Source:
    """
    Open the records that a task was given.

    :param records: Python values, or a path as text or as an object
    :raises ConfigurationError: when it is neither
    """
    return open_source(path_of(records, conn_id), records_format=records_format or None)


def path_of(records: Any, conn_id: str | None = None) -> Any:
    """
    Return the path object of records that a task was given as a path; other values as they are.

    :param records: Python values, or a path as text or as an object
    :raises ConfigurationError: when it is text that is no path
    """
    if records is None or (isinstance(records, str) and not records.strip()):
        # An empty path would be the worker's own folder.
        msg = f"records: found {records!r}; pass upstream XCom (task.output) or the path of a file"
        raise ConfigurationError(msg)
    if isinstance(records, str):
        if records.lstrip()[:1] in ("[", "{", "<") or "\n" in records:
            msg = (
                f"records: found text that is no path: {records[:60]!r}. Pass upstream XCom as task.output, or set "
                "render_template_as_native_obj=True on the DAG, so that a template gives records and not their text"
            )
            raise ConfigurationError(msg)
        from airflow.sdk import ObjectStoragePath

        return ObjectStoragePath(records, conn_id=conn_id)
    return records


def delivery_folder(instance: tuple[str, ...]) -> ObjectStoragePath | PrivatePath:
    """Return the folder of a delivery: ``{storage_path}/deliveries/{dag_id}/{run_id}/{task_id}/{map_index}``."""
    return _task_folder("deliveries", instance)


def folder_at(path: str) -> ObjectStoragePath | PrivatePath:
    """Return the folder of a delivery that was begun by hand, opened as ``storage_path`` is."""
    from airflow.sdk import ObjectStoragePath

    settings = load_settings()
    folder: ObjectStoragePath | PrivatePath = private(
        ObjectStoragePath(path.rstrip("/"), conn_id=settings.storage_conn_id), settings.group_access
    )
    return folder


def landing_folder(instance: tuple[str, ...]) -> ObjectStoragePath | PrivatePath:
    """Return a task's folder of landed records: ``{storage_path}/landed/{dag_id}/{run_id}/{task_id}/{map_index}``."""
    return _task_folder("landed", instance)


def seen_folder(conn_id: str, endpoint: str = "") -> ObjectStoragePath | PrivatePath:
    """Return the folder of what a connection's endpoint has taken: ``{storage_path}/seen/{conn_id}/{endpoint}``."""
    return _task_folder("seen", (conn_id, scope_of_endpoint(endpoint)))


def _secrets_of_envelope(envelope: Any) -> tuple[str, ...]:
    """Return the texts of an envelope that are secret by their names: some APIs take their key in the body."""
    if isinstance(envelope, str):
        with suppress(ValueError):
            envelope = json.loads(envelope)
    texts = [text for text in secret_texts(envelope) if text != PLACEHOLDER]
    return secrets_of("", {str(number): text for number, text in enumerate(texts)}, None, None)


def check_seen(options: DeliveryOptions, seen: ObjectStoragePath | PrivatePath) -> None:
    """
    Make sure that what a delivery or pull has to find again is found from each machine that a task may run on.

    :param options: of the delivery or pull
    :param seen: its :func:`seen_folder`
    :raises ConfigurationError: when it is not
    """
    if options.remember_failures:
        check_shared(seen, "remember_failures would find nothing of what a task on another machine has reported")
    if options.deduplicate in ("records", "files"):
        again = (
            f"deduplicate={options.deduplicate!r} would find nothing of what a task on another machine has delivered"
        )
        check_shared(seen, again)


def seen_folders(conn_id: str) -> dict[str, ObjectStoragePath | PrivatePath]:
    """
    Return the folders of :func:`seen_folder` that a connection has, by endpoint.

    :raises StorageError: when they cannot be listed
    """
    connection = _task_folder("seen", (conn_id,))
    try:
        found = {unquote(folder.name): folder for folder in connection.iterdir() if folder.name.startswith("%2F")}
    except FileNotFoundError:
        return {}
    except OSError as error:
        msg = f"{connection} cannot be listed: {error}"
        raise StorageError(msg) from error
    return dict(sorted(found.items()))


def watermark_folder(instance: tuple[str, ...]) -> ObjectStoragePath | PrivatePath:
    """Return a task's folder for all its runs: ``{storage_path}/sources/{dag_id}/{task_id}/{map_index}``."""
    dag_id, _, task_id, map_index = instance
    return _task_folder("sources", (dag_id, task_id, map_index))


def _task_folder(kind: str, instance: tuple[str, ...]) -> ObjectStoragePath | PrivatePath:
    from airflow.sdk import ObjectStoragePath

    settings = load_settings()
    root = ObjectStoragePath(settings.storage_path, conn_id=settings.storage_conn_id)
    folder: ObjectStoragePath | PrivatePath = private(root, settings.group_access) / kind
    for name in instance:
        folder /= _path_part(name)
    return folder


def _path_part(name: str) -> str:
    """Make one path part of an id: readable, and never a way out of the folder."""
    part = quote(name, safe=":+=@,")
    return part.replace(".", "%2E") if re.fullmatch(r"\.+", part) else part


def mapping_of(value: Any) -> dict[str, str] | None:
    """
    Return the mapping of field names to source columns, ``None`` for none.

    :param value: an object, or its JSON text
    :raises ConfigurationError: when it is neither
    """
    if isinstance(value, str) and value.strip():
        with suppress(ValueError):
            value = json.loads(value)
    if not value:
        return None
    if not isinstance(value, dict) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        msg = f'mapping: found {str(value)[:100]!r}, expected an object like {{"field": "source column"}}'
        raise ConfigurationError(msg)
    return value
