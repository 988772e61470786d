from __future__ import annotations

from airflow_provider_osmosdest.web.rate_limits import Failures, Rates


def test_each_failure_of_an_address_is_answered_later_up_to_a_bound():
    failures = Failures()
    assert [failures.delay("a", 0.0) for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert failures.delay("b", 0.0) == 0.25


def test_a_quiet_minute_is_forgiven():
    failures = Failures()
    failures.delay("a", 0.0)
    assert failures.delay("a", 59.0) == 0.5
    assert failures.delay("a", 120.0) == 0.25


def test_what_is_remembered_of_strangers_is_bounded():
    failures = Failures()
    for number in range(10_100):
        failures.delay(str(number), 0.0)
    assert len(failures._counts) == 10_000


def test_a_token_has_its_rate_and_a_second_of_burst():
    rates = Rates()
    key = ("box", "digest")
    assert rates.wait(key, 10, 0.0) == 0
    assert rates.wait(key, 10, 0.0) == 1
    # After a pause there is one second's worth, and no more.
    assert [rates.wait(key, 10, 100.0) for _ in range(11)] == [0] * 10 + [1]
    assert rates.wait(("box", "other"), 10, 100.0) == 0


def test_the_wait_is_said_in_whole_seconds_that_suffice():
    rates = Rates()
    key = ("box", "digest")
    assert rates.wait(key, 0.1, 0.0) == 0
    seconds = rates.wait(key, 0.1, 1.0)
    assert seconds == 9
    assert rates.wait(key, 0.1, 1.0 + seconds) == 0
    # A changed rate counts from now on.
    assert rates.wait(key, 100, 10.0) == 0
