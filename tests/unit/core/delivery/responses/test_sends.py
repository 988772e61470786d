"""The sends of one chunk: when it goes again, and what became of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification
from airflow_provider_osmosdest.core.delivery.responses.sends import EARLIER, IN_PROGRESS_SECONDS, Sends, with_earlier
from airflow_provider_osmosdest.core.http.verdict import Verdict

ACCEPTED = Classification(Verdict.ACCEPTED, 200)
EXISTS = Classification(Verdict.EXISTS, 409, "409: have it")
REFUSED = Classification(Verdict.REFUSED, 422, "422: no")
CONFLICT = Classification(Verdict.REFUSED, 409, "409: conflict")
LOCKED = Classification(Verdict.REFUSED, 423, "423: locked")
TOO_LARGE = Classification(Verdict.TOO_LARGE, 413, "413: too large")
BUSY = Classification(Verdict.TRANSIENT, 503, "503: busy")
UNREACHABLE = Classification(Verdict.UNREACHABLE, None, "no route")
FAILED = Classification(Verdict.FAILED, 500, "500: oops")
SILENCE = Classification(Verdict.IN_DOUBT, None, "timed out")
IN_PROGRESS = Classification(Verdict.IN_PROGRESS, 409, "409: in progress")
MISCONFIGURED = Classification(Verdict.MISCONFIGURED, 401, "401: who are you")
UNREADABLE = Classification(Verdict.UNREADABLE, 200, "200: ?")

ANY = (
    ACCEPTED,
    EXISTS,
    REFUSED,
    CONFLICT,
    LOCKED,
    TOO_LARGE,
    BUSY,
    UNREACHABLE,
    FAILED,
    SILENCE,
    IN_PROGRESS,
    MISCONFIGURED,
    UNREADABLE,
)
ENDS = (ACCEPTED, EXISTS, REFUSED, TOO_LARGE, MISCONFIGURED, UNREADABLE)


TIMEOUT = 60.0


def sends(retries=3, *, once=False, inherited=False):
    return Sends(retries, timeout=TIMEOUT, once=once, inherited=inherited)


def after(*classifications, **more):
    """Return the sends after these answers."""
    made = sends(**{"retries": 100, **more})
    for classification in classifications:
        made.again(classification, 0.0)
    return made


def count_again(classification, made):
    """Return how often the same request goes again while the answer stays this one."""
    for number in range(200):
        if not made.again(classification, 0.0):
            return number
    return None


class TestAgain:
    @pytest.mark.parametrize("classification", [BUSY, UNREACHABLE, FAILED, SILENCE])
    @pytest.mark.parametrize("retries", [0, 1, 3])
    def test_what_may_pass_goes_again_until_the_retries_are_spent(self, classification, retries):
        assert count_again(classification, sends(retries)) == retries

    @pytest.mark.parametrize("classification", [*ENDS, CONFLICT, LOCKED])
    def test_an_answer_that_settles_it_ends_it(self, classification):
        assert not sends().again(classification, 0.0)

    @pytest.mark.parametrize("classification", ENDS)
    def test_it_does_so_while_a_send_is_in_doubt_too(self, classification):
        assert not after(SILENCE).again(classification, 0.0)
        assert not sends(inherited=True).again(classification, 0.0)

    @pytest.mark.parametrize("classification", [CONFLICT, LOCKED])
    @pytest.mark.parametrize("inherited", [True, False])
    def test_a_conflict_with_a_send_in_doubt_is_asked_again_for_the_timeout_and_costs_no_retry(
        self, classification, inherited
    ):
        made = sends(1, inherited=inherited)
        if not inherited:
            assert made.again(SILENCE, 0.0)
        assert all(made.again(classification, 100.0 + seconds) for seconds in range(0, 60, 6))
        assert made.again(classification, 159.9)
        assert not made.again(classification, 160.0)

    def test_a_conflict_behind_a_server_error_may_be_the_request_that_it_answered(self):
        made = after(FAILED)
        assert made.again(CONFLICT, 0.0)
        assert made.again(CONFLICT, 59.0)
        assert not made.again(CONFLICT, 60.0)
        assert made.conclude(CONFLICT) is CONFLICT

    @pytest.mark.parametrize("classification", [SILENCE, FAILED])
    def test_where_once_must_do_nothing_goes_again_that_may_have_been_taken(self, classification):
        assert not sends(once=True).again(classification, 0.0)
        assert not after(BUSY, once=True).again(classification, 0.0)

    @pytest.mark.parametrize("classification", [BUSY, UNREACHABLE])
    def test_where_once_must_do_what_was_not_taken_goes_again(self, classification):
        assert count_again(classification, sends(3, once=True)) == 3

    def test_all_failures_share_the_retries(self):
        made = sends(3)
        assert [made.again(classification, 0.0) for classification in (BUSY, SILENCE, FAILED, UNREACHABLE)] == [
            True
        ] * 3 + [False]

    def test_a_request_in_progress_is_asked_about_for_ten_minutes_and_costs_no_retry(self):
        assert IN_PROGRESS_SECONDS == 600.0
        made = sends(0)
        assert made.again(IN_PROGRESS, 50.0)
        assert all(made.again(IN_PROGRESS, 50.0 + seconds) for seconds in range(0, 600, 7))
        assert made.again(IN_PROGRESS, 649.9)
        assert not made.again(IN_PROGRESS, 650.0)

    def test_the_ten_minutes_begin_with_the_first_such_answer_and_not_with_the_first_send(self):
        made = sends(2)
        assert made.again(BUSY, 0.0)
        assert made.again(IN_PROGRESS, 1_000.0)
        assert made.again(BUSY, 1_300.0)
        assert made.again(IN_PROGRESS, 1_599.0)
        assert not made.again(IN_PROGRESS, 1_600.0)

    def test_the_ten_minutes_may_begin_at_the_clocks_zero(self):
        made = sends(0)
        assert made.again(IN_PROGRESS, 0.0)
        assert not made.again(IN_PROGRESS, 600.0)

    def test_where_once_must_do_a_request_in_progress_is_asked_about_all_the_same(self):
        assert sends(0, once=True).again(IN_PROGRESS, 0.0)


class TestLeastWait:
    @pytest.mark.parametrize("classification", [IN_PROGRESS, CONFLICT, LOCKED])
    def test_the_one_before_is_given_a_tenth_of_the_time_it_may_take(self, classification):
        assert after(SILENCE).least_wait(classification) == 6.0
        assert sends(inherited=True).least_wait(classification) == 6.0

    def test_so_it_is_where_nothing_but_the_answer_tells_of_it(self):
        assert sends().least_wait(IN_PROGRESS) == 6.0

    @pytest.mark.parametrize("classification", [CONFLICT, LOCKED])
    def test_a_conflict_with_nothing_in_doubt_waits_for_nothing(self, classification):
        assert sends().least_wait(classification) == 0.0

    @pytest.mark.parametrize("classification", [BUSY, UNREACHABLE, FAILED, SILENCE, REFUSED])
    def test_nor_does_anything_else(self, classification):
        assert after(SILENCE).least_wait(classification) == 0.0


class TestInDoubt:
    def test_nothing_is_in_doubt_at_first(self):
        made = sends()
        assert (made.in_doubt, made.earlier_error, made.attempts) == (False, "", 0)

    def test_what_an_earlier_attempt_left_is(self):
        made = sends(inherited=True)
        assert (made.in_doubt, made.earlier_error) == (True, EARLIER)

    def test_silence_is_in_doubt_with_what_was_said(self):
        made = after(SILENCE)
        assert (made.in_doubt, made.earlier_error) == (True, "timed out")

    def test_a_server_error_may_have_taken_it_and_is_an_answer(self):
        made = after(FAILED)
        assert (made.in_doubt, made.earlier_error) == (False, "500: oops")

    def test_a_request_in_progress_may_take_it(self):
        made = after(IN_PROGRESS)
        assert (made.in_doubt, made.earlier_error) == (True, IN_PROGRESS.error)

    @pytest.mark.parametrize("classification", [each for each in ANY if each not in (FAILED, SILENCE, IN_PROGRESS)])
    def test_no_other_answer_puts_it_in_doubt(self, classification):
        made = after(classification)
        assert (made.in_doubt, made.earlier_error) == (False, "")

    @pytest.mark.parametrize("classification", [BUSY, UNREACHABLE, FAILED, CONFLICT, IN_PROGRESS])
    def test_what_tells_nothing_of_it_does_not_settle_it(self, classification):
        assert after(SILENCE, classification).in_doubt
        assert after(classification, inherited=True).in_doubt

    def test_the_last_that_may_have_taken_it_is_quoted(self):
        assert after(SILENCE, FAILED).earlier_error == "500: oops"
        assert after(FAILED, SILENCE).earlier_error == "timed out"
        assert after(SILENCE, BUSY).earlier_error == "timed out"
        assert after(SILENCE, inherited=True).earlier_error == "timed out"

    def test_a_send_that_was_broken_off_is_lost(self):
        made = sends()
        made.lost("broken off")
        assert (made.in_doubt, made.earlier_error) == (True, "broken off")
        made.lost("an answer", in_doubt=False)
        assert (made.in_doubt, made.earlier_error) == (True, "an answer")


class TestConclude:
    @pytest.mark.parametrize("classification", [*ENDS, CONFLICT, LOCKED, BUSY, UNREACHABLE, FAILED, SILENCE])
    def test_the_only_answer_is_the_conclusion(self, classification):
        made = sends()
        made.again(classification, 0.0)
        assert made.conclude(classification) == classification

    @pytest.mark.parametrize("classification", ENDS)
    @pytest.mark.parametrize("before", [SILENCE, FAILED, BUSY])
    def test_an_answer_that_settles_it_is_the_conclusion_whatever_came_before(self, classification, before):
        assert after(before, classification).conclude(classification) == classification
        assert after(before, classification, inherited=True).conclude(classification) == classification

    @pytest.mark.parametrize("classification", [BUSY, UNREACHABLE, FAILED])
    def test_not_taken_now_says_nothing_of_a_send_in_doubt(self, classification):
        came = after(SILENCE, classification).conclude(classification)
        assert (came.verdict, came.status) == (Verdict.IN_DOUBT, classification.status)
        assert came.error.startswith(classification.error)

    def test_both_answers_are_quoted(self):
        came = after(SILENCE, BUSY).conclude(BUSY)
        assert came.error == "503: busy; an earlier request may have been taken: timed out"
        assert after(BUSY, inherited=True).conclude(BUSY).error == (
            f"503: busy; an earlier request may have been taken: {EARLIER}"
        )

    @pytest.mark.parametrize("classification", [BUSY, UNREACHABLE])
    def test_nor_of_one_of_an_earlier_attempt(self, classification):
        assert after(classification, inherited=True).conclude(classification).verdict is Verdict.IN_DOUBT
        assert after(FAILED, classification, inherited=True).conclude(classification).verdict is Verdict.IN_DOUBT

    def test_a_server_error_to_every_send_of_this_attempt_is_one(self):
        assert after(FAILED, inherited=True).conclude(FAILED) == FAILED
        assert after(SILENCE, FAILED, inherited=True).conclude(FAILED).verdict is Verdict.IN_DOUBT

    @pytest.mark.parametrize("classification", [BUSY, UNREACHABLE])
    def test_not_taken_now_says_nothing_of_a_server_error_before(self, classification):
        came = after(FAILED, classification).conclude(classification)
        assert came.verdict is Verdict.FAILED
        assert came.error == f"{classification.error}; an earlier request may have been taken: 500: oops"

    @pytest.mark.parametrize("classification", [CONFLICT, LOCKED])
    def test_a_conflict_with_a_send_of_our_own_may_be_with_that_one(self, classification):
        came = after(SILENCE, classification).conclude(classification)
        assert came.verdict is Verdict.IN_DOUBT
        assert came.error == f"{classification.error}; an earlier request may have been taken: timed out"

    @pytest.mark.parametrize("classification", [CONFLICT, LOCKED])
    def test_a_conflict_with_nothing_but_an_earlier_attempt_is_a_refusal(self, classification):
        assert after(classification, inherited=True).conclude(classification) == classification

    def test_a_conflict_behind_a_server_error_is_a_refusal(self):
        assert after(FAILED, CONFLICT).conclude(CONFLICT) == CONFLICT

    def test_a_request_that_stays_in_progress_is_in_doubt(self):
        for made in (after(IN_PROGRESS), after(SILENCE, IN_PROGRESS), after(IN_PROGRESS, inherited=True)):
            assert made.conclude(IN_PROGRESS).verdict is Verdict.IN_DOUBT

    def test_nothing_else_of_the_answer_is_changed(self):
        classification = Classification(Verdict.TRANSIENT, 503, "busy", {1: "no"}, frozenset({2}), 7.0)
        came = after(SILENCE).conclude(classification)
        assert (came.status, came.items, came.existing, came.retry_after) == (503, {1: "no"}, frozenset({2}), 7.0)

    def test_a_success_that_does_not_read_like_one_puts_it_in_doubt(self):
        made = after(Classification(Verdict.MISCONFIGURED, 200, "200: <html>"))
        assert (made.in_doubt, made.earlier_error) == (True, "200: <html>")
        assert not after(Classification(Verdict.MISCONFIGURED, 300, "300: moved")).in_doubt
        assert not after(Classification(Verdict.MISCONFIGURED, None, "wrong name")).in_doubt


@given(st.lists(st.sampled_from(ANY), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_what_is_in_doubt_is_never_called_not_taken(answers, once, inherited):
    made = Sends(100, timeout=TIMEOUT, once=once, inherited=inherited)
    for answer in answers:
        made.again(answer, 0.0)
    came = made.conclude(answers[-1])
    if came.verdict in (Verdict.TRANSIENT, Verdict.UNREACHABLE):
        assert not inherited
        assert SILENCE not in answers
        assert FAILED not in answers
    if came.verdict is Verdict.IN_DOUBT:
        assert inherited or SILENCE in answers or IN_PROGRESS in answers
    assert came.verdict is not Verdict.IN_PROGRESS


def test_one_thing_is_not_said_twice():
    assert with_earlier("no", "") == "no"
    assert with_earlier("no", "no") == "no"
    assert with_earlier("no", "silence") == "no; an earlier request may have been taken: silence"
