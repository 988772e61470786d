"""A mailbox on disk, served over HTTP from this process, for tests that are the partner's side."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import uvicorn

from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.mailbox.tokens import Access, new_token
from airflow_provider_osmosdest.testing.servers import free_port
from airflow_provider_osmosdest.web.app import create_app
from tests.standalone import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Served", "serving_mailbox"]


@dataclass(frozen=True)
class Served:
    """A mailbox being served, and the two tokens that open it."""

    mailbox: Mailbox
    url: str
    reader: str
    writer: str


@contextmanager
def serving_mailbox(root: Path, mailbox_id: str, **settings: Any) -> Iterator[Served]:
    """Serve a new mailbox at ``{url}`` on a free port; ``settings`` are those of :class:`MailboxSettings`."""
    root.mkdir()
    now = datetime.now(UTC)
    reader, writer = new_token("read"), new_token("write")
    access = (
        Access.of(reader, name="reader", direction="read", created_at=now),
        Access.of(writer, name="writer", direction="write", created_at=now),
    )
    mailbox = Mailbox(Store(root), MailboxSettings(mailbox_id, access=access, **settings))
    app = create_app(lambda asked: mailbox if asked == mailbox_id else None)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until("server", 20, lambda: server.started)
        yield Served(mailbox, f"http://127.0.0.1:{port}/v1/mailboxes/{mailbox_id}", reader, writer)
    finally:
        server.should_exit = True
        thread.join()
