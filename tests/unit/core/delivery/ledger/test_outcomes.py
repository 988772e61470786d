from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.batching.batch import Batch, Run
from airflow_provider_osmosdest.core.delivery.ledger.journal import Journal
from airflow_provider_osmosdest.core.delivery.ledger.ledger import Ledger
from airflow_provider_osmosdest.core.delivery.ledger.outcomes import Outcomes
from airflow_provider_osmosdest.core.delivery.ledger.store import MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.report import Tally
from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification
from airflow_provider_osmosdest.core.delivery.responses.sends import EARLIER
from airflow_provider_osmosdest.core.http.verdict import Verdict

REFUSED = Classification(Verdict.REFUSED, 422, "422 Unprocessable: no")


@pytest.fixture
def book(tmp_path):
    """Outcomes, and a function that closes them and returns the lines of the failures file."""
    return opened(tmp_path)


def opened(folder, ledger=None, **more):
    tally = Tally()
    journal = Journal(ledger or Ledger.new("f"), MemoryLedgerStore(), folder, tally)
    outcomes = Outcomes(tally, journal, **more)

    def lines():
        journal.close(complete=False)
        return [json.loads(line) for path in folder.glob("failures-*") for line in path.read_bytes().splitlines()]

    return outcomes, lines


def fate(outcomes, index):
    """Return the counts of the outcomes that are not nought, and whether a record is settled."""
    tally, journal = outcomes.tally, outcomes.journal
    names = ("delivered", "duplicate", "invalid", "rejected", "unknown", "unsent")
    journal.close(complete=False)
    return {name: getattr(tally, name) for name in names if getattr(tally, name)}, index in journal._ledger.settled


def test_delivered_records_are_counted_and_not_listed(book):
    outcomes, lines = book
    outcomes.delivered(3, [(0, 3)])
    assert outcomes.tally.delivered == 3
    assert lines() == []


