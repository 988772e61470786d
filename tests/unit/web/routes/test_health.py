from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.web.app import create_app
from airflow_provider_osmosdest.web.health import Checks

OK = {"status": "ok", "database": "ok", "store": "ok"}


def fail():
    raise StorageError("postgresql://airflow:secret@db/airflow is away")


def answer():
    return None


def ask(database, storage, method="GET"):
    with TestClient(create_app(lambda _: None, checks=Checks(database, storage))) as client:
        return client.request(method, "/v1/health")


def test_all_answer():
    answered = ask(answer, answer)
    assert (answered.status_code, answered.json()) == (200, OK)
    assert answered.headers["Content-Type"] == "application/json"
    assert answered.headers["Cache-Control"] == "no-store"
    assert ask(answer, answer, "HEAD").content == b""


@pytest.mark.parametrize(
    ("database", "storage", "detail"),
    [
        (fail, answer, "no answer from the database"),
        (answer, fail, "no answer from the store"),
        (fail, fail, "no answer from the database and the store"),
    ],
)
def test_something_does_not_answer(database, storage, detail):
    answered = ask(database, storage)
    assert answered.status_code == 503
    assert answered.headers["Content-Type"] == "application/problem+json"
    assert int(answered.headers["Retry-After"]) > 0
    document = answered.json()
    assert document.pop("type") == "about:blank"
    assert document == {
        "title": "Unavailable",
        "status": 503,
        "detail": detail,
        "database": "ok" if database is answer else "unavailable",
        "store": "ok" if storage is answer else "unavailable",
    }
    assert "secret" not in answered.text


def test_the_stores_of_open_mailboxes_are_asked(web, tmp_path):
    web.mailbox.store.probe()
    assert web.get("/records").status_code == 200
    assert web.client.get("/v1/health").json() == OK
    (tmp_path / "box").rename(tmp_path / "elsewhere")
    web.state.health._ttl = 0.0
    assert web.client.get("/v1/health").status_code == 503
