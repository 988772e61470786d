"""A mailbox of orders in a folder, served alone for benchmarks; prints its port."""

from __future__ import annotations

import argparse
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from data import FIELDS

from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.mailbox.tokens import Access
from airflow_provider_osmosdest.core.schema import DestinationSchema

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.tokens import Direction

READ_TOKEN = "osmos_r_" + "b" * 38
WRITE_TOKEN = "osmos_w_" + "b" * 38
MAILBOX_ID = "orders"


def mailbox(folder: Path) -> Mailbox:
    """Open the mailbox of a folder."""
    tokens: list[tuple[Direction, str]] = [("read", READ_TOKEN), ("write", WRITE_TOKEN)]
    access = tuple(
        Access.of(token, name=direction, direction=direction, created_at=datetime.now(UTC))
        for direction, token in tokens
    )
    schema = DestinationSchema.load({"fields": FIELDS})
    return Mailbox(Store(folder), MailboxSettings(MAILBOX_ID, schema=schema, access=access))


if __name__ == "__main__":
    from airflow_provider_osmosdest.web.app import create_app

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cores", help="processors it may run on, separated by commas")
    arguments = parser.parse_args()
    if arguments.cores:
        os.sched_setaffinity(0, {int(core) for core in arguments.cores.split(",")})
    listening = socket.create_server(("127.0.0.1", 0))
    served = mailbox(arguments.folder)
    app = create_app(lambda mailbox_id: served if mailbox_id == MAILBOX_ID else None, prefix="/osmos/v1")
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listening])
