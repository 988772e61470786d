from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.batch import Batch, Run
from airflow_provider_osmosdest.core.delivery.journal import Journal
from airflow_provider_osmosdest.core.delivery.judging import Judgement
from airflow_provider_osmosdest.core.delivery.ledger import Entry
from airflow_provider_osmosdest.core.delivery.ledger_store import MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.outcomes import Outcomes
from airflow_provider_osmosdest.core.delivery.report import Tally
from airflow_provider_osmosdest.core.delivery.verdict import Verdict

REFUSED = Judgement(Verdict.REFUSED, 422, "422 Unprocessable: no")


@pytest.fixture
def book(tmp_path):
    """Outcomes, and a function that closes them and returns the lines of the failures file."""
    tally = Tally()
    journal = Journal(Entry.new("f"), MemoryLedgerStore(), tmp_path, tally)
    outcomes = Outcomes(tally, journal)

    def lines():
        journal.close(complete=False)
        return [json.loads(line) for path in tmp_path.glob("failures-*") for line in path.read_bytes().splitlines()]

    return outcomes, lines


def test_delivered_records_are_counted_and_not_listed(book):
    outcomes, lines = book
    outcomes.delivered(3, [(0, 3)])
    assert outcomes.tally.delivered == 3
    assert lines() == []


def test_invalid_records_with_different_values_share_a_reason(book):
    outcomes, lines = book
    for index in range(3):
        outcomes.invalid(index, f"age: expected an integer (found {index}.5)", b'{"age":%d.5}' % index)
    assert outcomes.tally.invalid == 3
    assert outcomes.tally.reasons == {"invalid: age: expected an integer": 3}
    assert [(line["index"], line["attempts"], line["status"]) for line in lines()] == [
        (0, 0, None),
        (1, 0, None),
        (2, 0, None),
    ]


def test_the_invalid_records_of_a_block_are_settled_at_once(book):
    outcomes, lines = book
    errors = ["age: no integer (found 1.5)", "name: Field required", "age: no integer (found 2.5)"]
    outcomes.invalid_all([(index, error, b"{}") for index, error in zip((1, 4, 6), errors, strict=True)], textual=True)
    outcomes.invalid_all([])
    assert outcomes.tally.invalid == 3
    assert outcomes.tally.reasons == {"invalid: age: no integer": 2, "invalid: name: Field required": 1}
    found = lines()
    assert [(line["index"], line["error"], line["textual"]) for line in found] == [
        (1, errors[0], True),
        (4, errors[1], True),
        (6, errors[2], True),
    ]


def test_a_part_is_listed_record_by_record_with_the_answer(book):
    outcomes, lines = book
    batch = Batch([Run(b"{},\n[],\n1,\n", [4, 6, 9], b",\n")])
    outcomes.failed(batch.items(1, 3), REFUSED, 2)
    assert outcomes.tally.rejected == 2
    found = lines()
    assert [(line["index"], line["record"]) for line in found] == [(6, []), (9, 1)]
    assert {(line["outcome"], line["status"], line["error"], line["attempts"]) for line in found} == {
        ("rejected", 422, "422 Unprocessable: no", 2)
    }


def test_an_items_own_error_stands_before_the_answers(book):
    outcomes, lines = book
    outcomes.failed([(0, b"{}")], REFUSED, 1, "date is in the future")
    assert [line["error"] for line in lines()] == ["date is in the future"]


def test_unsent_records_say_why(book):
    outcomes, lines = book
    outcomes.unsent(iter([(5, b"{}")]), "stopped")
    assert outcomes.tally.unsent == 1
    assert lines() == [
        {"index": 5, "outcome": "unsent", "status": None, "error": "stopped", "attempts": 0, "record": {}}
    ]
