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


NAME_AND_CERTIFICATE = "Check the host name and certificate ('verify', 'cert') and the credentials of the connection."
SUCCESS = "Check success_when, item_errors and the base URL. What it answers may have been taken, and is 'unknown'."
REDIRECT = "Records are not sent after a redirect: put the address it names into the connection's base URL."
CONNECTION = "Check the connection. Nothing more was sent."
CREDENTIALS = "Check the token or password, and the 'headers' of the connection. Nothing more was sent."
RIGHTS = "Check the token or password and what it may do, and the 'headers' of the connection. Nothing more was sent."
URL = "Check the connection's base URL and the endpoint below it. Nothing more was sent."
METHOD = "Check the connection's method. Nothing more was sent."
PROXY = "Check the proxy's user and password. Nothing more was sent."
OTHER_BYTES = (
    "Check whether envelope or compression were changed since the last attempt: by its key, the API has had these "
    "records in other bytes. If not, it is a bug of airflow-provider-osmosdest: please report it. Nothing more was "
    "sent."
)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (None, NAME_AND_CERTIFICATE),
        (200, SUCCESS),
        (299, SUCCESS),
        (300, REDIRECT),
        (302, REDIRECT),
        (399, REDIRECT),
        (400, CONNECTION),
        (401, CREDENTIALS),
        (403, RIGHTS),
        (404, URL),
        (405, METHOD),
        (407, PROXY),
        (410, URL),
        (422, OTHER_BYTES),
        (501, METHOD),
        (505, CONNECTION),
    ],
)
def test_misconfigured_stops_at_once_and_says_what_to_mend(stop_policy, status, advice):
    error = stop_policy.observe(said(Verdict.MISCONFIGURED, status), 10)
    assert isinstance(error, MisconfiguredError)
    said_so = "was sent nothing:" if status is None else "answered"
    assert str(error) == f"{WHERE} {said_so} boom. {advice}"


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.TOO_LARGE])
def test_single_records_refused_alike_are_systemic(stop_policy, verdict):
    number, error = first_error(stop_policy, said(verdict, 422))
    assert number == 5
    assert isinstance(error, SystemicError)
    assert str(error) == (
        f"{WHERE} refused 5 single records in a row and accepted nothing; it last answered boom. Stopped, as the fault "
        "is not in the records alone: check the schema, mapping, envelope, write mode and endpoint. Nothing is "
        "settled: mend it, and these records are sent again by another attempt."
    )


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
    assert str(error) == (
        f"{WHERE} cannot be reached: boom. What was not sent is 'unsent'; check host, port and network."
    )


@pytest.mark.parametrize("verdict", [Verdict.TRANSIENT, Verdict.FAILED, Verdict.IN_DOUBT, Verdict.IN_PROGRESS])
def test_three_chunks_with_all_their_retries_spent_in_a_row_are_the_end(stop_policy, verdict):
    number, error = first_error(stop_policy, said(verdict), in_full=True)
    assert number == 3
    assert isinstance(error, GivenUpError)


MAYBE_TAKEN = (
    "What it may have taken is 'unknown', the rest is 'unsent'; try again when the API answers, and raise "
    "'timeout' if it needs longer."
)


@pytest.mark.parametrize(
    ("classification", "text"),
    [
        (
            said(Verdict.TRANSIENT, 503),
            "it last answered boom. What it did not take is 'unsent'; try again when the API answers.",
        ),
        (said(Verdict.FAILED, 500), f"it last answered boom. {MAYBE_TAKEN}"),
        (said(Verdict.IN_DOUBT, 504), f"it last answered boom. {MAYBE_TAKEN}"),
        (said(Verdict.IN_DOUBT), f"the last was boom. {MAYBE_TAKEN}"),
    ],
)
def test_what_is_given_up_is_told_by_what_it_has_become(stop_policy, classification, text):
    _, error = first_error(stop_policy, classification)
    assert str(error) == f"{WHERE} stayed unavailable through all retries; {text}"


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
    for reopens, end in (
        (True, "endpoint. Nothing is settled: mend it, and these records are sent again by another attempt."),
        (False, "envelope, write mode and endpoint."),
    ):
        number, error = first_error(StopPolicy(1_234, WHERE, "wait", reopens=reopens), REFUSED, tries=2_000)
        assert number == 1_234
        assert str(error).startswith(f"{WHERE} refused 1,234 single records in a row and accepted nothing; it ")
        assert str(error).endswith(end)


