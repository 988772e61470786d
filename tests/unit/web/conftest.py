"""A mailbox of three batches in a folder, and its app without a server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.mailbox.tokens import Access, new_token
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.web import rate_limits as throttle
from airflow_provider_osmosdest.web.app import create_app

NOW = datetime.now(UTC)
SCHEMA = DestinationSchema.load(
    {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "name", "type": "string"}]}
)
READ, WRITE, EXPIRED, OTHER = (new_token(direction) for direction in ("read", "write", "read", "read"))
ACCESS = (
    Access.of(READ, name="reader", direction="read", created_at=NOW),
    Access.of(WRITE, name="writer", direction="write", created_at=NOW),
    Access.of(EXPIRED, name="old", direction="read", created_at=NOW, expires_at=NOW - timedelta(seconds=1)),
)


def lines(first, last):
    return [b'{"id":%d,"name":"n%d"}\n' % (n, n) for n in range(first, last)]


@dataclass
class Web:
    """An app with the mailbox "box", and one more that another token opens."""

    mailbox: Mailbox
    client: TestClient

    @property
    def state(self):
        return self.client.app.state.web

    def get(self, path, token=READ, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("Accept-Encoding", "identity")
        if token:
            named["Authorization"] = f"Bearer {token}"
        return self.client.request(method, f"/v1/mailboxes/box{path}", headers=named)

    def raw(self, path, **headers):
        """Return the answer to a GET, and its body as it came."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Authorization"] = f"Bearer {READ}"
        with self.client.stream("GET", f"/v1/mailboxes/box{path}", headers=named) as answer:
            return answer, b"".join(answer.iter_raw())

    def hurry(self):
        """Let a hundredth of a second pass for a second."""
        waiting = self.state.waiting
        waiting._interval = 0.005
        until_new = waiting.until_new
        waiting.until_new = lambda mailbox_id, position, seconds, **kwargs: until_new(
            mailbox_id, position, seconds / 100, **kwargs
        )

    def post(self, path, token=READ, **kwargs):
        headers = {"Authorization": f"Bearer {token}", **kwargs.pop("headers", {})}
        return self.client.post(f"/v1/mailboxes/box{path}", headers=headers, **kwargs)


@pytest.fixture
def make_web(tmp_path, monkeypatch):
    monkeypatch.setattr(throttle, "_FIRST_DELAY", 0.0)
    opened = []

    def make(**settings):
        settings.setdefault("schema", SCHEMA)
        (tmp_path / "box").mkdir(exist_ok=True)
        (tmp_path / "other").mkdir(exist_ok=True)
        mailbox = Mailbox(Store(tmp_path / "box"), MailboxSettings("box", access=ACCESS, **settings))
        access = (Access.of(OTHER, name="other", direction="read", created_at=NOW),)
        other = Mailbox(Store(tmp_path / "other"), MailboxSettings("other", access=access))
        boxes = {"box": mailbox, "other": other}
        web = Web(mailbox, TestClient(create_app(boxes.get), raise_server_exceptions=False))
        # One event loop for all requests of a test, as a server has.
        web.client.__enter__()
        opened.append(web.client)
        return web

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def web(make_web):
    """Three batches: records 0 to 2, 3 and 4, 5 to 9."""
    made = make_web()
    for number, (first, last) in enumerate([(0, 3), (3, 5), (5, 10)]):
        made.mailbox.publish(lines(first, last), batch_id=f"b{number}")
    return made
