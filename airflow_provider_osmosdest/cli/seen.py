"""The commands of ``airflow osmosdest seen``: show and forget what was delivered before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.cli.console import exit_codes, only_document, say
from airflow_provider_osmosdest.cli.times import parse_time
from airflow_provider_osmosdest.core.delivery.known_failures import failure_key
from airflow_provider_osmosdest.core.delivery.replay import ReplaySource
from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError
from airflow_provider_osmosdest.core.records.files import FileSource
from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema
from airflow_provider_osmosdest.core.seen.files import SeenFiles, content_digest
from airflow_provider_osmosdest.core.seen.keys import RecordKeys
from airflow_provider_osmosdest.core.seen.paths import FAILURES, FILES, fields_of_scope
from airflow_provider_osmosdest.core.seen.store import SeenStore
from airflow_provider_osmosdest.hooks.delivery import load_schema, mapping_of, seen_folder, seen_folders, source_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable

__all__ = ["forget_seen", "show_seen"]


def show_seen(args: Namespace) -> None:
    """Show what the endpoints of a connection have seen."""
    with exit_codes(), only_document() as show:
        found = {
            endpoint: {
                kind.name: _files(SeenFiles(kind)) if kind.name == FILES else _records(kind) for kind in _kinds(folder)
            }
            for endpoint, folder in _folders(args).items()
        }
        show({"connection": args.conn_id, "endpoints": found})
        if not any(found.values()):
            say(_nothing_seen(args))


def forget_seen(args: Namespace) -> None:
    """Forget some of what the endpoints of a connection have seen, or all."""
    with exit_codes(), only_document() as show:
        given = [name for name in ("records", "since", "all") if getattr(args, name)]
        if len(given) != 1:
            msg = "expected one of --records PATH, --since TIME and --all"
            raise ConfigurationError(msg)
        if args.records:
            forget = _forgetting_records(args)
        else:
            since = parse_time(args.since, "--since").timestamp() if args.since else float("-inf")
            forget = _forgetting_since(since)
        forgotten = {
            endpoint: {kind.name: forget(kind) for kind in _kinds(folder)}
            for endpoint, folder in _folders(args).items()
        }
        show({"connection": args.conn_id, "forgotten": forgotten})
        total = sum(count for kinds in forgotten.values() for count in kinds.values())
        say(f"{total:,} forgotten; they are sent the next time that they come." if total else "Nothing was forgotten.")
        if args.records and not total:
            say("No record of the file was found: --schema and --mapping must be those of the task that delivered it.")


def _nothing_seen(args: Namespace) -> str:
    others = [] if args.endpoint is None else list(seen_folders(args.conn_id))
    if others:
        return f"Endpoint {args.endpoint!r} has seen nothing; connection {args.conn_id!r} has {', '.join(others)}."
    return f"Connection {args.conn_id!r} has seen nothing: nothing was delivered by it with deduplicate."


def _folders(args: Namespace) -> dict[str, Any]:
    if args.endpoint is None:
        return dict(seen_folders(args.conn_id))
    return {"/" + args.endpoint.strip("/"): seen_folder(args.conn_id, args.endpoint)}


def _kinds(folder: Any) -> list[Any]:
    """Return the folders of what an endpoint has seen: one for each kind of key, and one for files."""
    try:
        return sorted(
            (
                kind
                for kind in folder.iterdir()
                if kind.name in (FAILURES, FILES) or fields_of_scope(kind.name) is not None
            ),
            key=lambda kind: str(kind.name),
        )
    except FileNotFoundError:
        return []
    except OSError as error:
        msg = f"{folder} cannot be listed: {error}"
        raise StorageError(msg) from error


def _records(folder: Any) -> dict[str, Any]:
    segments = list(SeenStore(folder).segments())
    blocks = {(block.delivery, block.number): block for _, each in segments for block in each}.values()
    return {
        "record_key": list(fields_of_scope(folder.name) or ()) or None,
        "keys": sum(block.keys for block in blocks),
        "deliveries": len({block.delivery for block in blocks}),
        "segments": len(segments),
        "bytes": sum(segment.path.stat().st_size for segment, _ in segments),
        **_span(block.at for block in blocks),
    }


def _files(files: SeenFiles) -> dict[str, Any]:
    taken = files.all()
    return {
        "files": len(taken),
        "records": sum(each.records for each in taken),
        "deliveries": len({each.delivery for each in taken}),
        **_span(each.at for each in taken),
    }


def _span(times: Iterable[float]) -> dict[str, str | None]:
    found = [datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds") for time in sorted(times)]
    return {"first_at": found[0] if found else None, "last_at": found[-1] if found else None}


def _forgetting_since(since: float) -> Callable[[Any], int]:
    def forget(kind: Any) -> int:
        return (SeenFiles(kind) if kind.name == FILES else SeenStore(kind)).forget_since(since)

    return forget


def _forgetting_records(args: Namespace) -> Callable[[Any], int]:
    schema = load_schema(args.schema) if args.schema else _schema_of(args.conn_id)
    mapping = mapping_of(args.mapping)

    def forget(kind: Any) -> int:
        source = source_of(args.records, args.records_format)
        if kind.name == FILES:
            assert isinstance(source, FileSource)
            return sum(SeenFiles(kind).forget(content_digest(each.content())) for each in source.each())
        validator = BulkValidator(schema, mapping=mapping)
        keys = RecordKeys(schema, fields_of_scope(kind.name) or ())
        gone: set[bytes] = set()
        for block in ReplaySource(source).blocks():
            validated = validator.validate(block)
            if kind.name == FAILURES:
                gone.update(failure_key("invalid", each.record) for each in validated.invalid)
                gone.update(failure_key("rejected", line) for line in validated.lines.splitlines())
            else:
                gone.update(keys.of(validated.lines))
        return SeenStore(kind).forget(gone)

    return forget


def _schema_of(conn_id: str) -> DestinationSchema:
    """Return the schema that a connection holds."""
    from airflow.sdk import BaseHook

    from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook
    from airflow_provider_osmosdest.hooks.mailbox import MailboxHook

    if BaseHook.get_connection(conn_id).conn_type == MailboxHook.conn_type:
        schema = MailboxHook(conn_id).mailbox().settings.schema
    else:
        document = HttpDestinationHook(http_conn_id=conn_id).connector().destination_schema
        schema = load_schema(document) if document else None
    return schema or DestinationSchema.any_object()
