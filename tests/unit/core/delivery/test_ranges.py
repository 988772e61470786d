from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.ranges import RangeSet

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1])))
INDEXES = st.sets(st.integers(0, 80))


def spelled_out(ranges):
    return {index for start, stop in ranges for index in range(start, stop)}


@given(RANGES)
def test_it_is_the_set_of_what_was_added(ranges):
    found = RangeSet(ranges)
    assert spelled_out(found) == spelled_out(ranges)
    assert len(found) == len(spelled_out(ranges))
    assert [index in found for index in range(80)] == [index in spelled_out(ranges) for index in range(80)]


@given(RANGES)
def test_ranges_are_as_few_as_can_be(ranges):
    found = list(RangeSet(ranges))
    assert all(stop < start for (_, stop), (start, _) in itertools.pairwise(found))
    assert all(start < stop for start, stop in found)


@given(RANGES, INDEXES)
def test_single_indexes_can_be_added_and_taken_out(ranges, indexes):
    found = RangeSet(ranges)
    found.add_all(indexes)
    assert spelled_out(found) == spelled_out(ranges) | indexes
    assert spelled_out(found.minus(indexes)) == spelled_out(ranges) - indexes


@given(RANGES, RANGES)
def test_another_set_can_be_taken_out(ranges, others):
    found = RangeSet(ranges).without(RangeSet(others))
    assert spelled_out(found) == spelled_out(ranges) - spelled_out(others)


@given(RANGES, st.integers(0, 80), st.integers(0, 20))
def test_covering_and_touching(ranges, start, length):
    asked = set(range(start, start + length))
    found = RangeSet(ranges)
    assert found.covers(start, start + length) == (asked <= spelled_out(ranges))
    assert found.touches(start, start + length) == bool(asked & spelled_out(ranges))


@given(RANGES)
def test_its_text_can_be_read_again(ranges):
    assert RangeSet.from_flat(RangeSet(ranges).flat()) == RangeSet(ranges)


@given(RANGES, INDEXES)
def test_a_copy_is_another_set(ranges, indexes):
    first = RangeSet(ranges)
    other = first.copy()
    other.add_all(indexes)
    assert first == RangeSet(ranges)


@pytest.mark.parametrize("numbers", [[1], [0, 0], [-1, 2], [0, -2], [0, 1.5], [True, 1], ["0", 1]])
def test_other_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match="distances"):
        RangeSet.from_flat(numbers)
