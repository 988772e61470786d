"""``airflow osmosdest serve``: the mailboxes over HTTP, without Airflow's own API server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.cli.console import exit_codes
from airflow_provider_osmosdest.core.errors import ConfigurationError

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["serve_mailboxes"]


def serve_mailboxes(args: Namespace) -> None:
    """
    Serve until a signal ends it.

    :param args: ``host``, ``port``, ``workers`` and ``without_database``
    :raises SystemExit: with 2 for a port or a number of workers that cannot be one
    """
    with exit_codes():
        _check("--port", args.port, 0, 65_535)
        _check("--workers", args.workers, 1, 1000)
    # Only a server process may look connections up in the database; the workers inherit it.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    from airflow_provider_osmosdest.web.serving import serve

    serve(args.host, args.port, args.workers, database=not args.without_database)


def _check(option: str, found: int, least: int, most: int) -> None:
    if not least <= found <= most:
        msg = f"{option}: found {found}, expected a number from {least:,} to {most:,}"
        raise ConfigurationError(msg)
