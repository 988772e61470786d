"""Receipts: one key, one body, one answer."""

from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.inbox.receipts import TAKEN_OVER_AFTER, Receipts
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import KeyInProgressRejection, KeyReusedRejection
from airflow_provider_osmosdest.core.mailbox.store.store import Store

ANSWER = {"receipt_id": "r", "accepted": 2}


@pytest.fixture
def clock():
    return [1_800_000_000.0]


@pytest.fixture
def receipts(tmp_path, clock):
    return Receipts(Store(tmp_path), clock=lambda: clock[0])


def test_a_new_key_is_opened_and_closed(receipts):
    assert receipts.open("d", "body") is None
    assert receipts.answered("d", "body") is None
    receipts.close("d", "body", ANSWER)
    assert receipts.answered("d", "body") == ANSWER
    assert receipts.open("d", "body") == ANSWER


def test_nothing_is_known_of_a_key_that_never_came(receipts):
    assert receipts.answered("d", "body") is None


@pytest.mark.parametrize("state", ["open", "done", "abandoned"])
def test_another_body_is_rejected_whatever_became_of_the_first(receipts, clock, state):
    receipts.open("d", "body")
    if state == "done":
        receipts.close("d", "body", ANSWER)
    if state == "abandoned":
        receipts.abandon("d", "body")
    clock[0] += 10 * TAKEN_OVER_AFTER
    with pytest.raises(KeyReusedRejection):
        receipts.open("d", "other")
    assert receipts.answered("d", "other") is None


@pytest.mark.parametrize(("age", "wait"), [(0, 5), (7.5, 3), (9.9, 1), (-9.9, 1)])
def test_one_in_flight_is_waited_for(receipts, clock, age, wait):
    receipts.open("d", "body")
    clock[0] += age
    with pytest.raises(KeyInProgressRejection) as caught:
        receipts.open("d", "body")
    assert caught.value.seconds == wait


@pytest.mark.parametrize("age", [TAKEN_OVER_AFTER, -TAKEN_OVER_AFTER])
def test_one_left_behind_is_taken_over_and_then_in_flight_again(receipts, clock, age):
    receipts.open("d", "body")
    clock[0] += age
    assert receipts.open("d", "body") is None
    with pytest.raises(KeyInProgressRejection, match="in progress"):
        receipts.open("d", "body")


def test_who_waits_as_told_has_the_key_of_a_dead_process_within_the_time_that_is_promised(receipts, clock):
    receipts.open("d", "body")
    begun = clock[0]
    asked = 0
    while True:
        try:
            assert receipts.open("d", "body") is None
            break
        except KeyInProgressRejection as rejected:
            clock[0] += rejected.seconds
            asked += 1
    assert clock[0] - begun == TAKEN_OVER_AFTER
    assert asked == 2, "a sender that asks again three times only is served"


def test_one_abandoned_is_taken_over_at_once(receipts):
    receipts.open("d", "body")
    receipts.abandon("d", "body")
    assert receipts.open("d", "body") is None


def test_one_purged_in_between_is_opened_anew(tmp_path, receipts, monkeypatch):
    receipts.open("d", "body")
    receipts.close("d", "body", ANSWER)
    store = Store(tmp_path)
    create, purges = Store.create, [lambda: store.delete(["receipts/d.json"])]

    def purged(self, name, data):
        created = create(self, name, data)
        if not created and purges:
            purges.pop()()
        return created

    monkeypatch.setattr(Store, "create", purged)
    assert receipts.open("d", "body") is None


@pytest.mark.parametrize(
    "found",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b'{"state":"done","fingerprint":"body","at":"2026-01-01"}',
        b'{"fingerprint":"body","at":5}',
    ],
)
def test_a_damaged_receipt_is_named(receipts, tmp_path, found):
    receipts.open("d", "body")
    (tmp_path / "receipts/d.json").write_bytes(found)
    for ask in (receipts.open, receipts.answered):
        with pytest.raises(StorageError, match=r"receipts/d\.json of the mailbox is damaged"):
            ask("d", "body")
