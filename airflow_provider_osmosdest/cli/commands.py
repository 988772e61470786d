"""The commands of ``airflow osmosdest``: progress on stderr, one JSON document on stdout."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.cli.console import exit_codes, only_document, say
from airflow_provider_osmosdest.cli.run import run_by_hand, try_by_hand
from airflow_provider_osmosdest.core.delivery.messages import counted
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import ConfigurationError, SchemaError
from airflow_provider_osmosdest.core.records import Sample
from airflow_provider_osmosdest.core.schema.importing import (
    Draft,
    infer_schema,
    schema_from_json_schema,
    schema_from_openapi,
)
from airflow_provider_osmosdest.hooks.delivery import TaskRequest, load_schema, make_delivery, source_of
from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["deliver_records", "schema_infer"]


def schema_infer(args: Namespace) -> None:
    """Print a schema as JSON."""
    with exit_codes(), only_document() as show:
        draft = _draft(args)
        for warning in draft.warnings:
            say(f"warning: {warning}")
        if args.mapping:
            _write(args.mapping, draft.mapping)
        show(draft.schema.to_dict())


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
        source = source_of(_path_given(args.records), args.records_format)
        if args.dry_run:
            try_by_hand(delivery, source, show)
        else:
            run_by_hand(delivery, source, hook.transport(), args.conn_id, show)


def _path_given(text: str) -> str:
    """
    Return the path of the records.

    :raises ConfigurationError: when it is none, but records themselves, say
    """
    if not text.strip() or text.lstrip()[:1] in ("[", "{", "<") or "\n" in text:
        msg = f"--records: found {text[:60]!r}, expected the path or URL of a file"
        raise ConfigurationError(msg)
    return text


def _draft(args: Namespace) -> Draft:
    given = [name for name in ("file", "json_schema", "openapi") if getattr(args, name)]
    if len(given) != 1:
        msg = "expected one of FILE, --json-schema FILE and --openapi FILE"
        raise ConfigurationError(msg)
    if args.mapping and not args.file:
        msg = "--mapping renames the columns of a sample FILE, and goes with no other document"
        raise ConfigurationError(msg)
    if args.openapi:
        if not args.operation:
            msg = '--openapi needs --operation "POST /path", the operation whose request body to take'
            raise ConfigurationError(msg)
        return Draft(schema_from_openapi(_text(args.openapi), args.operation), {}, ())
    if args.json_schema:
        try:
            document = json.loads(_text(args.json_schema))
        except ValueError as error:
            msg = f"{args.json_schema} is not JSON: {error}"
            raise ConfigurationError(msg) from error
        return Draft(schema_from_json_schema(document), {}, ())
    sample = Sample(_path(args.file), records_format=args.records_format, limit=_sample_size(args.sample))
    rows, textual = sample.read()
    try:
        draft = infer_schema(rows, textual=textual, rename=bool(args.mapping))
    except SchemaError as error:
        raise SchemaError(" ".join((str(error), *(f"{fault}." for fault in sample.faults)))) from None
    more = (
        [f"the first {int(args.sample):,} records were looked at, and there are more: see --sample all"]
        if sample.cut
        else []
    )
    return replace(draft, warnings=(*sample.faults, *draft.warnings, *more))


def _sample_size(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or not int(text):
        msg = f"--sample: found {text!r}, expected a number of records from 1 up, or all"
        raise ConfigurationError(msg)
    return int(text)


def _write(path: str, mapping: dict[str, str]) -> None:
    try:
        _path(path).write_text(json.dumps(mapping, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be written: {error}"
        raise ConfigurationError(msg) from error
    if mapping:
        say(f"The mapping of {counted(len(mapping), 'renamed column')} is in {path}.")
    else:
        say(f"No column has to be renamed: the mapping in {path} is empty.")


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
