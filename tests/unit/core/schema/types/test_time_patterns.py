from __future__ import annotations

import locale
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from airflow_provider_osmosdest.core.schema.types.time_patterns import TimePatterns, pattern_problems


def read(type_, pattern, text, *, as_cell=False):
    patterns = (pattern,) if isinstance(pattern, str) else tuple(pattern)
    try:
        return TimePatterns(type_, patterns, as_cell=as_cell).read(text)
    except PydanticCustomError as error:
        return str(error)


@pytest.mark.parametrize(
    ("type_", "pattern", "text", "value"),
    [
        ("date", "%b %d %Y", "Jun 12 1998", date(1998, 6, 12)),
        ("date", "%b %d %Y", "JUN  2 1998", date(1998, 6, 2)),
        ("date", "%B %d, %Y", "february 29, 2024", date(2024, 2, 29)),
        ("date", "%a, %d %b %Y", "Mon, 03 Jun 2024", date(2024, 6, 3)),
        ("date", "%d/%m/%Y", "1/2/2024", date(2024, 2, 1)),
        ("date", "%Y%m%d", "20240531", date(2024, 5, 31)),
        ("date", "%d.%m.%y", "01.02.69", date(1969, 2, 1)),
        ("date", "%d.%m.%y", "01.02.68", date(2068, 2, 1)),
        ("date", "%Y-%j", "2024-366", date(2024, 12, 31)),
        ("date", "%b %Y", "May 2024", date(2024, 5, 1)),
        ("date", "%Y", "2024", date(2024, 1, 1)),
        ("date", "%d.%m.%Y %H:%M", "31.05.2024 00:00", date(2024, 5, 31)),
        ("date", ["%d/%m/%Y", "%m/%d/%Y"], "05/31/2024", date(2024, 5, 31)),
        ("date", ["%Y-%d-%m", "iso"], "2024-02-01", date(2024, 1, 2)),
        ("date", ["%d.%m.%Y", "iso"], "2024-02-01", date(2024, 2, 1)),
        ("time", "%H:%M", "9:05", time(9, 5)),
        ("time", "%I:%M %p", "12:30 am", time(0, 30)),
        ("time", "%I%p", "12PM", time(12)),
        ("time", "%H:%M%z", "10:00+0200", time(10, tzinfo=timezone(timedelta(hours=2)))),
        ("datetime", "%d.%m.%Y %H:%M:%S.%f", "31.05.2024 10:00:00.25", datetime(2024, 5, 31, 10, 0, 0, 250000)),
        ("datetime", "%m/%d/%Y", "05/31/2024", datetime(2024, 5, 31)),
        ("datetime", "%Y-%m-%d %H:%M %Z", "2024-05-31 10:00 UTC", datetime(2024, 5, 31, 10, tzinfo=UTC)),
        (
            "datetime",
            "%d/%b/%Y:%H:%M:%S %z",
            "10/Oct/2000:13:55:36 -0730",
            datetime(2000, 10, 10, 13, 55, 36, tzinfo=timezone(-timedelta(hours=7, minutes=30))),
        ),
        ("datetime", "%Y%m%d%%%H", "20240531%07", datetime(2024, 5, 31, 7)),
    ],
)
def test_what_is_read(type_, pattern, text, value):
    found = read(type_, pattern, text)
    assert (found, getattr(found, "tzinfo", None)) == (value, getattr(value, "tzinfo", None))
    assert list(pattern_problems(type_, (pattern,) if isinstance(pattern, str) else tuple(pattern))) == []


