"""How many units a bucket lets through, and how long it has to be waited for."""

from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.http.token_bucket import TokenBucket


def test_the_first_unit_goes_at_once_whatever_the_clock_shows():
    for now in (0.0, 1_000.0):
        bucket = TokenBucket(50.0)
        assert bucket.available(now) == 1
        assert bucket.wait(now) == 0.0


def test_the_next_unit_comes_after_its_share_of_a_second():
    bucket = TokenBucket(4.0)
    bucket.take(1, 10.0)
    assert bucket.available(10.0) == 0
    assert bucket.wait(10.0) == pytest.approx(0.25)
    assert bucket.wait(10.1) == pytest.approx(0.15)
    assert bucket.available(10.24) == 0
    assert (bucket.available(10.25), bucket.wait(10.25)) == (1, 0.0)


def test_what_is_saved_up_is_not_waited_for():
    bucket = TokenBucket(100.0)
    bucket.take(1, 0.0)
    assert [bucket.wait(now) for now in (0.015, 0.025, 60.0)] == [0.0, 0.0, 0.0]


def test_a_debt_is_waited_for():
    bucket = TokenBucket(10.0)
    bucket.take(21, 0.0)
    assert bucket.available(0.0) == 0
    assert bucket.wait(0.0) == pytest.approx(2.1)
    bucket.take(1, 0.0)
    assert bucket.wait(1.0) == pytest.approx(1.2)


@pytest.mark.parametrize(("rate", "burst", "saved"), [(100.0, 0.1, 10), (100.0, 0.5, 50), (5.0, 0.1, 1)])
def test_a_pause_saves_up_so_much_and_no_more_but_always_a_whole_unit(rate, burst, saved):
    bucket = TokenBucket(rate, burst)
    bucket.take(1, 0.0)
    assert bucket.available(60.0) == saved
    bucket.take(saved, 60.0)
    assert bucket.available(60.0) == 0
    assert bucket.wait(60.0) == pytest.approx(1 / rate)


def test_a_tenth_of_a_second_is_saved_up_unless_told_otherwise():
    bucket = TokenBucket(100.0)
    bucket.take(1, 0.0)
    assert bucket.available(60.0) == 10


def test_a_rate_that_changes_holds_from_then_on():
    bucket = TokenBucket(10.0)
    bucket.take(1, 0.0)
    bucket.rate = 100.0
    assert bucket.wait(0.0) == pytest.approx(0.01)
