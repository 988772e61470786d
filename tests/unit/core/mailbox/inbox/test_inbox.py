"""The inbox: checked, published, and only then acknowledged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.inbox.inbox import Inbox, Posting, idempotency_key, opened
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import (
    KeyRejection,
    KeyReusedRejection,
    RecordsRejection,
    SizeRejection,
)
from airflow_provider_osmosdest.core.mailbox.inbox.signature import Signature
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.schema import DestinationSchema

JSON = "application/json"
SCHEMA = DestinationSchema.load([{"name": "id", "type": "integer", "nullable": False}])
SETTINGS = MailboxSettings("box", schema=SCHEMA)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def posted(store, text, *, settings=SETTINGS, sender="token:a", key=None, media_type=JSON):
    return Inbox(Mailbox(store, settings)).take(media_type, text, sender=sender, key=key)


def rejected(kind, *arguments, **options):
    with pytest.raises(kind) as caught:
        posted(*arguments, **options)
    return caught.value


def records(store):
    page = Mailbox(store, SETTINGS).read(None, limit=1000, max_bytes=10**9)
    return [json.loads(line) for line in page.lines.splitlines()]


def test_records_are_published_and_receipted(store):
    answer = posted(store, b'[{"id":1},{"id":2}]')
    assert answer == {"receipt_id": answer["receipt_id"], "accepted": 2}
    assert records(store) == [{"id": 1}, {"id": 2}]
    entry = Mailbox(store, SETTINGS).log.entry(1)
    assert (entry.batch_id, entry.producer) == (f"inbox-{answer['receipt_id']}", "inbox:token:a")


def test_without_a_key_the_same_body_is_published_again(store):
    first, second = posted(store, b'{"id":1}'), posted(store, b'{"id":1}')
    assert first["receipt_id"] != second["receipt_id"]
    assert len(records(store)) == 2
    assert store.names("receipts") == []


def test_under_a_key_it_is_published_once_and_answered_alike(store):
    first = posted(store, b'{"id":1}', key="k")
    assert posted(store, b'{"id":1}', key="k") == first
    assert records(store) == [{"id": 1}]


def test_another_body_under_the_key_is_rejected(store):
    posted(store, b'{"id":1}', key="k")
    rejected(KeyReusedRejection, store, b'{"id":2}', key="k")
    rejected(KeyReusedRejection, store, b'{"id":1}', key="k", media_type="application/x-ndjson")
    assert records(store) == [{"id": 1}]


def test_keys_of_two_senders_have_nothing_to_do_with_each_other(store):
    first = posted(store, b'{"id":1}', key="k")
    second = posted(store, b'{"id":2}', key="k", sender="signature")
    assert first["receipt_id"] != second["receipt_id"]
    assert len(records(store)) == 2


def test_invalid_records_let_nothing_in_and_bind_no_key(store):
    rejection = rejected(RecordsRejection, store, b'[{"id":1},{"id":"x"}]', key="k")
    assert rejection.invalid == 1
    assert rejection.errors[0]["index"] == 1
    assert store.names("log") == store.names("receipts") == store.names("quarantine") == []
    assert posted(store, b'[{"id":1},{"id":2}]', key="k")["accepted"] == 2


def test_what_was_taken_stays_taken_when_the_schema_changes(store):
    first = posted(store, b'{"id":1}', key="k")
    stricter = replace(SETTINGS, schema=DestinationSchema.load([{"name": "id", "type": "string", "nullable": False}]))
    assert posted(store, b'{"id":1}', key="k", settings=stricter) == first
    rejected(RecordsRejection, store, b'{"id":2}', key="k", settings=stricter)
    rejected(RecordsRejection, store, b'{"id":1}', settings=stricter)


@pytest.mark.parametrize("key", [None, "k"])
def test_no_records_are_no_error_and_no_batch(store, key):
    assert posted(store, b"[]", key=key)["accepted"] == 0
    assert store.names("log") == []
    if key:
        rejected(KeyReusedRejection, store, b'{"id":1}', key=key)


class TestQuarantine:
    SETTINGS = replace(SETTINGS, on_invalid="quarantine")

    def test_the_good_go_on_and_the_bad_are_kept(self, store):
        answer = posted(store, b'[{"id":1},{"id":"x"},{"id":3}]', settings=self.SETTINGS, key="k")
        assert (answer["accepted"], answer["quarantined"]) == (2, 1)
        assert [(each["index"], each["field"]) for each in answer["errors"]] == [(1, "id")]
        assert records(store) == [{"id": 1}, {"id": 3}]
        [name] = store.names("quarantine")
        assert name == f"inbox-{answer['receipt_id']}.ndjson"
        [kept] = map(json.loads, store.get(f"quarantine/{name}").splitlines())
        assert (kept["index"], kept["record"]) == (1, {"id": "x"})
        assert posted(store, b'[{"id":1},{"id":"x"},{"id":3}]', settings=self.SETTINGS, key="k") == answer

    def test_all_may_be_bad(self, store):
        answer = posted(store, b'{"id":"x"}', settings=self.SETTINGS)
        assert (answer["accepted"], answer["quarantined"]) == (0, 1)
        assert store.names("log") == []

    def test_none_may_be(self, store):
        answer = posted(store, b'{"id":1}', settings=self.SETTINGS)
        assert (answer["accepted"], answer["quarantined"], answer["errors"]) == (1, 0, [])
        assert store.names("quarantine") == []


@pytest.mark.parametrize("broken", ["publish", "close"])
def test_a_store_that_fails_is_mended_by_sending_again(store, monkeypatch, broken):
    from airflow_provider_osmosdest.core.mailbox.inbox import inbox

    def fail(*_arguments, **_options):
        raise StorageError("out of reach")

    owner = Mailbox if broken == "publish" else inbox.Receipts
    with monkeypatch.context() as patch:
        patch.setattr(owner, broken, fail)
        with pytest.raises(StorageError):
            posted(store, b'{"id":1}', key="k")
    rejected(KeyReusedRejection, store, b'{"id":2}', key="k")
    assert posted(store, b'{"id":1}', key="k")["accepted"] == 1
    assert records(store) == [{"id": 1}]


def test_a_purged_receipt_does_not_swallow_another_body(store):
    posted(store, b'{"id":1}', key="k")
    store.delete([f"receipts/{name}" for name in store.names("receipts")])
    assert posted(store, b'{"id":1}', key="k")["accepted"] == 1
    store.delete([f"receipts/{name}" for name in store.names("receipts")])
    assert posted(store, b'{"id":2}', key="k")["accepted"] == 1
    assert records(store) == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("value", ["", "x" * 256, "é", "a\tb"])
def test_a_key_that_is_none(value):
    with pytest.raises(KeyRejection, match="Idempotency-Key: found"):
        idempotency_key(value, "Idempotency-Key")


def test_a_key_may_be_long():
    assert idempotency_key("x" * 255, "webhook-id") == "x" * 255


def test_size_is_looked_at_before_the_signature():
    wrong = Signature("id", "0", "v1,AAAA")
    with pytest.raises(SizeRejection):
        opened(Posting(JSON, None, b"x" * 11, wrong), 10, ("whsec_AAAA",))
    assert opened(Posting(JSON, None, b"x" * 10, wrong), 10, ("whsec_AAAA",)) is None
