"""The commands of ``airflow osmosdest``: progress on stderr, one JSON document on stdout."""

from __future__ import annotations

import json
import secrets
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.cli.console import FAILED, exit_codes, only_document, say
from airflow_provider_osmosdest.cli.stopping import stopping_on_signals
from airflow_provider_osmosdest.core.delivery.dry_run import dry_run
from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import ConfigurationError, StoppedError
from airflow_provider_osmosdest.core.records import sample_rows
from airflow_provider_osmosdest.core.schema.importing import (
    infer_schema,
    schema_from_json_schema,
    schema_from_openapi,
)
from airflow_provider_osmosdest.hooks.delivery import TaskRequest, load_schema, make_delivery, source_of
from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook
from airflow_provider_osmosdest.hooks.shared_rates import shared_limits

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_osmosdest.core.schema import DestinationSchema

__all__ = ["deliver_records", "schema_infer"]


def schema_infer(args: Namespace) -> None:
    """Print a schema as JSON."""
    with exit_codes(), only_document() as show:
        schema = _schema(args)
        show(schema.to_dict())


def deliver_records(args: Namespace) -> None:
    """Deliver a file, or do a dry run; print the report as JSON."""
    with exit_codes(), only_document() as show:
        hook = HttpDestinationHook(http_conn_id=args.conn_id)
        names = DeliveryOptions.names()
        request = TaskRequest(
            endpoint=args.endpoint,
            method=args.method,
            destination_schema=load_schema(args.schema) if args.schema else None,
            mapping=args.mapping,
            options={name: value for name, value in vars(args).items() if name in names},
        )
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        delivery = make_delivery(("cli", f"{now}-{secrets.token_hex(4)}"), hook.connector(), request)
        source = source_of(args.records, args.records_format)
        code = FAILED
        if args.dry_run:
            dry_result = dry_run(delivery, source, say)
            say(dry_result.first_request or "No request would go out: there is no valid record.")
            result = dry_result.result
        else:
            with stopping_on_signals() as stopping:
                limits = shared_limits(args.conn_id, delivery.options, 1, say)
                run_context = RunContext(stopping=stopping.why, limits=limits)
                result = deliver(delivery, source, hook.transport(), say, run_context)
            if isinstance(result.error, StoppedError):
                code = stopping.exit_code
        show(result.report.to_dict())
        if result.error is not None:
            say(f"error: {result.error}")
        report = result.report
        if report.unknown:
            say(
                f"{report.unknown:,} records are 'unknown', and this command begins a new delivery, under new keys, "
                "each time: ask the API whether it has them before they are delivered again."
            )
        if result.error is not None or (report.failed if not args.dry_run else report.invalid):
            sys.exit(code)


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
