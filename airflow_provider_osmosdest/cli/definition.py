"""What ``airflow osmosdest`` understands. Light: Airflow builds this for every command it runs."""

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
    _arg(("--sample",), help="Records to look at (default: 1000)", type=int, default=1000),
    _arg(("--json-schema",), metavar="FILE", help="Instead of a sample: a JSON Schema document"),
    _arg(("--openapi",), metavar="FILE", help="Instead of a sample: an OpenAPI 3 document, with --operation"),
    _arg(("--operation",), metavar='"POST /path"', help="The operation whose request body to take"),
)

_DELIVER_ARGS = (
    _arg(("--conn-id",), help="Id of a connection of type osmos_http", required=True),
    _arg(("--records",), metavar="PATH", help="File of records: path or URL, also failures-*.ndjson", required=True),
    _FORMAT,
    _arg(("--schema",), metavar="FILE", help="Schema document, instead of the connection's"),
    _arg(("--mapping",), metavar="JSON", help='Field name to source column: {"email": "E-Mail"}'),
    _arg(("--endpoint",), help="Path below the connection's base URL", default=""),
    _arg(("--method",), help="HTTP method, instead of the connection's"),
    _arg(("--write-mode",), choices=("batch", "record"), help="Many records a request, or one"),
    _arg(("--batch-size",), type=int, metavar="N", help="Records of a batch at most, 1 to 250,000"),
    _arg(("--max-batch-bytes",), type=int, metavar="N", help="Bytes of a request's body at most"),
    _arg(("--batch-format",), choices=("json", "ndjson"), help="One JSON array, or one object a line"),
    _arg(("--on-batch-failure",), choices=("split", "fail"), help="What to do with a refused batch"),
    _arg(("--envelope",), metavar="NAME", help='What stands around the records: data makes {"data": [...]}'),
    _arg(("--compression",), choices=("none", "gzip", "zstd"), help="Compression of request bodies"),
    _arg(("--item-errors",), metavar="JMESPATH", help="Lists the refused items of an answer"),
    _arg(("--success-when",), metavar="JMESPATH", help="Is true for a success"),
    _arg(("--concurrency",), metavar="N", help="Requests in flight in record mode: a number, or auto"),
    _arg(
        ("--guarantee",), choices=("at_least_once", "at_most_once"), help="Whether to send again what may have arrived"
    ),
    _arg(("--idempotency-header",), metavar="NAME", help="Header with a chunk's idempotency key, or none"),
    _arg(("--requests-per-second",), type=float, metavar="N", help="Requests a second at most"),
    _arg(("--records-per-second",), type=float, metavar="N", help="Records a second at most"),
    _arg(("--max-failures",), metavar="N", help="Failures allowed: a count, a share (0.02) or 2%%"),
    _arg(("--max-retries",), type=int, metavar="N", help="Retries of one chunk after transient failures"),
    _arg(("--timeout",), type=float, metavar="SECONDS", help="How long to wait for an answer once it is sent"),
    _arg(("--dry-run",), action="store_true", help="Validate everything, send nothing, show the first request"),
)

_SERVE_ARGS = (
    _arg(("--host",), help="Address to listen on (default: 127.0.0.1)", default="127.0.0.1"),
    _arg(("--port",), help="Port to listen on (default: 8090)", type=int, default=8090),
    _arg(("--workers",), metavar="N", help="Processes that serve (default: 1)", type=int, default=1),
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
            "object. Exit code: 0 all delivered, 1 some records failed, 2 misuse."
        ),
        func=lazy_load_command(f"{_COMMANDS}.deliver_records"),
        args=_DELIVER_ARGS,
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
        GroupCommand(name="osmosdest", help="Move records to and from HTTP APIs", subcommands=(schema, deliver, serve))
    ]