def test_a_success_that_cannot_be_read_stops_and_names_what_to_mend(stop_policy):
    error = stop_policy.observe(said(Verdict.UNREADABLE, 200), 7)
    assert isinstance(error, MisconfiguredError)
    assert str(error) == (
        f"{WHERE} took a request, but boom. Its records are 'unknown'. Mend item_errors before anything more is sent."
    )


def test_no_answer_for_many_records_stops_and_names_every_way_on(stop_policy):
    error = stop_policy.unanswered(said(Verdict.IN_DOUBT, None, "timed out after 60 s"), 1_234)
    assert isinstance(error, GivenUpError)
    assert str(error) == (
        f"{WHERE} gave no answer that tells whether it took 1,234 records sent together, through all retries; the last "
        "was timed out after 60 s. They are 'unknown', and are not sent in parts, as the API could take them twice; "
        "the rest is 'unsent'. Another attempt asks again, with the same records under the same key. If the API needs "
        "longer, raise 'timeout'; if what comes after these records is to go in smaller requests, lower 'batch_size'; "
        "if a 409 of this API means that it has the records, say so in 'already_exists_when'; and if twice is better "
        "than late, set on_no_answer to 'split'."
    )


def test_no_answer_of_a_store_that_takes_each_batch_once_has_another_way_on():
    store = StopPolicy(5, "The mailbox 'orders'", "check the mailbox", refuses=False)
    error = store.unanswered(said(Verdict.IN_DOUBT, None, "disk full"), 1_234)
    assert isinstance(error, GivenUpError)
    assert str(error) == (
        "The mailbox 'orders' cannot be reached: disk full. It may have taken 1,234 records, which are 'unknown'; the "
        "rest is 'unsent'. Another attempt goes on with them, and none is taken twice; check the mailbox."
    )


def test_a_refusal_in_between_counts_as_no_failure_of_the_api(stop_policy):
    for _ in range(10):
        assert first_error(stop_policy, SPENT, in_full=False, tries=19) is None
        assert stop_policy.observe(said(Verdict.EXISTS, 409), 2) is None


def test_an_api_as_good_as_down_is_given_up_at_once(stop_policy):
    error = stop_policy.observe(SPENT, 1, in_full=False, hopeless=True)
    assert isinstance(error, GivenUpError)
    assert str(error).startswith(f"{WHERE} stayed unavailable through all retries; it last answered boom. ")


def test_a_chunk_counts_as_tried_in_full_unless_it_is_said_not_to_be(stop_policy):
    number, _ = first_error(stop_policy, SPENT)
    assert number == 3


def test_it_takes_twenty_in_a_row_where_none_was_tried_in_full(stop_policy):
    number, error = first_error(stop_policy, SPENT, in_full=False)
    assert number == 20
    assert isinstance(error, GivenUpError)


def test_accepting_starts_both_counts_again(stop_policy):
    for in_full, tries in ((True, 2), (False, 19)):
        for _ in range(3):
            assert first_error(stop_policy, SPENT, in_full=in_full, tries=tries) is None
            stop_policy.accepted()


@pytest.mark.parametrize("verdict", [Verdict.TRANSIENT, Verdict.FAILED, Verdict.IN_DOUBT])
def test_a_refusal_counts_alike_whatever_failed_in_between(stop_policy, verdict):
    assert first_error(stop_policy, REFUSED, tries=4) is None
    assert stop_policy.observe(said(verdict, 503), 1) is None
    number, error = first_error(stop_policy, REFUSED)
    assert number == 1
    assert isinstance(error, SystemicError)
