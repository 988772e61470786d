"""What a column tells of its values; that both paths agree is looked at in ``test_fast_path.py``."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import msgspec
import pytest

from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.validation.columns import Bounds, Checked, Decimals, Members, Read


def field(type_, *, nullable=True, **constraints):
    document = {"name": "a", "type": type_, "nullable": nullable, "constraints": constraints}
    return DestinationSchema.load([document]).fields[0]


def refused(column, values):
    return list(column.convert(values)[1])


def raw(*texts):
    return [msgspec.Raw(text) for text in texts]


def test_bounds_are_inside():
    column = Bounds(field("date", minimum="2024-01-01", maximum="2024-12-31"))
    days = [date(2024, 1, 1), None, date(2023, 12, 31), date(2024, 12, 31), date(2025, 1, 1)]
    assert refused(column, days) == [2, 4]
    assert refused(column, [None]) == []


def test_what_cannot_be_compared_is_left_to_pydantic():
    mixed = [datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)]
    assert refused(Bounds(field("datetime", minimum="2023-01-01T00:00:00Z")), mixed) == [0, 1]
    assert refused(Bounds(field("time", minimum="01:00:00")), [time(2), time(2, tzinfo=UTC)]) == [0, 1]


def test_members():
    assert refused(Members(field("number", enum=[1, 1.5])), [1.0, 2, None, 1.5]) == [1]


def test_texts_are_checked_by_pydantic():
    assert refused(Checked(field("string", pattern="a+")), ["a", None, "b", "aa"]) == [2]


def test_json_is_read_by_pydantic():
    column = Read(field("object", nullable=False, enum=[{"a": 1}]))
    values, bad = column.convert(raw(b'{"a":1}', b'{"a":2}', b"null"))
    assert (values[0], list(bad)) == ({"a": 1}, [1, 2])
    assert refused(column, raw(b'{"a":1}', b'{"a":"\xff"}')) == [0, 1]


@pytest.mark.parametrize(
    ("texts", "written", "bad"),
    [
        ([b'"12.50"', b"12.5", b"0", b'"-0.00"'], ["12.50", "12.5", "0", "-0.00"], []),
        ([b"12.50", b'"1e5"', b"7", b"x", b"8"], None, [0, 1, 3]),
        ([b"null", b"1"], [None, "1"], []),
        ([b'"1\n2"'], None, [0]),
        ([b'"\xc3\xa9"', b"1"], None, [0]),
        ([], [], []),
    ],
)
def test_decimals_are_taken_by_their_text(texts, written, bad):
    values, refused_ = Decimals(field("decimal")).convert(raw(*texts))
    assert sorted(refused_) == bad
    assert written is None or values == written


@pytest.mark.parametrize(
    ("constraints", "bad"),
    [
        ({"minimum": 0}, [1]),
        ({"minimum": 1}, [0, 1]),
        ({"maximum": "12.49"}, [2]),
        ({"minimum": 0, "maximum": 13}, [1]),
        ({"enum": ["12.5"]}, [0, 1]),
    ],
)
def test_and_compared_where_they_have_to_be(constraints, bad):
    column = Decimals(field("decimal", **constraints))
    assert sorted(column.convert(raw(b"0.5", b"-1", b'"12.50"', b"null"))[1]) == bad
    assert sorted(Decimals(field("decimal", nullable=False)).convert(raw(b"1", b"null"))[1]) == [1]
