from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.http.retry import Backoff, parse_retry_after

NOW = datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC)
SECONDS = st.floats(0.001, 10_000)


@given(SECONDS, SECONDS, st.integers(0, 10_000), st.none() | st.floats(0, 1e12))
def test_a_wait_lies_within_its_bounds(first, longest, retry, asked):
    wait = Backoff(first, longest).wait(retry, asked)
    assert min(asked or 0.0, longest) <= wait <= longest
    if not asked:
        assert wait <= first * 2 ** min(retry, 100)


def test_waits_are_spread_over_all_of_the_growing_interval():
    backoff = Backoff(1.0, 60.0, _random=random.Random(1))
    for retry, most in ((0, 1), (3, 8), (5, 32), (9, 60)):
        waits = [backoff.wait(retry, None) for _ in range(2_000)]
        assert min(waits) < 0.01 * most
        assert 0.99 * most < max(waits) <= most
        assert sum(waits) / len(waits) == pytest.approx(most / 2, rel=0.05)


def test_the_server_is_given_the_time_it_asks_for_up_to_the_longest_wait():
    backoff = Backoff(0.5, 60.0)
    assert backoff.wait(0, 7.5) == 7.5
    assert backoff.wait(0, 3600.0) == 60.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0665", None),  # a digit to Python, not to RFC 9110
        ("Sun, 29 Mar 2026 01:00:00 GMT", 30.0),
        ("Sunday, 29-Mar-26 01:00:00 GMT", 30.0),  # RFC 850, obsolete and still to be read
        ("Sun Mar 29 01:00:00 2026", 30.0),  # asctime
        ("Sun, 29 Mar 2026 00:00:00 GMT", 0.0),
        ("Sun, 29 Mar 2026 03:00:00 +0200", 30.0),
        ("Sun, 99 Mar 2026 01:00:00 GMT", None),
    ],
)
def test_retry_after_in_all_its_forms(value, seconds):
    assert parse_retry_after(value, now=NOW) == seconds


@given(st.integers(0, 10**9))
def test_a_date_is_counted_from_now(ahead):
    assert parse_retry_after(format_datetime(NOW + timedelta(seconds=ahead), usegmt=True), now=NOW) == ahead


def test_without_a_now_the_clock_is_read():
    value = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert parse_retry_after(value) == pytest.approx(100, abs=5)


@given(
    st.text(max_size=60) | st.from_regex(r"\A\w{3}, \d{1,3} Jan \d{1,6} \d\d:\d\d:\d\d [+-]?\d{1,8}\Z", fullmatch=True)
)
def test_nonsense_is_no_wait_and_no_crash(value):
    seconds = parse_retry_after(value)
    assert seconds is None or seconds >= 0


def test_who_can_wait_longer_waits_as_long_as_is_asked():
    backoff = Backoff(1.0, 60.0, 3600.0)
    assert backoff.wait(0, 600.0) == 600.0
    assert backoff.wait(0, 100_000.0) == 3600.0
    assert backoff.wait(20, None) <= 60.0
