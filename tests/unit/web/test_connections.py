from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from airflow.sdk import BaseHook
from airflow.sdk.execution_time import supervisor

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.settings import load_settings
from airflow_provider_osmosdest.web.connections import check_database, check_storage, open_mailbox
from airflow_provider_osmosdest.web.mailbox_cache import UndecidedError


class Backend:
    """Has some connections, or is out of order."""

    def __init__(self, error=None):
        self.error = error
        self.asked = []

    def get_connection(self, conn_id):
        self.asked.append(conn_id)
        if self.error:
            raise self.error


@pytest.fixture
def connection(monkeypatch, tmp_path):
    def make(conn_id, conn_type, **extra):
        document = json.dumps({"conn_type": conn_type, "extra": {"path": f"file://{tmp_path}/box", **extra}})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", document)

    return make


@pytest.fixture
def backends(monkeypatch):
    def put(*found):
        monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: list(found))

    return put


def test_a_mailbox_is_opened(connection):
    connection("orders", "osmos_mailbox", page_limit=7)
    mailbox = open_mailbox("orders")
    assert mailbox.settings.mailbox_id == "orders"
    assert mailbox.settings.page_limit == 7


@pytest.mark.parametrize("conn_type", ["osmos_http", "postgres", "http"])
def test_no_other_connection_is(connection, conn_type):
    connection("orders", conn_type)
    assert open_mailbox("orders") is None


def test_what_is_not_there_is_none(backends):
    backends(Backend())
    assert open_mailbox("orders") is None


@pytest.mark.parametrize("conn_id", ["", "a b", "../etc", "a/b", "x" * 129, "é", "a\n"])
def test_what_cannot_be_an_id_reaches_no_backend(backends, conn_id):
    backend = Backend(RuntimeError("asked"))
    backends(backend)
    assert open_mailbox(conn_id) is None
    assert backend.asked == []


def test_a_database_that_is_down_does_not_make_a_mailbox_unknown(backends):
    backends(Backend(), Backend(RuntimeError("password=hunter2 refused")))
    with pytest.raises(UndecidedError) as raised:
        open_mailbox("orders")
    assert "hunter2" not in str(raised.value)


def test_a_connection_that_cannot_be_used_says_why(connection):
    connection("orders", "osmos_mailbox", page_limit="many")
    with pytest.raises(ConfigurationError, match="page_limit"):
        open_mailbox("orders")


@pytest.mark.parametrize("conn_id", ["Orders", "ORDERS"])
def test_a_variable_is_a_mailbox_under_one_id_alone(connection, conn_id):
    connection("orders", "osmos_mailbox")
    with pytest.raises(ConfigurationError, match="served as 'orders' alone"):
        open_mailbox(conn_id)


def test_a_database_that_ignores_case_makes_no_second_mailbox(monkeypatch):
    found = SimpleNamespace(conn_id="orders", conn_type="osmos_mailbox")
    monkeypatch.setattr(BaseHook, "get_connection", lambda _: found)
    assert open_mailbox("Orders") is None


def test_the_database_is_asked_as_a_request_for_a_mailbox_does(monkeypatch):
    backend = Backend()
    monkeypatch.setattr("airflow.secrets.metastore.MetastoreBackend", lambda: backend)
    check_database()
    assert len(backend.asked) == 1
    backend.error = OSError("away")
    with pytest.raises(OSError, match="away"):
        check_database()


def test_the_store_of_mailboxes_without_a_path_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", f"file://{tmp_path}/storage")
    load_settings.cache_clear()
    try:
        # Nothing is in it yet, and nothing is put there.
        check_storage()
        assert list(tmp_path.iterdir()) == []
        load_settings.cache_clear()
        monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", "nothing://at/all")
        with pytest.raises(ConfigurationError, match="nothing://at/all"):
            check_storage()
    finally:
        load_settings.cache_clear()
