"""``airflow osmosdest serve``: the mailboxes over HTTP, without Airflow's own API server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["serve_mailboxes"]


def serve_mailboxes(args: Namespace) -> None:
    """
    Serve until a signal ends it.

    :param args: ``host``, ``port`` and ``workers``
    """
    # Only a server process may look connections up in the database; the workers inherit it.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    from airflow_provider_osmosdest.web.serving import serve

    serve(args.host, args.port, args.workers)