@pytest.mark.parametrize(
    ("type_", "pattern", "text", "expected"),
    [
        ("date", "%b %d %Y", "Jun 31 1998", "a date written as %b %d %Y"),
        ("date", "%b %d %Y", "1998-06-12", "a date written as %b %d %Y"),
        ("date", "%b %d %Y", " Jun 12 1998", "a date written as %b %d %Y"),
        ("date", "%b %d %Y", "Jum 12 1998", "a date written as %b %d %Y"),
        ("date", "%b %d %Y", 19980612, "a date written as %b %d %Y"),
        ("date", "%Y-%j", "2023-366", "a date written as %Y-%j"),
        ("date", "%d.%m.%Y %H:%M", "31.05.2024 00:01", "a date written as %d.%m.%Y %H:%M"),
        ("date", "%Y%m%d", "\uff12\uff10\uff12\uff140531", "a date written as %Y%m%d"),
        ("date", ["%d.%m.%Y", "iso"], "20240531", "a date written as %d.%m.%Y or in ISO 8601"),
        ("date", ["%d.%m.%Y", "iso"], "2024-05-31 00:00", "a date written as %d.%m.%Y or in ISO 8601"),
        ("time", "%H:%M", "24:00", "a time written as %H:%M"),
        ("datetime", "%Y", "0000", "a datetime written as %Y"),
        ("datetime", "%Y%m%d%z", "20240531+2500", "a datetime written as %Y%m%d%z"),
    ],
)
def test_what_is_refused(type_, pattern, text, expected):
    assert read(type_, pattern, text) == f"Input should be {expected}"


def test_a_cell_in_iso_8601_may_have_midnight_behind_its_date():
    assert read("date", ["%d.%m.%Y", "iso"], "2024-05-31 00:00:00", as_cell=True) == date(2024, 5, 31)
    assert isinstance(read("date", "iso", "2024-05-31 00:00:00Z", as_cell=True), str)


@pytest.mark.parametrize(
    ("type_", "patterns", "problem"),
    [
        ("string", ("%Y",), "format applies only to date, time, datetime, not to string"),
        ("date", 5, "format: expected a pattern such as '%d.%m.%Y', or a list of such, found 5"),
        ("date", ("%Y-%m-%d", "%Y-%m-%d"), "format: '%Y-%m-%d' is given twice"),
        ("date", ("%Y-%M-%d",), "format: '%Y-%M-%d': %d is the day, and needs %m or %b or %B beside it"),
        ("date", ("%Y-%q",), "format: '%Y-%q': no such directive %q, expected some of %Y"),
        ("date", ("%Y-%-d",), "no such directive %-"),
        ("date", ("%Y-%",), "no such directive %,"),
        ("date", ("%x",), "no such directive %x"),
        ("date", ("",), "format: '': a date needs its year, %Y or %y"),
        ("date", ("ISO 8601",), "a date needs its year"),
        ("date", ("%d.%m.",), "a date needs its year"),
        ("date", ("%y-%Y",), "the year is there twice"),
        ("date", ("%Y-%j-%d",), "%j is the day of the year"),
        ("date", ("%Y-%m-%d %H:%M%z",), "a date has no zone"),
        ("time", ("%M",), "%M is the minute, and needs %H or %I beside it"),
        ("time", ("%I:%M",), "%I is the hour, and needs %p beside it"),
        ("time", ("%d %H",), "a time has no day"),
        ("time", ("%S",), "a time needs its hour"),
    ],
)
def test_what_is_wrong_with_a_pattern(type_, patterns, problem):
    assert problem in "; ".join(pattern_problems(type_, patterns))


DIRECTIVES = ["%Y", "%y", "%m", "%b", "%B", "%d", "%j", "%H", "%I", "%p", "%M", "%S", "%f", "%z", "%a", "%A"]


@given(
    st.lists(st.sampled_from(DIRECTIVES), min_size=1, max_size=8, unique=True),
    st.sampled_from([" ", "-", "", "/"]),
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2068, 1, 1)),
)
def test_what_strptime_reads_is_read_alike(directives, between, moment):
    pattern = between.join(directives)
    if list(pattern_problems("datetime", (pattern,))):
        return
    text = moment.replace(tzinfo=UTC).strftime(pattern)
    expected = "refused"
    with suppress(ValueError):
        expected = datetime.strptime(text, pattern)  # noqa: DTZ007 - the pattern says whether there is a zone
    found = read("datetime", pattern, text)
    assert (expected == "refused" and isinstance(found, str)) or found == expected


def test_names_are_english_whatever_the_locale():
    before = locale.setlocale(locale.LC_TIME)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C"):
        with suppress(locale.Error):
            locale.setlocale(locale.LC_TIME, name)
    try:
        assert read("date", "%b %d %Y", "Dec 12 1998") == date(1998, 12, 12)
    finally:
        locale.setlocale(locale.LC_TIME, before)
