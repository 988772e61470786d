from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.delivery.flow.stop_policy import StopPolicy
from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification
from airflow_provider_osmosdest.core.errors import GivenUpError, MisconfiguredError, SystemicError
from airflow_provider_osmosdest.core.http.verdict import Verdict

WHERE = "POST https://api.example.com/v1"


def said(verdict, status=None, error="boom"):
    return Classification(verdict, status, error)


REFUSED = said(Verdict.REFUSED, 422)
SPENT = said(Verdict.TRANSIENT, 503)


@pytest.fixture
def stop_policy():
    return StopPolicy(5, WHERE, "check host, port and network")


def first_error(stop_policy, classification, records=1, tries=1_000, **more):
    for number in range(1, tries + 1):
        if (error := stop_policy.observe(classification, records, **more)) is not None:
            return number, error
    return None


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (None, "certificate"),
        (401, "token"),
        (403, "token"),
        (404, "base URL"),
        (410, "base URL"),
        (405, "method"),
        (501, "method"),
        (407, "proxy"),
        (422, "a bug of airflow-provider-osmosdest: please report it"),
        (302, "redirect"),
        (505, "Check the connection"),
        (200, "Check success_when, item_errors and the base URL"),
        (299, "may have been taken, and is 'unknown'"),
    ],
)
def test_misconfigured_stops_at_once_and_says_what_to_mend(stop_policy, status, advice):
    error = stop_policy.observe(said(Verdict.MISCONFIGURED, status), 10)
    assert isinstance(error, MisconfiguredError)
    said_so = "was sent nothing:" if status is None else "answered"
    assert str(error).startswith(f"{WHERE} {said_so} boom. ")
    assert advice in str(error)


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.TOO_LARGE])
def test_single_records_refused_alike_are_systemic(stop_policy, verdict):
    number, error = first_error(stop_policy, said(verdict, 422))
    assert number == 5
    assert isinstance(error, SystemicError)
    assert WHERE in str(error)
    assert "boom" in str(error)


def test_chunks_of_many_records_do_not_count(stop_policy):
    assert first_error(stop_policy, REFUSED, records=2) is None


def test_another_status_starts_the_count_again(stop_policy):
    other = said(Verdict.REFUSED, 400)
    for _ in range(20):
        assert first_error(stop_policy, REFUSED, tries=4) is None
        assert first_error(stop_policy, other, tries=4) is None


def test_once_something_was_accepted_nothing_is_systemic(stop_policy):
    assert stop_policy.observe(said(Verdict.ACCEPTED, 200), 1) is None
    assert first_error(stop_policy, REFUSED) is None


def test_a_success_that_lists_all_it_was_sent_as_refused_accepts_nothing(stop_policy):
    listed = Classification(Verdict.ACCEPTED, 200, "boom", {0: "bad"})
    number, error = first_error(stop_policy, listed)
    assert number == 5
    assert isinstance(error, SystemicError)
    assert first_error(stop_policy, Classification(Verdict.ACCEPTED, 200, "", {0: "bad", 1: "bad"}), 2) is None
    assert isinstance(stop_policy.observe(listed, 1), SystemicError)


def test_a_success_that_lists_some_as_refused_accepts_the_others(stop_policy):
    assert stop_policy.observe(Classification(Verdict.ACCEPTED, 200, "", {0: "bad"}), 2) is None
    assert first_error(stop_policy, REFUSED) is None


def test_accepted_can_be_told_without_a_judgement(stop_policy):
    stop_policy.accepted()
    assert first_error(stop_policy, REFUSED) is None


def test_no_connection_after_all_retries_is_the_end(stop_policy):
    error = stop_policy.observe(said(Verdict.UNREACHABLE), 1)
    assert isinstance(error, GivenUpError)
    assert "cannot be reached: boom" in str(error)


@pytest.mark.parametrize("verdict", [Verdict.TRANSIENT, Verdict.FAILED, Verdict.IN_DOUBT, Verdict.IN_PROGRESS])
def test_three_chunks_with_all_their_retries_spent_in_a_row_are_the_end(stop_policy, verdict):
    number, error = first_error(stop_policy, said(verdict), in_full=True)
    assert number == 3
    assert isinstance(error, GivenUpError)


