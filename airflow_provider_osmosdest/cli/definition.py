"""Define the commands of ``airflow osmosdest``, with few imports: Airflow builds this for every command it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.cli.cli_config import ActionCommand, GroupCommand, lazy_load_command
from airflow.cli.cli_config import Arg as _Arg

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.cli.cli_config import CLICommand

__all__ = ["get_cli_commands"]

# Airflow's own has no annotations.
_arg: Callable[..., _Arg] = _Arg

_COMMANDS = "airflow_provider_osmosdest.cli.commands"
_FORMATS = ("ndjson", "json", "csv", "tsv", "parquet", "xlsx")

_FORMAT = _arg(("--records-format",), help="Format of the file, where its name does not say it", choices=_FORMATS)

_INFER_ARGS = (
    _arg(("file",), metavar="FILE", nargs="?", help="Sample with headers and at least one row: path or URL"),
    _FORMAT,
    _arg(("--sample",), metavar="N", help="Records to look at, or all (default: 1000)", default="1000"),
    _arg(("--mapping",), metavar="FILE", help="Rename columns like US_Gross, and write the mapping to this file"),
    _arg(("--json-schema",), metavar="FILE", help="Instead of a sample: a JSON Schema document"),
    _arg(("--openapi",), metavar="FILE", help="Instead of a sample: an OpenAPI 3 document, with --operation"),
    _arg(("--operation",), metavar='"POST /path"', help="The operation whose request body to take"),
)

# What one request is like.
_REQUEST_ARGS = (
    _arg(("--schema",), metavar="FILE", help="Schema document, instead of the connection's"),
    _arg(("--mapping",), metavar="JSON", help='Field name to source column: {"email": "E-Mail"}'),
    _arg(("--endpoint",), help="Path below the connection's base URL", default=""),
    _arg(("--method",), help="HTTP method, instead of the connection's"),
    _arg(("--write-mode",), choices=("batch", "record"), help="Many records a request, or one"),
    _arg(("--batch-format",), choices=("json", "ndjson"), help="One JSON array, or one object a line"),
    _arg(("--envelope",), metavar="NAME", help='What stands around the records: data makes {"data": [...]}'),
    _arg(("--compression",), choices=("none", "gzip", "zstd"), help="Compression of request bodies"),
    _arg(("--item-errors",), metavar="JMESPATH", help="Lists the refused items of an answer"),
    _arg(("--success-when",), metavar="JMESPATH", help="Is true for a success"),
    _arg(("--already-exists-when",), metavar="JMESPATH", help="Is true where the API has the record already"),
    _arg(("--idempotency-header",), metavar="NAME", help="Header with a chunk's idempotency key, or none"),
    _arg(("--timeout",), type=float, metavar="SECONDS", help="How long to wait for an answer once it is sent"),
)

_HOW_ARGS = (
    *_REQUEST_ARGS,
    _arg(("--batch-size",), type=int, metavar="N", help="Records of a batch at most, 1 to 250,000"),
    _arg(("--max-batch-bytes",), type=int, metavar="N", help="Bytes of a request's body at most"),
    _arg(("--on-batch-failure",), choices=("split", "fail"), help="What to do with a refused batch"),
    _arg(("--on-no-answer",), choices=("stop", "split"), help="What to do with a batch that no answer came to"),
    _arg(("--concurrency",), metavar="N", help="Requests in flight in record mode: a number, or auto"),
    _arg(
        ("--guarantee",), choices=("at_least_once", "at_most_once"), help="Whether to send again what may have arrived"
    ),
    _arg(("--requests-per-second",), type=float, metavar="N", help="Requests a second at most"),
    _arg(("--records-per-second",), type=float, metavar="N", help="Records a second at most"),
    _arg(("--max-failures",), metavar="N", help="Failures allowed: a count, a share (0.02) or 2%%"),
    _arg(("--max-retries",), type=int, metavar="N", help="Retries of one chunk after transient failures"),
    _arg(("--deduplicate",), choices=("none", "in_file", "records", "files"), help="What not to send again"),
    _arg(("--record-key",), metavar="FIELDS", help="Fields that identify a record, with commas between"),
    _arg(("--dry-run",), action="store_true", help="Validate everything, send nothing, show the first request"),
)

_DELIVER_ARGS = (
    _arg(("--conn-id",), help="Id of a connection of type osmos_http", required=True),
    _arg(("--records",), metavar="PATH", help="File of records: path or URL, also failures-*.ndjson", required=True),
    _FORMAT,
    *_HOW_ARGS,
)

_TEST_ARGS = (
    _arg(("--conn-id",), help="Id of a connection of type osmos_http or osmos_mailbox", required=True),
    _arg(("--records",), metavar="PATH", help="Send the first valid record of this file, really: path or URL"),
    _FORMAT,
    *_REQUEST_ARGS,
)

_SERVE_ARGS = (
    _arg(("--host",), help="Address to listen on (default: 127.0.0.1)", default="127.0.0.1"),
    _arg(("--port",), help="Port to listen on (default: 8090)", type=int, default=8090),
    _arg(("--workers",), metavar="N", help="Processes that serve (default: 1)", type=int, default=1),
    _arg(("--without-database",), help="Airflow has no metadata database here: do not use it", action="store_true"),
)

_MAILBOX_ID = _arg(("--conn-id",), help="Id of a connection of type osmos_mailbox", required=True)
_TOKEN_NAME = _arg(("--name",), help="What people call the token, such as the partner's name", required=True)

_CREATE_ARGS = (
    _arg(("--conn-id",), help="Id of the connection to make, which is the mailbox's name in URLs", required=True),
    _arg(("--path",), help="Folder or URL that holds the mailbox (default: in [osmosdest] storage_path)"),
    _arg(("--storage-conn-id",), metavar="ID", help="Id of the connection that opens the path"),
    _arg(("--schema",), metavar="FILE", help="Schema document of the records (default: any JSON object)"),
    _arg(("--max-age-days",), type=float, metavar="DAYS", help="Purge batches older than this (default: never)"),
    _arg(("--max-bytes",), type=int, metavar="N", help="Purge the oldest batches above this size (default: never)"),
    _arg(("--page-limit",), type=int, metavar="N", help="Records of a page at most (default: 5000)"),
    _arg(("--on-invalid",), choices=("reject", "quarantine"), help="What to do with invalid records of partners"),
    _arg(("--requests-per-second",), type=float, metavar="N", help="Requests a second each token may make"),
)

_TOKEN_ADD_ARGS = (
    _MAILBOX_ID,
    _TOKEN_NAME,
    _arg(("--direction",), choices=("read", "write"), help="To fetch records, or to send them", required=True),
    _arg(("--expires",), metavar="WHEN", help="In days or hours (90d, 12h), or a date or time (default: never)"),
)

_SEEK_ARGS = (
    _MAILBOX_ID,
    _arg(("--consumer",), metavar="NAME", help="The consumer to move", required=True),
    _arg(("--to",), metavar="WHERE", help="earliest, latest, or a date or time: what came since then", required=True),
)

_PURGE_ARGS = (_MAILBOX_ID, _arg(("--dry-run",), action="store_true", help="Delete nothing, say what would go"))

_SEEN_ID = _arg(("--conn-id",), help="Id of a connection of type osmos_http or osmos_mailbox", required=True)
_SEEN_ENDPOINT = _arg(("--endpoint",), metavar="PATH", help="Path below the connection's URL (default: all there are)")

_FORGET_ARGS = (
    _SEEN_ID,
    _SEEN_ENDPOINT,
    _arg(("--records",), metavar="PATH", help="Forget the records in this file, and that its content was taken"),
    _arg(("--since",), metavar="TIME", help="Forget what was delivered since a date or time in ISO 8601"),
    _arg(("--all",), action="store_true", help="Forget everything"),
    _FORMAT,
    _arg(("--schema",), metavar="FILE", help="Schema document of the records, instead of the connection's"),
    _arg(("--mapping",), metavar="JSON", help='Field name to source column: {"email": "E-Mail"}'),
)


_INSTANCE_ARGS = (
    _arg(("--dag-id",), metavar="ID", help="Of the task instance whose delivery it is, with --run-id and --task-id"),
    _arg(("--run-id",), metavar="ID", help="Id of the DAG run"),
    _arg(("--task-id",), metavar="ID", help="Id of the task"),
    _arg(("--map-index",), metavar="N", type=int, default=-1, help="Of a mapped task: which of its instances"),
)

_DELIVERY_ARGS = (
    *_INSTANCE_ARGS,
    _arg(("--folder",), metavar="PATH", help="Instead of a task instance: the folder of a delivery begun by hand"),
)

_DELIVERY_FORGET_ARGS = (
    *_DELIVERY_ARGS,
    _arg(("--new-id",), action="store_true", help="Go on under another delivery id, and so under other keys"),
    _arg(("--yes",), action="store_true", help="Do not ask"),
    _arg(("--force",), action="store_true", help="Also while the task runs: its attempt is told to stop first"),
)

_RETRY_ARGS = (
    _arg(("report",), metavar="REPORT", nargs="?", help="The report.json of the delivery: path or URL"),
    *_INSTANCE_ARGS,
    _arg(("--only",), action="append", choices=("invalid", "rejected", "unknown", "unsent"), help="Only these records"),
    _arg(("--again",), action="store_true", help="Also what an earlier retry has delivered"),
    _arg(("--yes",), action="store_true", help="Do not ask"),
    _arg(("--conn-id",), help="Id of the connection, instead of the one it was"),
    _arg(("--headers",), metavar="JSON", help="The headers that the task set itself, as no report keeps their values"),
    _arg(("--auth-type",), metavar="CLASS", help="Import path of the class that the task signed in by"),
    *_HOW_ARGS,
)


def get_cli_commands() -> list[CLICommand]:
    """Return the commands this package adds to ``airflow``."""
    schema = GroupCommand(
        name="schema",
        help="Make destination schemas",
        subcommands=(
            ActionCommand(
                name="infer",
                help="Print the schema of a sample file, a JSON Schema or an OpenAPI operation as JSON",
                func=lazy_load_command(f"{_COMMANDS}.schema_infer"),
                args=_INFER_ARGS,
            ),
        ),
    )
    deliver = ActionCommand(
        name="deliver",
        help="Deliver a file of records to an HTTP API",
        description=(
            "Deliver a file of records to an HTTP API. Progress goes to stderr, the report to stdout as one JSON "
            "object. Exit code: 0 all delivered, 1 some records failed, 2 misuse, 130 or 143 stopped by "
            "Ctrl-C or SIGTERM."
        ),
        func=lazy_load_command(f"{_COMMANDS}.deliver_records"),
        args=_DELIVER_ARGS,
    )
    test = ActionCommand(
        name="test",
        help="Check a connection; with --records, send one record",
        description=(
            "Check every field of a connection and whether its API is reached, without any data. With --records, send "
            "the first valid record of a file as a delivery sends it, and show request and response. What was found "
            "goes to stderr and, as one JSON object, to stdout. Exit code: 0 all is well, 1 not reached or not "
            "delivered, 2 misuse."
        ),
        func=lazy_load_command("airflow_provider_osmosdest.cli.connection_test.test_connection"),
        args=_TEST_ARGS,
    )
    retry = ActionCommand(
        name="retry",
        help="Deliver the failures of a delivery again, with what its report says",
        description=(
            "Deliver the records again that a delivery did not, with the connection, endpoint, schema, mapping and "
            "options that its report names, after showing what that comes to. Progress goes to stderr, the report to "
            "stdout. An option that is given wins over the report. Exit codes as for deliver."
        ),
        func=lazy_load_command("airflow_provider_osmosdest.cli.retry.retry_failures"),
        args=_RETRY_ARGS,
    )
    serve = ActionCommand(
        name="serve",
        help="Serve the mailboxes over HTTP, without Airflow's API server",
        description=(
            "Serve the mailboxes at /osmos/v1, as Airflow's API server does, for a network where Airflow itself must "
            "not be reachable. Needs the connections, from the metadata database, a secrets backend or the "
            "environment, and nothing else of Airflow."
        ),
        func=lazy_load_command("airflow_provider_osmosdest.cli.serve.serve_mailboxes"),
        args=_SERVE_ARGS,
    )
    return [
        GroupCommand(
            name="osmosdest",
            help="Move records to and from HTTP APIs",
            subcommands=(test, schema, deliver, retry, _delivery(), _seen(), _mailbox(), serve),
        )
    ]


def _delivery() -> GroupCommand:
    where = "The result goes to stdout as one JSON document, the rest to stderr."
    show = ActionCommand(
        name="show",
        help="Show what the ledger of a delivery says",
        description=f"Show what of a delivery is settled, and what is in doubt. {where} Exit code 1: it is damaged.",
        func=lazy_load_command("airflow_provider_osmosdest.cli.delivery.show_delivery"),
        args=_DELIVERY_ARGS,
    )
    forget = ActionCommand(
        name="forget",
        help="Let all of a delivery be sent again",
        description=f"Forget what of a delivery is settled, so that all of it is sent again. {where}",
        func=lazy_load_command("airflow_provider_osmosdest.cli.delivery.forget_delivery"),
        args=_DELIVERY_FORGET_ARGS,
    )
    return GroupCommand(name="delivery", help="Look after what a delivery has done", subcommands=(show, forget))


def _seen() -> GroupCommand:
    where = "The result goes to stdout as one JSON document, the rest to stderr."
    show = ActionCommand(
        name="show",
        help="Show what a connection's endpoints have seen",
        description=f"Show what was delivered before and is not sent again. {where}",
        func=lazy_load_command("airflow_provider_osmosdest.cli.seen.show_seen"),
        args=(_SEEN_ID, _SEEN_ENDPOINT),
    )
    forget = ActionCommand(
        name="forget",
        help="Let records, or files, be sent again",
        description=f"Forget some of what was delivered before, or all of it, so that it is sent again. {where}",
        func=lazy_load_command("airflow_provider_osmosdest.cli.seen.forget_seen"),
        args=_FORGET_ARGS,
    )
    return GroupCommand(name="seen", help="Look after what is not sent again", subcommands=(show, forget))


def _mailbox() -> GroupCommand:
    token = GroupCommand(
        name="token",
        help="Make and take away what opens a mailbox over HTTP",
        subcommands=(
            _mailbox_command("add", "add_token", "Make a token and show it, once", _TOKEN_ADD_ARGS),
            _mailbox_command("revoke", "revoke_token", "Let a token open nothing any more", (_MAILBOX_ID, _TOKEN_NAME)),
        ),
    )
    return GroupCommand(
        name="mailbox",
        help="Set up and look after mailboxes",
        subcommands=(
            _mailbox_command("create", "create_mailbox", "Make the connection of a mailbox", _CREATE_ARGS),
            token,
            _mailbox_command("show", "show_mailbox", "Show what a mailbox holds and who reads it", (_MAILBOX_ID,)),
            _mailbox_command("consumers", "list_consumers", "Show where each consumer stands", (_MAILBOX_ID,)),
            _mailbox_command("seek", "seek_consumer", "Let a consumer go on somewhere else", _SEEK_ARGS),
            _mailbox_command("purge", "purge_mailbox", "Delete what is too old or too much", _PURGE_ARGS),
        ),
    )


def _mailbox_command(name: str, function: str, what: str, args: tuple[_Arg, ...]) -> ActionCommand:
    return ActionCommand(
        name=name,
        help=what,
        description=f"{what}. The result goes to stdout as one JSON document, the rest to stderr.",
        func=lazy_load_command(f"airflow_provider_osmosdest.cli.mailbox.{function}"),
        args=args,
    )
