"""``airflow osmosdest mailbox``: what its commands do, print and refuse, wherever the connections are."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from airflow.models.connection import Connection
from airflow.utils.session import create_session
from sqlalchemy import delete, select

from airflow_provider_osmosdest.cli.times import ago, expiry, parse_time
from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.mailbox.retention.purge import GRACE, purge
from airflow_provider_osmosdest.core.mailbox.tokens import find, load_access, well_formed
from airflow_provider_osmosdest.hooks.mailbox import MailboxHook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def airflow(command):
    """Run a command of ``airflow osmosdest mailbox``, with no connection there but its own."""
    with create_session() as session:
        session.execute(delete(Connection))
    return partial(command, "mailbox")


@pytest.fixture
def orders(airflow, tmp_path):
    """Make a mailbox, and return its hook."""
    code, _, _ = airflow("create", "--conn-id", "orders", "--path", str(tmp_path / "orders"))
    assert code == 0
    return MailboxHook("orders")


def extra_of(conn_id):
    with create_session() as session:
        return session.scalars(select(Connection).where(Connection.conn_id == conn_id)).one().extra_dejson


@pytest.mark.parametrize("conn_id", ["", " "])
def test_create_wants_an_id(airflow, conn_id):
    code, document, talk = airflow("create", "--conn-id", conn_id)
    assert (code, document) == (2, None)
    assert "--conn-id: found nothing" in talk


def test_create_makes_a_connection_that_opens_a_mailbox(airflow, tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"fields": [{"name": "id", "type": "integer", "nullable": false}]}', encoding="utf-8")
    path = str(tmp_path / "box")
    code, document, talk = airflow(
        *("create", "--conn-id", "box", "--path", path, "--schema", str(schema), "--max-age-days", "30"),
        *("--max-bytes", "1000", "--page-limit", "10", "--on-invalid", "quarantine", "--requests-per-second", "5"),
    )
    assert (code, document) == (0, {"mailbox": "box", "path": path, "batches_there": 0})
    assert "airflow osmosdest mailbox token add --conn-id box" in talk
    settings = MailboxHook("box").mailbox().settings
    assert [field.name for field in settings.schema.fields] == ["id"]
    assert (settings.max_age, settings.max_bytes, settings.page_limit) == (30 * 86_400, 1000, 10)
    assert (settings.on_invalid, settings.requests_per_second) == ("quarantine", 5)
    # The form shows the fields that the extra has, so it has all of them.
    assert extra_of("box").keys() >= {"storage_conn_id", "page_limit", "access", "requests_per_second"}
    assert extra_of("box")["storage_conn_id"] is None


def test_create_opens_what_is_there_already(airflow, orders, tmp_path):
    orders.publish([{"id": 1}])
    code, document, talk = airflow("create", "--conn-id", "again", "--path", str(tmp_path / "orders"))
    assert (code, document["batches_there"]) == (0, 1)
    assert "holds one already, with 1 batches" in talk


def test_create_without_a_path_takes_the_settings(airflow, osmos_home):
    code, document, _ = airflow("create", "--conn-id", "box")
    assert (code, document["path"]) == (0, f"{osmos_home}/mailboxes/box")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--path", "box"], "path is 'box'; expected one from the root"),
        (["--path", "nosuch://box"], "cannot be opened"),
        (["--path", "/box", "--max-age-days", "-1"], "max_age is -1.0"),
        (["--path", "/box", "--page-limit", "0"], "page_limit is 0"),
        (["--path", "/box", "--schema", "/none.json"], "/none.json"),
    ],
)
def test_create_refuses_what_could_not_be_used_and_makes_nothing(airflow, options, message):
    code, document, talk = airflow("create", "--conn-id", "box", *options)
    assert (code, document) == (2, None)
    assert message in talk
    assert "Traceback" not in talk
    with create_session() as session:
        assert session.scalars(select(Connection)).all() == []


def test_create_does_not_touch_a_connection_that_there_is(airflow, orders, set_connection, tmp_path):
    before = extra_of("orders")
    code, _, talk = airflow("create", "--conn-id", "orders", "--path", str(tmp_path / "other"))
    assert code == 2
    assert "'orders' already, in the metadata database" in talk
    assert extra_of("orders") == before
    set_connection("env_box", conn_type="osmos_mailbox")
    code, _, talk = airflow("create", "--conn-id", "env_box", "--path", str(tmp_path / "other"))
    assert code == 2
    assert "in the environment variable AIRFLOW_CONN_ENV_BOX" in talk


def test_a_token_is_shown_once_and_its_hash_is_kept(airflow, orders):
    code, document, talk = airflow(
        "token", "add", "--conn-id", "orders", "--name", "acme", "--direction", "read", "--expires", "90d"
    )
    token = document.pop("token")
    assert code == 0
    assert well_formed(token)
    assert set(document) == {"mailbox", "name", "direction", "created_at", "expires_at"}
    assert "only time" in talk
    assert token not in talk
    extra = extra_of("orders")
    assert extra["path"]
    assert token not in json.dumps(extra)
    (kept,) = load_access(extra["access"])
    assert find([kept], token, "read", datetime.now(UTC)) == kept
    assert kept.expires_at - kept.created_at == timedelta(days=90)

    code, document, talk = airflow("show", "--conn-id", "orders")
    assert [each["name"] for each in document["tokens"]] == ["acme"]
    assert kept.sha256 not in json.dumps(document) + talk


def test_a_token_is_changed_over_and_revoked(airflow, orders):
    def add(name, direction="read"):
        return airflow("token", "add", "--conn-id", "orders", "--name", name, "--direction", direction)

    assert [add("old")[0], add("new")[0], add("sender", "write")[0]] == [0, 0, 0]
    code, document, talk = add("third")
    assert (code, document) == (2, None)
    assert "probably 'old'" in talk
    code, document, _ = airflow("token", "revoke", "--conn-id", "orders", "--name", "old")
    assert (code, document["revoked"]) == (0, "old")
    assert [each["name"] for each in document["tokens"]] == ["new", "sender"]
    assert [each["name"] for each in extra_of("orders")["access"]] == ["new", "sender"]
    assert add("third")[0] == 0
    assert airflow("token", "revoke", "--conn-id", "orders", "--name", "old")[0] == 2


def test_what_is_in_the_environment_is_printed_to_be_put_there(airflow, set_connection, tmp_path):
    set_connection("env_box", conn_type="osmos_mailbox", extra={"path": str(tmp_path)})
    code, document, talk = airflow("token", "add", "--conn-id", "env_box", "--name", "a", "--direction", "read")
    assert code == 2
    assert "environment variable AIRFLOW_CONN_ENV_BOX" in talk
    assert "Until then nothing has changed" in talk
    (kept,) = load_access(document["access"])
    assert find([kept], document["token"], "read", datetime.now(UTC))

    set_connection("env_box", conn_type="osmos_mailbox", extra={"path": str(tmp_path), "access": document["access"]})
    code, document, _ = airflow("token", "revoke", "--conn-id", "env_box", "--name", "a")
    assert (code, document["access"]) == (2, [])


def test_what_is_in_a_secrets_backend_is_named(airflow, monkeypatch):
    class Vault:
        def get_connection(self, conn_id):
            return Connection(conn_id=conn_id, conn_type="osmos_mailbox")

    class Broken(Vault):
        def get_connection(self, conn_id):
            raise OSError("sealed")

    monkeypatch.setattr("airflow.configuration.ensure_secrets_loaded", lambda: [Vault()])
    monkeypatch.setattr("airflow.sdk.BaseHook.get_connection", Vault().get_connection)
    code, document, talk = airflow("token", "add", "--conn-id", "box", "--name", "a", "--direction", "write")
    assert (code, len(document["access"])) == (2, 1)
    assert "the secrets backend Vault" in talk
    monkeypatch.setattr("airflow.configuration.ensure_secrets_loaded", lambda: [Broken()])
    code, document, talk = airflow("token", "add", "--conn-id", "box", "--name", "a", "--direction", "write")
    assert (code, document) == (2, None)
    assert "Broken cannot look up connection 'box': sealed" in talk


def test_a_database_without_tables_is_told_in_a_line(airflow, monkeypatch):
    def no_table(self, conn_id):
        raise OSError("no such table: connection\n[SQL: SELECT a\nFROM b]")

    monkeypatch.setattr("airflow.secrets.metastore.MetastoreBackend.get_connection", no_table)
    code, _, talk = airflow("token", "add", "--conn-id", "box", "--name", "a", "--direction", "write")
    assert code == 2
    assert "no such table: connection. Is it reached, and has 'airflow db migrate' made its tables?" in talk
    assert "SELECT" not in talk


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"conn_type": "osmos_http"}, "connection 'box' is of the type 'osmos_http'"),
        ({"conn_type": "osmos_mailbox", "extra": '{"access": {}}'}, "connection 'box': access: found dict"),
        ({"conn_type": "osmos_mailbox", "extra": "{broken"}, "the extra is no JSON object"),
    ],
)
def test_a_connection_that_is_not_understood_is_left_as_it_is(airflow, fields, message):
    with create_session() as session:
        session.add(Connection(conn_id="box", **{**fields, "extra": None}))
    with create_session() as session:
        conn = session.scalars(select(Connection)).one()
        conn._extra, conn.is_extra_encrypted = fields.get("extra"), False
    code, document, talk = airflow("token", "add", "--conn-id", "box", "--name", "a", "--direction", "read")
    assert (code, document) == (2, None)
    assert message in talk
    with create_session() as session:
        assert session.scalars(select(Connection)).one()._extra == fields.get("extra")


@pytest.mark.parametrize(
    "words",
    [
        ["token", "add", "--name", "a", "--direction", "read"],
        ["token", "revoke", "--name", "a"],
        ["show"],
        ["consumers"],
        ["seek", "--consumer", "a", "--to", "latest"],
        ["purge"],
    ],
)
def test_a_connection_that_is_not_there_is_misuse(airflow, words):
    code, document, talk = airflow(*words, "--conn-id", "nowhere")
    assert (code, document) == (2, None)
    assert re.search(r"error: --conn-id: .*nowhere.* isn't defined", talk)


def test_show_and_consumers_say_who_is_how_far_behind(airflow, orders):
    code, document, talk = airflow("show", "--conn-id", "orders")
    assert (code, document["batches"], document["records"], document["newest_at"]) == (0, 0, 0, None)
    assert "0 records in 0 batches" in talk
    for _ in range(3):
        orders.publish([{"id": n} for n in range(10)])
    orders.commit("acme", orders.read(consumer="acme", limit=15).next)
    orders.read(consumer="idle")
    code, document, talk = airflow("show", "--conn-id", "orders")
    assert (code, document["batches"], document["records"], document["tail"]) == (0, 3, 30, 3)
    assert document["bytes"] == sum(orders.mailbox().log.entry(seq).bytes for seq in (1, 2, 3))
    acme, idle = document["consumers"]
    assert (acme["name"], acme["batch"], acme["record"], acme["lag"]) == ("acme", 2, 5, 15)
    assert (idle["name"], idle["batch"], idle["lag"]) == ("idle", None, 30)
    assert "acme: 15 records behind, asked less than a minute ago." in talk
    assert airflow("consumers", "--conn-id", "orders")[1] == document["consumers"]


def test_seek_moves_a_consumer_there_and_back(airflow, orders):
    for _ in range(3):
        orders.publish([{"id": n} for n in range(10)])
    late = orders.read(consumer="acme", limit=15)
    orders.commit("acme", late.next)

    def seek(to):
        return airflow("seek", "--conn-id", "orders", "--consumer", "acme", "--to", to)

    code, document, talk = seek("latest")
    assert (code, document["batch"], document["lag"]) == (0, 4, 0)
    assert "no effect" in talk
    assert seek("earliest")[1]["lag"] == 30
    assert not orders.commit("acme", late.next)
    second = orders.mailbox().log.entry(2).published_at
    assert seek(second)[1]["batch"] == 2
    assert seek("2099-01-01")[1]["batch"] == 4
    assert seek("soon")[0] == 2
    assert airflow("seek", "--conn-id", "orders", "--consumer", "../a", "--to", "latest")[0] == 2
    code, document, talk = airflow("seek", "--conn-id", "orders", "--consumer", "new", "--to", "latest")
    assert (code, document["lag"]) == (0, 0)
    assert "a slip in its name" in talk


def test_purge_rehearses_marks_and_deletes(airflow, orders, monkeypatch):
    code, document, talk = airflow("purge", "--conn-id", "orders")
    assert (code, document["batches"]) == (0, 0)
    assert "neither max_age nor max_bytes" in talk
    assert "nothing to delete" in talk
    with create_session() as session:
        conn = session.scalars(select(Connection)).one()
        conn.set_extra(json.dumps({**conn.extra_dejson, "max_bytes": 1}))
    orders = MailboxHook("orders")
    for _ in range(3):
        orders.publish([{"id": 1}])
    orders.commit("acme", orders.read(consumer="acme", limit=1).next)
    _, dry_run, talk = airflow("purge", "--conn-id", "orders", "--dry-run")
    assert (dry_run["waiting"], dry_run["earliest"]) == (2, 3)
    assert "2 batches" in talk
    assert "would be out of reach" in talk
    assert orders.mailbox().log.earliest(fresh=True) == 1
    _, document, talk = airflow("purge", "--conn-id", "orders")
    assert {**document, "dry_run": True} == dry_run
    assert "first purge that comes 10 minutes later" in talk
    _, shown, talk = airflow("consumers", "--conn-id", "orders")
    assert shown[0]["expired"]
    assert "was purged" in talk
    assert purge(orders.mailbox(), now=datetime.now(UTC) + GRACE, dry_run=True).batches == 2


def test_times_are_read_as_people_write_them():
    assert parse_time("2026-12-31", "--to") == datetime(2026, 12, 31, tzinfo=UTC)
    assert parse_time("2026-12-31T06:00:00+01:00", "--to") == datetime(2026, 12, 31, 5, tzinfo=UTC)
    assert parse_time("2026-12-31T06:00:00+01:00", "--to").tzinfo is UTC
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"):
        with pytest.raises(ConfigurationError, match="--to"):
            parse_time(text, "--to")
    assert expiry(None, NOW) is None
    assert expiry("90d", NOW) == NOW + timedelta(days=90)
    assert expiry("12h", NOW) == NOW + timedelta(hours=12)
    assert expiry("2026-03-02", NOW) == datetime(2026, 3, 2, tzinfo=UTC)
    for text in ("0d", "2026-03-01", "90", "d", "-1d", "", "99999999d"):
        with pytest.raises(ConfigurationError, match="--expires"):
            expiry(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "less than a minute ago"),
        (59, "less than a minute ago"),
        (60, "1 minute ago"),
        (7200, "2 hours ago"),
        (86_400 * 1500, "1,500 days ago"),
    ],
)
def test_ages_are_said_in_the_largest_unit(seconds, text):
    assert ago(NOW - timedelta(seconds=seconds), NOW) == text