@pytest.mark.parametrize(
    ("classification", "text"),
    [
        (said(Verdict.TRANSIENT, 503), "it last answered boom. What it did not take is 'unsent'"),
        (said(Verdict.FAILED, 500), "it last answered boom. What it may have taken is 'unknown', the rest is 'unsent'"),
        (said(Verdict.IN_DOUBT), "the last was boom. What it may have taken is 'unknown', the rest is 'unsent'"),
    ],
)
def test_what_is_given_up_is_told_by_what_it_has_become(stop_policy, classification, text):
    _, error = first_error(stop_policy, classification)
    assert text in str(error)


def test_a_poison_record_found_by_halving_is_not_the_end(stop_policy):
    assert stop_policy.observe(SPENT, 250_000, in_full=True) is None
    assert first_error(stop_policy, SPENT, in_full=False, tries=18) is None
    number, error = first_error(stop_policy, SPENT, in_full=False)
    assert number == 1
    assert isinstance(error, GivenUpError)


@pytest.mark.parametrize("between", [said(Verdict.ACCEPTED, 200), said(Verdict.REFUSED, 400)])
def test_any_real_answer_starts_the_count_again(stop_policy, between):
    for _ in range(20):
        assert first_error(stop_policy, SPENT, in_full=True, tries=2) is None
        assert stop_policy.observe(between, 2) is None


def test_a_record_the_api_has_already_is_as_good_as_one_it_takes(stop_policy):
    assert stop_policy.observe(said(Verdict.EXISTS, 409), 1) is None
    assert first_error(stop_policy, REFUSED) is None


def test_a_batch_refused_for_what_it_has_already_is_neither(stop_policy):
    assert first_error(stop_policy, said(Verdict.EXISTS, 409), records=2) is None
    number, error = first_error(stop_policy, REFUSED)
    assert number == 5
    assert isinstance(error, SystemicError)


def test_refused_records_stay_open_where_nothing_was_ever_accepted():
    again = "Nothing is settled: mend it and clear the task, and these records are sent again."
    for reopens in (True, False):
        _, error = first_error(StopPolicy(5, WHERE, "wait", reopens=reopens), REFUSED)
        assert str(error).endswith(again) is reopens
        assert "refused 5 single records in a row and accepted nothing; it last answered boom." in str(error)


def test_a_success_that_cannot_be_read_stops_and_names_what_to_mend(stop_policy):
    error = stop_policy.observe(said(Verdict.UNREADABLE, 200), 7)
    assert isinstance(error, MisconfiguredError)
    assert str(error) == (
        f"{WHERE} took a request, but boom. Its records are 'unknown'. Mend item_errors before anything more is sent."
    )


def test_no_answer_for_many_records_stops_and_names_every_way_on(stop_policy):
    error = stop_policy.unanswered(said(Verdict.IN_DOUBT, None, "timed out after 60 s"), 1_234)
    assert isinstance(error, GivenUpError)
    text = str(error)
    assert text.startswith(f"{WHERE} gave no answer that tells whether it took 1,234 records sent together")
    assert "the last was timed out after 60 s." in text
    for way in ("'unknown'", "'unsent'", "under the same key", "'timeout'", "'batch_size'", "'already_exists_when'"):
        assert way in text
    assert "set on_no_answer to 'split'" in text


def test_a_refusal_in_between_counts_as_no_failure_of_the_api(stop_policy):
    for _ in range(10):
        assert first_error(stop_policy, SPENT, in_full=False, tries=19) is None
        assert stop_policy.observe(said(Verdict.EXISTS, 409), 2) is None


def test_an_api_as_good_as_down_is_given_up_at_once(stop_policy):
    error = stop_policy.observe(SPENT, 1, in_full=False, hopeless=True)
    assert isinstance(error, GivenUpError)
    assert "stayed unavailable through all retries; it last answered boom" in str(error)
