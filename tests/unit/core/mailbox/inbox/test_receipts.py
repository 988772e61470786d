"""Receipts: one key, one body, one answer."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.inbox.receipts import TAKEN_OVER_AFTER, Receipts
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import KeyInProgressRejection, KeyReusedRejection
from airflow_provider_osmosdest.core.mailbox.store.store import Store

ANSWER = {"receipt_id": "r", "accepted": 2}
AT = "2027-01-15T08:00:00+00:00"  # the clock of these tests


def kept(folder):
    return json.loads((folder / "receipts/d.json").read_bytes())


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
    with pytest.raises(KeyReusedRejection) as caught:
        receipts.open("d", "other")
    assert str(caught.value) == (
        "this idempotency key came with another body before; send each body with a key of its own"
    )
    assert receipts.answered("d", "other") is None


@pytest.mark.parametrize(
    ("age", "wait"), [(0, 5), (4.5, 5), (5.5, 5), (7.5, 3), (8.5, 2), (9.0, 1), (9.9, 1), (-9.9, 1)]
)
def test_one_in_flight_is_waited_for(receipts, clock, age, wait):
    receipts.open("d", "body")
    clock[0] += age
    with pytest.raises(KeyInProgressRejection) as caught:
        receipts.open("d", "body")
    assert caught.value.seconds == wait
    assert str(caught.value) == (
        f"a request with this idempotency key is in progress; send it again in {wait} s for its answer. Should the "
        "server have died over it, the key is free for the same body 10 s after it came"
    )


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
    assert kept(tmp_path)["state"] == "open"


def test_what_is_kept_of_a_key_is_its_state_its_body_and_when(receipts, clock, tmp_path):
    receipts.open("d", "body")
    first = kept(tmp_path)
    writer = first.pop("by")
    assert first == {"state": "open", "fingerprint": "body", "at": AT}
    clock[0] += TAKEN_OVER_AFTER
    receipts.open("d", "body")
    assert kept(tmp_path)["by"] != writer, "a store may take equal bytes for the outcome of the same write"
    assert kept(tmp_path)["at"] == "2027-01-15T08:00:10+00:00"
    receipts.abandon("d", "body")
    assert kept(tmp_path) == {"state": "abandoned", "fingerprint": "body", "at": "2027-01-15T08:00:10+00:00"}
    receipts.close("d", "body", ANSWER)
    assert kept(tmp_path) == {
        "state": "done",
        "fingerprint": "body",
        "at": "2027-01-15T08:00:10+00:00",
        "answer": ANSWER,
    }


def test_each_key_has_a_receipt_of_its_own(receipts):
    receipts.open("d", "body")
    receipts.close("d", "body", ANSWER)
    assert receipts.open("other", "body") is None
    assert receipts.answered("d", "body") == ANSWER


def test_the_time_is_the_systems_unless_another_clock_is_given(tmp_path):
    before = time.time()
    Receipts(Store(tmp_path)).open("d", "body")
    assert before <= datetime.fromisoformat(kept(tmp_path)["at"]).timestamp() <= time.time()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (b"", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff", "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"{}", "KeyError: 'at'"),
        (b"[]", "TypeError: list indices must be integers or slices, not str"),
        (b'{"state":"done","fingerprint":"body","at":"2026-01-01"}', "KeyError: 'answer'"),
        (b'{"state":"open","at":"2026-01-01"}', "KeyError: 'fingerprint'"),
        (b'{"fingerprint":"body","at":"2026-01-01"}', "KeyError: 'state'"),
        (b'{"fingerprint":"body","at":5}', "TypeError: fromisoformat: argument must be str"),
        (b'{"fingerprint":"body","at":"noon"}', "ValueError: Invalid isoformat string: 'noon'"),
    ],
)
def test_a_damaged_receipt_is_named(receipts, tmp_path, found, said):
    receipts.open("d", "body")
    (tmp_path / "receipts/d.json").write_bytes(found)
    for ask in (receipts.open, receipts.answered):
        with pytest.raises(StorageError) as caught:
            ask("d", "body")
        assert str(caught.value) == (
            f"receipts/d.json of the mailbox is damaged ({said}): something else has written there. Delete it: what "
            "was taken under its key is known by its claim, too, and is not taken twice"
        )