def test_each_outcome_is_added_to_what_there_is_of_it(book):
    outcomes, _ = book
    for index in (10, 20):
        outcomes.delivered(3, [(index, index + 3)])
        outcomes.delivered_each([index + 4, index + 6])
        outcomes.duplicates([index + 7, index + 8])
        outcomes.invalid(index + 9, "id: missing", b"{}")
    assert fate(outcomes, 29) == ({"delivered": 10, "duplicate": 4, "invalid": 2}, True)


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
    outcomes.invalid_all(
        [(index, error, b"{}") for index, error in zip((1, 4, 6), errors, strict=True)], form="textual"
    )
    outcomes.invalid_all([])
    outcomes.invalid_all([(8, "age: no integer (found 9.5)", b"{}")])
    assert outcomes.tally.invalid == 4
    assert outcomes.tally.reasons == {"invalid: age: no integer": 3, "invalid: name: Field required": 1}
    assert [(line["index"], line["error"], line.get("textual", False)) for line in lines()] == [
        (1, errors[0], True),
        (4, errors[1], True),
        (6, errors[2], True),
        (8, "age: no integer (found 9.5)", False),
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
    outcomes.failed([(0, b"{}")], REFUSED, 1, error="date is in the future")
    assert [line["error"] for line in lines()] == ["date is in the future"]


def test_unsent_records_say_why(book):
    outcomes, lines = book
    outcomes.unsent(iter([(5, b"{}")]), "stopped")
    assert outcomes.tally.unsent == 1
    assert lines() == [
        {"index": 5, "outcome": "unsent", "status": None, "error": "stopped", "attempts": 0, "record": {}}
    ]


def answer(verdict, status=None, error="boom"):
    return Classification(verdict, status, error)


@pytest.mark.parametrize("resends", [True, False])
@pytest.mark.parametrize(
    ("verdict", "outcome", "settled"),
    [
        (Verdict.REFUSED, "rejected", True),
        (Verdict.TOO_LARGE, "rejected", True),
        (Verdict.EXISTS, "rejected", True),
        (Verdict.UNREADABLE, "unknown", True),
        (Verdict.TRANSIENT, "unsent", False),
        (Verdict.UNREACHABLE, "unsent", False),
        (Verdict.IN_DOUBT, "unknown", None),
        (Verdict.FAILED, "unknown", None),
    ],
)
def test_what_a_verdict_makes_of_a_record(tmp_path, verdict, outcome, settled, resends):
    outcomes, lines = opened(tmp_path, resends_unknown=resends)
    outcomes.failed([(7, b"{}")], answer(verdict, 418), 3)
    assert lines() == [{"index": 7, "outcome": outcome, "status": 418, "error": "boom", "attempts": 3, "record": {}}]
    # What may have been taken is open as long as twice is better than never.
    assert fate(outcomes, 7) == ({outcome: 1}, not resends if settled is None else settled)


@pytest.mark.parametrize("resends", [True, False])
def test_what_was_sent_and_never_answered_is_unknown_after_a_request_unless_it_took_more(tmp_path, resends):
    outcomes, lines = opened(tmp_path, resends_unknown=resends)
    outcomes.unknown([(7, b"{}")], "stopped")
    outcomes.unknown([(8, b"{}")], "stopped", attempts=4)
    assert fate(outcomes, 7) == ({"unknown": 2}, not resends)
    assert lines() == [
        {"index": index, "outcome": "unknown", "status": None, "error": "stopped", "attempts": attempts, "record": {}}
        for index, attempts in ((7, 1), (8, 4))
    ]


class TestInDoubt:
    """A record of which an earlier send may have been taken."""

    def refused(self, folder, **more):
        outcomes, lines = opened(folder)
        outcomes.journal.doubt([(7, 8)])
        outcomes.failed([(6, b"{}"), (7, b"{}")], REFUSED, 2, **more)
        return outcomes, {line["index"]: line for line in lines()}

    def test_refused_it_is_unknown_for_good_and_the_others_are_rejected(self, tmp_path):
        outcomes, lines = self.refused(tmp_path)
        assert fate(outcomes, 7) == ({"rejected": 1, "unknown": 1}, True)
        assert (lines[6]["outcome"], lines[6]["error"]) == ("rejected", REFUSED.error)
        assert (lines[7]["outcome"], lines[7]["status"], lines[7]["attempts"]) == ("unknown", 422, 2)

    def test_it_is_told_with_both_answers(self, tmp_path):
        _, lines = self.refused(tmp_path, earlier_error="timed out")
        assert lines[7]["error"] == f"{REFUSED.error}; an earlier request may have been taken: timed out"

    def test_where_nothing_is_known_of_the_other_it_says_that(self, tmp_path):
        _, lines = self.refused(tmp_path, error="no such customer")
        assert lines[7]["error"] == f"no such customer; an earlier request may have been taken: {EARLIER}"

    @pytest.mark.parametrize("attempts", [0, 1, 3])
    def test_not_taken_now_it_is_unknown_and_never_unsent(self, tmp_path, attempts):
        outcomes, lines = opened(tmp_path)
        outcomes.journal.doubt([(7, 8)])
        outcomes.unsent([(6, b"{}"), (7, b"{}")], "stopped", attempts=attempts)
        found = {line["index"]: line for line in lines()}
        assert fate(outcomes, 7) == ({"unknown": 1, "unsent": 1}, False)
        assert (found[6]["outcome"], found[6]["error"], found[6]["attempts"]) == ("unsent", "stopped", attempts)
        assert (found[7]["outcome"], found[7]["error"]) == ("unknown", EARLIER)
        assert found[7]["attempts"] == max(1, attempts), "it was sent at least once"

    def test_where_nothing_may_be_sent_again_it_is_settled(self, tmp_path):
        outcomes, _ = opened(tmp_path, resends_unknown=False)
        outcomes.journal.doubt([(7, 8)])
        outcomes.unsent([(7, b"{}")], "stopped")
        assert fate(outcomes, 7) == ({"unknown": 1}, True)


class TestHeld:
    """Records refused before anything was accepted."""

    def held(self, folder, ledger=None, most=5, records=3):
        outcomes, lines = opened(folder, ledger, most_held=most)
        outcomes.failed([(index, b"{}") for index in range(records)], REFUSED, 2)
        return outcomes, lines

    def test_where_the_delivery_stops_they_are_rejected_and_open(self, tmp_path):
        outcomes, lines = self.held(tmp_path)
        outcomes.close(stopped=True)
        assert lines() == [
            {
                "index": index,
                "outcome": "rejected",
                "status": 422,
                "error": REFUSED.error,
                "attempts": 2,
                "record": {},
            }
            for index in range(3)
        ]
        assert outcomes.journal.has_open
        assert fate(outcomes, 0) == ({"rejected": 3}, False)

    def test_where_it_comes_to_its_end_they_are_settled(self, tmp_path):
        outcomes, _ = self.held(tmp_path)
        outcomes.close(stopped=False)
        assert not outcomes.journal.has_open
        assert fate(outcomes, 2) == ({"rejected": 3}, True)

    @pytest.mark.parametrize(
        "accept",
        [lambda outcomes: outcomes.delivered(1, [(9, 10)]), lambda outcomes: outcomes.delivered_each([9])],
    )
    def test_once_something_is_accepted_they_are_settled_and_so_is_what_follows(self, tmp_path, accept):
        outcomes, _ = self.held(tmp_path)
        accept(outcomes)
        assert outcomes.tally.rejected == 3
        outcomes.failed([(11, b"{}")], REFUSED, 1)
        assert outcomes.tally.rejected == 4
        outcomes.close(stopped=True)
        assert not outcomes.journal.has_open
        assert fate(outcomes, 0) == ({"delivered": 1, "rejected": 4}, True)

    def test_where_an_earlier_attempt_delivered_something_none_are_held(self, tmp_path):
        outcomes, _ = self.held(tmp_path, Ledger.new("f"))
        assert outcomes.tally.rejected == 0
        earlier = Ledger.new("f")
        earlier.counts = {"delivered": 1}
        outcomes, _ = self.held(tmp_path / "other", earlier)
        assert outcomes.tally.rejected == 3

    def test_no_more_are_held_than_the_bound(self, tmp_path):
        outcomes, lines = self.held(tmp_path, most=5, records=4)
        assert outcomes.tally.rejected == 0
        outcomes.failed([(index, b"{}") for index in range(4, 9)], REFUSED, 2)
        assert outcomes.tally.rejected == 9
        outcomes.close(stopped=True)
        assert not outcomes.journal.has_open
        assert [line["index"] for line in lines()] == list(range(9))

    def test_at_the_bound_they_are_settled(self, tmp_path):
        outcomes, _ = self.held(tmp_path, most=5, records=4)
        outcomes.failed([(4, b"{}")], REFUSED, 2)
        assert outcomes.tally.rejected == 5
        outcomes.close(stopped=True)
        assert fate(outcomes, 4) == ({"rejected": 5}, True)

    def test_none_are_held_unless_it_is_asked_for(self, tmp_path):
        outcomes, _ = opened(tmp_path)
        outcomes.failed([(0, b"{}")], REFUSED, 2)
        outcomes.close(stopped=True)
        assert fate(outcomes, 0) == ({"rejected": 1}, True)

    @pytest.mark.parametrize("stopped", [True, False])
    def test_so_is_one_of_which_a_send_may_have_been_taken(self, tmp_path, stopped):
        outcomes, _ = opened(tmp_path, most_held=5)
        outcomes.journal.doubt([(7, 8)])
        outcomes.failed([(6, b"{}"), (7, b"{}")], REFUSED, 1)
        assert (outcomes.tally.rejected, outcomes.tally.unknown) == (0, 0)
        outcomes.close(stopped=stopped)
        assert fate(outcomes, 7) == ({"rejected": 1, "unknown": 1}, not stopped)


def test_what_the_api_has_already_is_settled_and_no_failure(book):
    outcomes, lines = book
    outcomes.duplicates([3, 4, 9])
    assert lines() == []
    assert fate(outcomes, 9) == ({"duplicate": 3}, True)
    assert fate(outcomes, 5) == ({"duplicate": 3}, False)
