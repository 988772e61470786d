from __future__ import annotations

import pytest

from airflow_provider_osmosdest.web.http.problems import Problem
from airflow_provider_osmosdest.web.http.ranges import wanted_range


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=99-99", (99, 100)),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("records=0-9", None),
        ("nonsense", None),
    ],
)
def test_ranges(given, expected):
    assert wanted_range(given, None, '"e"', 100) == expected


@pytest.mark.parametrize("given", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_after_the_end_is_416_and_says_the_size(given):
    with pytest.raises(Problem) as raised:
        wanted_range(given, None, '"e"', 100)
    assert raised.value.status == 416
    assert raised.value.headers["Content-Range"] == "bytes */100"


def test_a_range_of_another_file_is_left_aside():
    assert wanted_range("bytes=0-9", '"e"', '"e"', 100) == (0, 10)
    assert wanted_range("bytes=0-9", '"f"', '"e"', 100) is None
    assert wanted_range("bytes=0-9", 'W/"e"', '"e"', 100) is None
