from __future__ import annotations

import random
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.batching.group_testing import SEGMENTS, GroupTesting
from tests.thoroughness import examples

BATCH = 250_000


def walk(size, poison):
    """Split against a server that refuses what holds poison; return requests and records sent, and what was settled."""
    poison = sorted(poison)
    testing = GroupTesting(size)
    requests, sent = 1, size  # the batch that was refused
    accepted, rejected = [], []
    most = min(3 * size, 40 * (len(poison) + 1)) + SEGMENTS
    while (part := testing.next_range()) is not None:
        start, stop = part
        requests += 1
        assert requests <= most, "it does not come to an end"
        sent += stop - start
        at = bisect_left(poison, start)
        if at < len(poison) and poison[at] < stop:
            if stop - start == 1:
                rejected.append(start)
            testing.refused()
        else:
            accepted.append(part)
            testing.accepted()
    assert testing.unsettled() == []
    return requests, sent, accepted, rejected


def flat(ranges):
    return [ordinal for start, stop in ranges for ordinal in range(start, stop)]


@st.composite
def sizes_and_poison(draw):
    size = draw(st.integers(1, 3000))
    ordinal = st.integers(0, size - 1)
    lone = draw(st.sets(ordinal, max_size=20))
    runs = draw(st.lists(st.tuples(ordinal, st.integers(1, size)), max_size=2))
    return size, lone.union(*(range(start, min(size, start + length)) for start, length in runs))


@settings(max_examples=examples(150), deadline=None)
@given(sizes_and_poison())
def test_every_poison_record_is_refused_alone_once_and_every_other_accepted_once(case):
    size, poison = case
    _, _, accepted, rejected = walk(size, poison)
    assert sorted(rejected) == sorted(poison)
    assert sorted(flat(accepted)) == sorted(set(range(size)) - poison)


@settings(max_examples=examples(80), deadline=None)
@given(st.integers(1, 300), st.randoms(use_true_random=False), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
def test_a_server_without_rhyme_or_reason_settles_every_record_once_and_in_bounds(size, rnd, refusing):
    testing = GroupTesting(size)
    settled = set()
    requests = 0
    while True:
        before = testing.unsettled()
        part = testing.next_range()
        assert all(start < stop for start, stop in testing.unsettled())
        assert sorted(set(range(size)) - settled) == flat(testing.unsettled()), "unsettled is the complement"
        if part is None:
            assert before == []
            break
        requests += 1
        assert requests <= 3 * size + SEGMENTS
        start, stop = part
        assert 0 <= start < stop <= size
        assert settled.isdisjoint(range(start, stop))
        if rnd.random() < refusing:
            testing.refused()
            if stop - start == 1:
                settled.add(start)
        else:
            testing.accepted()
            settled.update(range(start, stop))
    assert settled == set(range(size))


@pytest.mark.parametrize(("count", "seeds", "most"), [(1, 60, 37), (10, 25, 240), (100, 8, 1_900), (1_000, 3, 14_000)])
def test_a_batch_of_250_000_takes_few_requests_and_few_records_twice(count, seeds, most):
    for seed in range(seeds):
        requests, sent, _, rejected = walk(BATCH, random.Random(seed).sample(range(BATCH), count))
        assert len(rejected) == count
        assert requests <= most
        assert sent <= 4.5 * BATCH


@pytest.mark.parametrize("start", [0, 1_000, 123_456, BATCH - 1_000])
def test_poison_in_one_run_is_walked_and_not_searched_for(start):
    requests, sent, _, rejected = walk(BATCH, range(start, start + 1_000))
    assert len(rejected) == 1_000
    assert requests <= 2_500
    assert sent <= 4.5 * BATCH


def test_first_come_sixteen_equal_segments():
    testing = GroupTesting(160)
    seen = []
    for _ in range(SEGMENTS):
        seen.append(testing.next_range())
        testing.accepted()
    assert seen == [(start, start + 10) for start in range(0, 160, 10)]
    assert testing.next_range() is None


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 100, 1_000])
def test_segments_are_nearly_equal_and_no_more_than_records(size):
    testing = GroupTesting(size)
    segments = testing.unsettled()
    lengths = [stop - start for start, stop in segments]
    assert flat(segments) == list(range(size))
    assert len(segments) == min(16, size)
    assert max(lengths) - min(lengths) <= 1


def after_the_segments(size, bad):
    """Return a group testing that has found poison in the first segments, and none in the others."""
    testing = GroupTesting(size)
    for number in range(SEGMENTS):
        testing.next_range()
        if number < bad:
            testing.refused()
        else:
            testing.accepted()
    return testing


@pytest.mark.parametrize(
    ("size", "bad", "first"),
    [
        (160, 1, 5),  # one poison record among 160, which would make 64, but ten are known to hold it
        (16_000, 1, 500),
        (160, 8, 4),  # half of the segments are clean: 11 among 160
        (160, 12, 2),  # a quarter of them: 22
        (16_000, 9, 500),  # 13 among 16,000, which makes 512
        (16_000, 10, 256),  # 16
        (16_000, 12, 256),
        (160, 15, 1),
        (160, 16, 1),
    ],
)
def test_the_first_group_is_as_large_as_the_clean_segments_allow(size, bad, first):
    assert after_the_segments(size, bad).next_range() == (0, first)


def way(testing, poison):
    """Return the ranges that are sent from now on, those that are refused with a minus before their length."""
    sent = []
    while (part := testing.next_range()) is not None:
        start, stop = part
        refused = any(start <= each < stop for each in poison)
        (testing.refused if refused else testing.accepted)()
        sent.append((start, start - stop if refused else stop - start))
        assert len(sent) < 1_000, "it does not come to an end"
    return sent


def test_the_group_gallops_up_again_behind_what_was_found():
    assert way(after_the_segments(1_600, 1), {3, 5}) == [
        *[(0, -50), (0, -25), (0, -12), (0, -6), (0, 3), (3, -1)],  # down to the first, by halves
        # Nothing is known of the rest, so it goes in one.
        *[(4, -96), (4, -48), (4, -24), (4, -12), (4, -6), (4, -3), (4, 1), (5, -1)],
        # Two in three records, and then none: the further behind them, the fewer there seem to be.
        *[(6, 1), (7, 1), (8, 1), (9, 2), (11, 2), (13, 4), (17, 4), (21, 8), (29, 8), (37, 16), (53, 16), (69, 16)],
        (85, 15),
    ]


def test_a_run_counts_with_its_last_four_records_only():
    sent = way(after_the_segments(1_600, 1), range(10))
    behind = [length for start, length in sent if start >= 10]
    assert behind == [*[1] * 10, *[2] * 6, *[4] * 6, *[8] * 5, 4]


def test_a_batch_of_poison_alone_does_not_take_more_than_a_request_a_record_and_the_way_down():
    requests, _, accepted, rejected = walk(5_000, range(5_000))
    assert accepted == []
    assert sorted(rejected) == list(range(5_000))
    assert requests <= 5_300


def test_an_answer_without_a_request_is_a_mistake_of_the_caller():
    with pytest.raises(RuntimeError, match=r"^no range is under way: call next_range\(\) first$"):
        GroupTesting(3).accepted()
    testing = GroupTesting(3)
    testing.next_range()
    testing.refused()
    with pytest.raises(RuntimeError, match="next_range"):
        testing.refused()
