from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.batching.size_limit import SizeLimit


def test_nothing_is_known_before_a_body_was_too_large():
    sizes = SizeLimit()
    assert sizes.limit is None
    sizes.passed(1000)
    assert sizes.limit is None


def test_half_of_what_failed_is_the_first_guess():
    sizes = SizeLimit()
    sizes.failed(1000)
    assert sizes.limit == 500
    sizes.failed(500)
    assert sizes.limit == 250


def test_what_passed_is_better_than_half():
    sizes = SizeLimit()
    sizes.passed(900)
    sizes.failed(1000)
    assert sizes.limit == 900


def test_a_failure_below_what_passed_forgets_what_passed():
    sizes = SizeLimit()
    sizes.passed(900)
    sizes.failed(800)
    assert sizes.limit == 400


def test_a_pass_above_what_failed_forgets_what_failed():
    sizes = SizeLimit()
    sizes.failed(1000)
    sizes.passed(1200)
    assert sizes.limit is None


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 10_000))))
def test_a_body_that_just_failed_is_always_above_the_limit(events):
    sizes = SizeLimit()
    for passed, length in events:
        if passed:
            sizes.passed(length)
            assert sizes.limit is None or sizes.limit >= length
        else:
            sizes.failed(length)
            assert sizes.limit is not None
            assert sizes.limit < length
