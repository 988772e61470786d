"""The connection type ``osmos_mailbox`` as a hook: what it reads, what it does, and what it never shows."""

from __future__ import annotations

import json
import logging

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_osmosdest.core.errors import (
    ConfigurationError,
    ConnectorError,
    CursorError,
    MailboxError,
    SourceError,
    StorageError,
    UnsupportedStoreError,
)
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
from airflow_provider_osmosdest.settings import load_settings

DIGEST = "5" * 64
ENTRY = {"name": "acme", "direction": "read", "sha256": DIGEST, "created_at": "2026-03-01T12:00:00+00:00"}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SCHEMA = {"fields": [{"name": "id", "type": "integer", "nullable": False}]}


@pytest.fixture
def connect(set_connection):
    """Make a connection of these fields, and return its hook."""

    def make(conn_id="orders", **fields):
        set_connection(conn_id, **{"conn_type": "osmos_mailbox", **fields})
        return MailboxHook(conn_id)

    return make


@pytest.fixture
def hook(connect, tmp_path):
    return connect(extra={"path": str(tmp_path / "orders"), "destination_schema": SCHEMA})


def ids(page):
    return [json.loads(line)["id"] for line in page.lines.splitlines()]


def test_what_is_not_given_has_the_defaults(connect, osmos_home):
    connector = connect().connector()
    assert connector.path == f"{osmos_home}/mailboxes/orders"
    assert connector.storage_conn_id is None
    assert connector.settings == MailboxSettings("orders")


def test_a_form_that_was_left_empty_has_the_defaults(connect, osmos_home):
    names = ("path", "storage_conn_id", "destination_schema", "access", "max_age", "max_bytes", "page_limit")
    for empty in (None, ""):
        connector = connect(password="", extra=dict.fromkeys(names, empty)).connector()
        assert connector.settings == MailboxSettings("orders")


