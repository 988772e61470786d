from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet

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


@pytest.mark.parametrize(
    ("ranges", "merged"),
    [
        ([(0, 3), (3, 5)], [(0, 5)]),
        ([(3, 5), (0, 3)], [(0, 5)]),
        ([(0, 2), (4, 6), (2, 4)], [(0, 6)]),
        ([(0, 2), (3, 5)], [(0, 2), (3, 5)]),
        ([(0, 2), (8, 9), (3, 5)], [(0, 2), (3, 5), (8, 9)]),
    ],
)
def test_what_touches_is_one_range_and_what_does_not_is_two(ranges, merged):
    assert list(RangeSet(ranges)) == merged


@pytest.mark.parametrize(
    ("indexes", "ranges"),
    [([], []), ([4], [(4, 5)]), ([1, 1, 2], [(1, 3)]), ([5, 2, 1, 3], [(1, 4), (5, 6)]), ([1, 3], [(1, 2), (3, 4)])],
)
def test_single_indexes_join_their_neighbours_only(indexes, ranges):
    found = RangeSet()
    found.add_all(indexes)
    assert list(found) == ranges


def test_sets_that_differ_in_one_end_of_a_range_are_not_equal():
    assert RangeSet([(1, 4)]) == RangeSet([(1, 2), (2, 4)])
    assert RangeSet([(1, 4)]) != RangeSet([(1, 5)])
    assert RangeSet([(1, 4)]) != RangeSet([(0, 4)])
    assert RangeSet([(1, 4)]) != [(1, 4)]


def test_its_ranges_are_shown():
    assert repr(RangeSet([(1, 3), (7, 8)])) == "RangeSet([(1, 3), (7, 8)])"


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


def test_no_index_at_all_touches_nothing():
    assert RangeSet([(1, 5)]).touches(4, 5)
    assert not RangeSet([(1, 5)]).touches(3, 3)
    assert not RangeSet([(1, 5)]).touches(5, 6)


def test_its_text_is_gaps_and_lengths():
    assert RangeSet([(0, 3)]).flat() == [0, 3]
    assert RangeSet([(2, 5), (9, 10)]).flat() == [2, 3, 4, 1]
    assert list(RangeSet.from_flat([0, 3, 1, 2])) == [(0, 3), (4, 6)]


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
    with pytest.raises(ValueError, match=r"^not the distances of a set of ranges$"):
        RangeSet.from_flat(numbers)
