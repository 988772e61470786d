from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.http.rate_limits import RateLimits
from airflow_provider_osmosdest.core.http.shared_bucket import SharedBucket


class Store:
    name = "Redis at host:6379 with all tasks on connection 'crm'"

    def ask(self, noun, rate, units):
        return None

    charge = ask


def test_without_a_rate_there_is_no_bucket_and_nothing_to_say():
    for limits in (RateLimits(), RateLimits(4, Store())):
        assert limits.bucket("requests", None) is None
        assert limits.describe("requests", None) is None


def test_a_rate_is_divided_by_those_that_run_at_once():
    bucket = RateLimits(4).bucket("requests", 100)
    bucket.take(1_000, 0.0)
    assert 999 / 25 <= bucket.wait(0.0) <= 1_001 / 25


def test_a_store_is_asked():
    assert isinstance(RateLimits(4, Store()).bucket("requests", 100), SharedBucket)


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        (RateLimits(), None),
        (RateLimits(4), "100 requests a second, divided by 4 mapped tasks: 25."),
        (RateLimits(1, Store()), f"100 requests a second, shared through {Store.name}."),
        (
            RateLimits(4, Store()),
            f"100 requests a second, shared through {Store.name}. While that is away, divided by 4 mapped tasks: 25.",
        ),
    ],
)
def test_the_log_says_which_rate_a_task_keeps_to(limits, line):
    assert limits.describe("requests", 100) == line