def test_the_settings_connection_opens_the_settings_path(connect, osmos_home, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_CONN_ID", "bucket")
    assert connect().connector().storage_conn_id == "bucket"
    assert connect(extra={"path": "s3://b/x"}).connector().storage_conn_id is None
    assert connect(extra={"path": "s3://b/x", "storage_conn_id": "mine"}).connector()[:2] == ("s3://b/x", "mine")


def test_every_field_is_read(connect):
    extra = {
        "path": "/data/orders",
        "destination_schema": SCHEMA,
        "access": [ENTRY],
        "max_age": 1.5,
        "max_bytes": 10**12,
        "page_limit": 100,
        "page_bytes": 1000,
        "on_invalid": "quarantine",
        "max_body_bytes": 2000,
        "max_body_records": 10,
        "max_depth": 5,
        "max_fields": 20,
        "requests_per_second": 0.5,
    }
    settings = connect(password=f" {SECRET} , whsec_c2Vjb25k", extra=extra).connector().settings
    assert [field.name for field in settings.schema.fields] == ["id"]
    assert [each.name for each in settings.access] == ["acme"]
    assert settings.max_age == 1.5 * 86_400
    assert settings.signing_secrets == (SECRET, "whsec_c2Vjb25k")
    for name in (*list(extra)[4:],):
        assert getattr(settings, name) == extra[name], name


def test_texts_do_as_a_uri_has_them(monkeypatch):
    uri = (
        "osmos-mailbox://@/?path=%2Fdata%2Fo&page_limit=7&max_age=0.5&access=%5B%5D"
        "&destination_schema=%7B%22fields%22%3A%5B%7B%22name%22%3A%22id%22%2C%22type%22%3A%22integer%22%7D%5D%7D"
    )
    monkeypatch.setenv("AIRFLOW_CONN_ORDERS", uri)
    path, _, settings = MailboxHook("orders").connector()
    assert (path, settings.page_limit, settings.max_age, settings.access) == ("/data/o", 7, 43_200.0, ())
    assert [field.name for field in settings.schema.fields] == ["id"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"conn_type": "osmos_http"}, "is of the type 'osmos_http'; expected 'osmos_mailbox'"),
        ({"extra": {"path": 7}}, "path is 7; expected a text"),
        ({"extra": {"path": "data/orders"}}, "path is 'data/orders'; expected one from the root"),
        ({"extra": {"max_age": -1}}, "max_age is -1; expected a number above 0"),
        ({"extra": {"max_age": "soon"}}, "max_age is 'soon'"),
        ({"extra": {"max_age": "inf"}}, "max_age is 'inf'"),
        ({"extra": {"page_limit": 0}}, "page_limit is 0; expected a whole number above 0"),
        ({"extra": {"page_limit": 1.5}}, "page_limit is 1.5"),
        ({"extra": {"page_bytes": True}}, "page_bytes is True"),
        ({"extra": {"max_bytes": [1]}}, "max_bytes is"),
        ({"extra": {"requests_per_second": "nan"}}, "requests_per_second is 'nan'"),
        ({"extra": {"on_invalid": "ignore"}}, "on_invalid is 'ignore'; expected one of reject, quarantine"),
        ({"extra": {"destination_schema": {"fields": [{"name": "id", "type": "float32x"}]}}}, "float32x"),
        ({"extra": {"access": "osmos_r_abc"}}, "access: is not JSON"),
        ({"extra": {"access": {}}}, "access: found dict"),
        ({"extra": {"access": [{**ENTRY, "direction": "all"}]}}, r"access\[0\].direction"),
        ({"password": "not base64!"}, "signing secret"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_connection(connect, fields, message):
    with pytest.raises(ConnectorError, match=rf"connection 'orders': .*{message}"):
        connect(**fields).connector()


def test_secrets_are_masked_and_hashes_are_never_shown(connect, monkeypatch, caplog, tmp_path):
    masked = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", lambda secret, name=None: masked.append(secret))
    caplog.set_level(logging.DEBUG)
    hook = connect(password=SECRET, extra={"path": str(tmp_path / "m"), "access": [ENTRY]})
    connector = hook.connector()
    hook.publish([{"id": 1}])
    assert {SECRET, SECRET.removeprefix("whsec_")} <= {each for each in masked if isinstance(each, str)}
    assert DIGEST not in caplog.text
    assert DIGEST not in repr(connector)
    wrong = connect(extra={"access": [ENTRY, {**ENTRY, "direction": "x"}]})
    with pytest.raises(ConnectorError) as caught:
        wrong.connector()
    assert DIGEST not in str(caught.value)


def test_records_are_published_read_and_committed(hook):
    assert not hook.has_new()
    assert hook.publish([{"id": n} for n in range(5)], producer="me").entry.records == 5
    assert hook.has_new()
    page = hook.read(limit=3)
    assert (ids(page), page.count) == ([0, 1, 2], 3)
    text = hook.mailbox().cursor_text(page.next.position)
    assert ids(hook.read(text)) == [3, 4]
    assert not hook.has_new(hook.read(text).next.position)


def test_a_consumer_goes_on_where_it_has_committed_and_nowhere_else(hook):
    hook.publish([{"id": n} for n in range(5)])
    for _ in range(2):
        first = hook.read(consumer="acme", limit=2)
        assert ids(first) == [0, 1]
    assert hook.commit("acme", first.next)
    second = hook.read(consumer="acme", limit=2)
    assert ids(second) == [2, 3]
    text = hook.mailbox().cursor_text(second.next.position, second.next.generation)
    assert hook.commit("acme", text)
    assert not hook.commit("acme", first.next)
    assert hook.has_new(consumer="acme")
    assert hook.commit("acme", hook.read(consumer="acme").next)
    assert not hook.has_new(consumer="acme")
    assert hook.mailbox().consumers.polled("acme") is not None
    # Moved back, it begins anew, and what was handed out before has no effect.
    hook.mailbox().consumers.seek("acme", hook.mailbox().position(None).position)
    assert not hook.commit("acme", second.next)
    assert ids(hook.read(consumer="acme")) == [0, 1, 2, 3, 4]


def test_cursor_and_consumer_are_one_too_many(hook):
    hook.publish([{"id": 1}])
    cursor = hook.mailbox().cursor_text(hook.read().next.position)
    with pytest.raises(ConfigurationError, match="cursor and consumer"):
        hook.read(cursor, consumer="acme")
    with pytest.raises(CursorError):
        hook.read("nonsense")


def test_a_batch_is_published_once(hook):
    first = hook.publish([{"id": 1}], batch_id="b")
    again = hook.publish([{"id": 1}], batch_id="b")
    assert (first.already, again.already, again.entry.seq) == (False, True, first.entry.seq)
    assert hook.publish([{"id": 1}]).entry.seq == first.entry.seq + 1


def test_no_records_are_no_batch(hook):
    assert hook.publish([]) is None
    assert hook.mailbox().log.tail() is None


def test_one_bad_record_and_nothing_is_published(hook):
    records = [{"id": n} for n in range(3000)]
    records[2500] = records[2501] = {"id": "x"}
    with pytest.raises(MailboxError, match=r"record 2500 fails the mailbox's schema: .*1 more.*Nothing was published"):
        hook.publish(records)
    assert hook.mailbox().log.tail() is None


def test_a_file_is_published_whole_or_not_at_all(hook, tmp_path):
    path = tmp_path / "records.ndjson"
    path.write_text('{"id": 1}\n{"id": 2}\n', encoding="utf-8")
    assert hook.publish(str(path)).entry.records == 2
    with pytest.raises(SourceError):
        hook.publish(str(tmp_path / "none.ndjson"))


def test_a_store_that_is_unfit_is_refused(connect, monkeypatch, tmp_path):
    hook = connect(extra={"path": str(tmp_path / "c")})

    def unfit(self):
        raise UnsupportedStoreError("cannot create exclusively")

    monkeypatch.setattr(Store, "probe", unfit)
    with pytest.raises(UnsupportedStoreError):
        hook.mailbox()
    with pytest.raises(UnsupportedStoreError):
        hook.publish([{"id": 1}])


def test_a_store_that_there_is_no_way_to_is_named(connect):
    message = "connection 'orders': path is 'nosuch://x/y', which cannot be opened: .*nosuch.* s3:// needs"
    with pytest.raises(ConnectorError, match=message):
        connect(extra={"path": "nosuch://x/y"}).mailbox()


def test_a_storage_connection_that_is_not_there_is_named(connect, monkeypatch):
    def absent(path, conn_id):
        raise AirflowNotFoundException(conn_id)

    monkeypatch.setattr("airflow.sdk.ObjectStoragePath", absent)
    with pytest.raises(ConnectorError, match="connection 'orders': storage_conn_id is 'absent', and there is no such"):
        connect(extra={"path": "s3://b/x", "storage_conn_id": "absent"}).mailbox()


def test_the_test_button_tries_the_store_and_leaves_nothing(connect, osmos_home, tmp_path, monkeypatch):
    assert connect(extra={"path": str(tmp_path / "a")}).test_connection() == (
        True,
        f"{tmp_path / 'a'} is reached and can hold a mailbox.",
    )
    # The form tests under an id that it makes up.
    working, said = connect("made_up").test_connection()
    assert (working, said) == (True, f"{osmos_home}/mailboxes is reached and can hold a mailbox.")
    assert not (osmos_home / "mailboxes" / "made_up").exists()
    assert connect(extra={"page_limit": "x"}).test_connection() == (
        False,
        "connection 'orders': page_limit is 'x'; expected a whole number above 0",
    )
    assert connect(extra={"path": "nosuch://x"}).test_connection()[0] is False

    def refuse(self, name):
        raise StorageError("no such bucket")

    monkeypatch.setattr(Store, "size", refuse)
    assert connect(extra={"path": str(tmp_path / "a")}).test_connection() == (False, "no such bucket")


def test_purging_goes_by_what_the_connection_keeps(connect, tmp_path):
    hook = connect(extra={"path": str(tmp_path / "orders"), "max_bytes": 1})
    for number in range(3):
        hook.publish([{"id": number}], batch_id=f"b-{number}")
    purged = hook.purge()
    assert (purged.batches, purged.waiting, purged.earliest) == (0, 2, 3)


class TestAFolderOfOneMachine:
    @pytest.fixture(autouse=True)
    def _tasks_run_on_other_machines(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")

    def test_the_default_path_is_refused(self, connect, osmos_home):
        with pytest.raises(ConnectorError) as caught:
            connect().publish([{"id": 1}])
        path = f"{osmos_home}/mailboxes/orders"
        said = f"connection 'orders': [osmosdest] storage_path: {path} is a folder of one machine, and CeleryExecutor"
        assert str(caught.value).startswith(said)
        assert not (osmos_home / "mailboxes").exists()

    def test_a_path_of_its_own_is_refused_too(self, hook):
        with pytest.raises(ConnectorError, match=r"^connection 'orders': path: .* CeleryExecutor runs tasks on others"):
            hook.read()

    def test_the_form_says_so(self, connect):
        tested, message = connect().test_connection()
        assert not tested
        assert "[osmosdest] shared_storage = True" in message

    def test_a_shared_disk_is_opened(self, hook, monkeypatch):
        monkeypatch.setenv("AIRFLOW__OSMOSDEST__SHARED_STORAGE", "True")
        load_settings.cache_clear()
        hook.publish([{"id": 1}])
        assert ids(hook.read()) == [1]
