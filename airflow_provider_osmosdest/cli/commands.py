"""The commands of ``airflow osmosdest``: progress on stderr, one JSON document on stdout."""

from __future__ import annotations

import json
import os
import secrets
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.rehearsal import rehearse
from airflow_provider_osmosdest.core.errors import ConfigurationError, OsmosError, SourceError
from airflow_provider_osmosdest.core.records import sample_rows
from airflow_provider_osmosdest.core.schema.importing import (
    infer_schema,
    schema_from_json_schema,
    schema_from_openapi,
)
from airflow_provider_osmosdest.hooks.delivery import TaskRequest, load_schema, make_delivery, source_of
from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from airflow_provider_osmosdest.core.schema import DestinationSchema

__all__ = ["deliver_records", "schema_infer"]

_FAILED = 1
_MISUSE = 2


def schema_infer(args: Namespace) -> None:
    """Print a schema as JSON."""
    with _exit_codes(), _only_document() as show:
        schema = _schema(args)
        show(schema.to_dict())


def deliver_records(args: Namespace) -> None:
    """Deliver a file, or rehearse it; print the report as JSON."""
    with _exit_codes(), _only_document() as show:
        hook = HttpDestinationHook(http_conn_id=args.conn_id)
        names = DeliveryOptions.names()
        request = TaskRequest(
            endpoint=args.endpoint,
            method=args.method,
            destination_schema=load_schema(args.schema) if args.schema else None,
            mapping=args.mapping,
            options={name: value for name, value in vars(args).items() if name in names},
        )
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        delivery = make_delivery(("cli", f"{moment}-{secrets.token_hex(4)}"), hook.connector(), request)
        source = source_of(args.records, args.records_format)
        if args.dry_run:
            rehearsal = rehearse(delivery, source, _say)
            _say(rehearsal.first_request or "No request would go out: there is no valid record.")
            result = rehearsal.result
        else:
            result = deliver(delivery, source, hook.transport(), _say)
        show(result.report.to_dict())
        if result.error is not None:
            _say(f"error: {result.error}")
        report = result.report
        if result.error is not None or (report.failed if not args.dry_run else report.invalid):
            sys.exit(_FAILED)


def _schema(args: Namespace) -> DestinationSchema:
    given = [name for name in ("file", "json_schema", "openapi") if getattr(args, name)]
    if len(given) != 1:
        msg = "expected one of FILE, --json-schema FILE and --openapi FILE"
        raise ConfigurationError(msg)
    if args.openapi:
        if not args.operation:
            msg = '--openapi needs --operation "POST /path", the operation whose request body to take'
            raise ConfigurationError(msg)
        return schema_from_openapi(_text(args.openapi), args.operation)
    if args.json_schema:
        try:
            document = json.loads(_text(args.json_schema))
        except ValueError as error:
            msg = f"{args.json_schema} is not JSON: {error}"
            raise ConfigurationError(msg) from error
        return schema_from_json_schema(document)
    rows, textual = sample_rows(_path(args.file), records_format=args.records_format, limit=args.sample)
    return infer_schema(rows, textual=textual)


def _path(text: str) -> Any:
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath(text)


def _text(path: str) -> str:
    try:
        content: bytes = _path(path).read_bytes()
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ConfigurationError(msg) from error


@contextmanager
def _only_document() -> Iterator[Callable[[Any], None]]:
    """
    Keep stdout for one JSON document: whatever else Airflow prints there goes to stderr.

    Its loggers hold on to the stream they found, so it is the file descriptor that is exchanged.
    """
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)

    def show(document: Any) -> None:
        with os.fdopen(os.dup(stdout), "w", encoding="utf-8", errors="replace") as file:
            file.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    try:
        yield show
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Say an error in one line, and leave with the code for it."""
    # Only a server process may look connections up in the database; a command run by hand is as trusted as one.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        yield
    except AirflowNotFoundException as error:
        _say(f"error: --conn-id: {error}")
        sys.exit(_MISUSE)
    except (ConfigurationError, SourceError) as error:
        _say(f"error: {error}")
        sys.exit(_MISUSE)
    except OsmosError as error:
        _say(f"error: {error}")
        sys.exit(_FAILED)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
