"""``airflow osmosdest seen``: what its commands show, forget and refuse."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from airflow.models.connection import Connection
from airflow.utils.session import create_session
from sqlalchemy import delete

from airflow_provider_osmosdest.core.delivery.known_failures import failure_key
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.seen.files import SeenFiles, content_digest
from airflow_provider_osmosdest.core.seen.keys import RecordKeys
from airflow_provider_osmosdest.core.seen.paths import FAILURES, FILES, scope_of_keys
from airflow_provider_osmosdest.core.seen.store import SeenStore
from airflow_provider_osmosdest.hooks.delivery import seen_folder
from airflow_provider_osmosdest.settings import load_settings

SCHEMA = [{"name": "id", "type": "integer"}, {"name": "note", "type": "string"}]
OLD = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
NEW = datetime(2026, 2, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def airflow(command, monkeypatch, tmp_path):
    """Run a command of ``airflow osmosdest seen``, with the connection ``crm`` and a storage of this test's own."""
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", str(tmp_path / "storage"))
    load_settings.cache_clear()
    with create_session() as session:
        session.execute(delete(Connection))
        extra = json.dumps({"destination_schema": SCHEMA})
        session.add(Connection(conn_id="crm", conn_type="osmos_http", host="http://127.0.0.1:1", extra=extra))
    yield partial(command, "seen")
    load_settings.cache_clear()


def line(number, note="a"):
    return f'{{"id":{number},"note":"{note}"}}\n'


@pytest.fixture
def seen(airflow, tmp_path):
    """Let the connection's endpoints have seen some records and a file."""
    schema = DestinationSchema.load(SCHEMA)
    for at, numbers in ((OLD, (1, 2)), (NEW, (3,))):
        for endpoint, fields in (("notify", ()), ("/notify/", ("id",)), ("", ())):
            lines = "".join(map(line, numbers)).encode()
            store = SeenStore(seen_folder("crm", endpoint) / scope_of_keys(fields), clock=lambda at=at: at)
            store.append(f"delivery {at}", RecordKeys(schema, fields).of(lines))
    path = tmp_path / "taken.ndjson"
    path.write_text(line(1) + line(3))
    files = SeenFiles(seen_folder("crm", "notify") / FILES, clock=lambda: OLD)
    files.take(content_digest([path.read_bytes()]), path.name, 2, "d")
    return path


def counts(document):
    return {
        (endpoint, kind): found.get("keys", found.get("files"))
        for endpoint, kinds in document["endpoints"].items()
        for kind, found in kinds.items()
    }


def test_nothing_seen(airflow):
    code, document, err = airflow("show", "--conn-id", "crm")
    assert (code, document) == (0, {"connection": "crm", "endpoints": {}})
    assert "has seen nothing" in err
    code, document, _ = airflow("forget", "--conn-id", "crm", "--all")
    assert (code, document["forgotten"]) == (0, {})


def test_show(airflow, seen):
    code, document, _ = airflow("show", "--conn-id", "crm")
    assert code == 0
    assert list(document["endpoints"]) == ["/", "/notify"]
    found = document["endpoints"]["/notify"]
    assert list(found) == ["files", "records", "records-by-id"]
    size = found["records"].pop("bytes")
    assert size > 3 * 16
    assert found["records"] == {
        "record_key": None,
        "keys": 3,
        "deliveries": 2,
        "segments": 2,
        "first_at": "2026-01-01T00:00:00+00:00",
        "last_at": "2026-02-01T00:00:00+00:00",
    }
    assert found["records-by-id"]["record_key"] == ["id"]
    assert found["files"]["records"] == 2
    assert list(airflow("show", "--conn-id", "crm", "--endpoint", "notify/")[1]["endpoints"]) == ["/notify"]
    assert airflow("show", "--conn-id", "crm", "--endpoint", "other")[1]["endpoints"] == {"/other": {}}
    err = airflow("show", "--conn-id", "crm", "--endpoint", "other")[2]
    assert "Endpoint 'other' has seen nothing; connection 'crm' has /, /notify." in err
    assert "Nothing was forgotten." in airflow("forget", "--conn-id", "crm", "--endpoint", "other", "--all")[2]


def test_forget_the_records_of_a_file_and_that_it_was_taken(airflow, seen):
    code, document, _ = airflow("forget", "--conn-id", "crm", "--records", str(seen), "--endpoint", "notify")
    assert code == 0
    assert document["forgotten"] == {"/notify": {"files": 1, "records": 2, "records-by-id": 2}}
    _, document, _ = airflow("show", "--conn-id", "crm")
    assert counts(document) == {
        ("/", "records"): 3,
        ("/notify", "files"): 0,
        ("/notify", "records"): 1,
        ("/notify", "records-by-id"): 1,
    }


def test_failures_that_were_reported(airflow, tmp_path):
    store = SeenStore(seen_folder("crm", "notify") / FAILURES)
    store.append("a", [failure_key("invalid", b'{"id":"x"}'), failure_key("rejected", line(2).strip().encode())])
    store.append("b", [failure_key("invalid", b'{"id":"y"}')])
    assert counts(airflow("show", "--conn-id", "crm")[1]) == {("/notify", "failures"): 3}
    failures = tmp_path / "failures-00000.ndjson"
    failure = '{"index":%d,"outcome":"%s","status":null,"error":"no","attempts":0,"record":%s}\n'
    failures.write_text(
        failure % (0, "invalid", '{"id":"x"}') + failure % (4, "rejected", line(2).strip()), encoding="utf-8"
    )
    code, document, err = airflow("forget", "--conn-id", "crm", "--records", str(failures))
    assert (code, document["forgotten"]) == (0, {"/notify": {"failures": 2}}), err
    assert counts(airflow("show", "--conn-id", "crm")[1]) == {("/notify", "failures"): 1}


def test_forget_records_that_were_never_seen(airflow, seen, tmp_path):
    (tmp_path / "other.ndjson").write_text(line(1, "edited"))
    code, document, err = airflow("forget", "--conn-id", "crm", "--records", str(tmp_path / "other.ndjson"))
    assert code == 0
    assert document["forgotten"]["/notify"] == {"files": 0, "records": 0, "records-by-id": 1}
    (tmp_path / "other.ndjson").write_text(line(9, "edited"))
    _, _, err = airflow("forget", "--conn-id", "crm", "--records", str(tmp_path / "other.ndjson"))
    assert "--schema and --mapping must be those of the task" in err


def test_forget_what_was_delivered_since_a_time(airflow, seen):
    since = (datetime.fromtimestamp(NEW, UTC) - timedelta(days=1)).date().isoformat()
    code, document, _ = airflow("forget", "--conn-id", "crm", "--since", since)
    assert code == 0
    assert document["forgotten"]["/notify"] == {"files": 0, "records": 1, "records-by-id": 1}


def test_forget_everything(airflow, seen):
    code, document, err = airflow("forget", "--conn-id", "crm", "--all")
    assert code == 0
    assert document["forgotten"] == {"/": {"records": 3}, "/notify": {"files": 1, "records": 3, "records-by-id": 3}}
    assert "10 forgotten" in err
    assert set(counts(airflow("show", "--conn-id", "crm")[1]).values()) == {0}


@pytest.mark.parametrize("words", [(), ("--all", "--since", "2026-01-01")])
def test_one_of_three_ways_to_forget(airflow, words):
    code, document, err = airflow("forget", "--conn-id", "crm", *words)
    assert (code, document) == (2, None)
    assert "expected one of --records PATH, --since TIME and --all" in err


def test_a_time_that_is_none(airflow, seen):
    code, _, err = airflow("forget", "--conn-id", "crm", "--since", "yesterday")
    assert code == 2
    assert "--since: found 'yesterday', expected a date or a time" in err


def test_a_connection_that_is_not_there(airflow, seen):
    seen_folder("other").mkdir(parents=True)
    code, _, err = airflow("forget", "--conn-id", "other", "--records", str(seen))
    assert code == 2
    assert "other" in err
