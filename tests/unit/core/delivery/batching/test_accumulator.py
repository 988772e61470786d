from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.batching.accumulator import BatchAccumulator
from airflow_provider_osmosdest.core.delivery.batching.batch import Batch, Run
from airflow_provider_osmosdest.core.delivery.envelope import Envelope

ARRAY = Envelope(b"[", b"]")
SEPARATORS = (b",\n", b"\n")


def dumped(record):
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def a_record(index, width=0):
    return {"id": index, "text": "é\n," * width}


def make_run(indexes, separator=b"\n", width=lambda index: 0):
    lines = b"".join(dumped(a_record(index, width(index))) + separator for index in indexes)
    return Run(lines, indexes, separator)


def make_batch(groups, separator=b"\n"):
    return Batch([make_run(group, separator) for group in groups if group])


def read(body, separator):
    raw = b"".join(body.pieces)
    assert body.length == len(raw)
    if separator == b"\n":
        assert raw.endswith(b"\n")
        return [json.loads(line) for line in raw.split(b"\n")[:-1]]
    return json.loads(raw)


def around(separator):
    return ARRAY if separator == b",\n" else Envelope()


@st.composite
def grouped_indexes(draw, min_size=1, max_size=60):
    """Ascending indexes with gaps, cut into consecutive groups; a group without gaps may be a range."""
    steps = draw(st.lists(st.integers(1, 4), min_size=min_size, max_size=max_size))
    indexes, last = [], -1
    for step in steps:
        last += step
        indexes.append(last)
    groups = []
    while indexes:
        size = draw(st.integers(1, len(indexes)))
        group, indexes = indexes[:size], indexes[size:]
        if group[-1] - group[0] == size - 1 and draw(st.booleans()):
            groups.append(range(group[0], group[-1] + 1))
        else:
            groups.append(group)
    return groups


def flat(groups):
    return [index for group in groups for index in group]


@given(grouped_indexes(), st.sampled_from(SEPARATORS), st.data())
def test_the_body_of_any_range_is_what_serialising_its_records_gives(groups, separator, data):
    batch, indexes = make_batch(groups, separator), flat(groups)
    assert batch.size == len(indexes)
    start = data.draw(st.integers(0, batch.size - 1))
    stop = data.draw(st.integers(start + 1, batch.size))
    body = batch.body(start, stop, around(separator))
    joined = separator.join(dumped(a_record(index)) for index in indexes[start:stop])
    expected = b"[" + joined + b"]" if separator == b",\n" else joined + b"\n"
    assert b"".join(body.pieces) == expected
    assert body.length == len(expected)
    assert batch.bytes_between(start, stop) == len(joined) + len(separator)


@given(grouped_indexes(), st.sampled_from(SEPARATORS))
def test_items_are_the_index_and_json_of_each_record(groups, separator):
    batch, indexes = make_batch(groups, separator), flat(groups)
    expected = [(index, dumped(a_record(index))) for index in indexes]
    assert list(batch.items(0, batch.size)) == expected
    assert [(batch.index(at), batch.record(at)) for at in range(batch.size)] == expected
    assert list(batch.items(batch.size, batch.size)) == []


@given(grouped_indexes(), st.sampled_from(SEPARATORS), st.data())
def test_runs_of_a_range_are_a_batch_of_the_same_records(groups, separator, data):
    batch = make_batch(groups, separator)
    start = data.draw(st.integers(0, batch.size - 1))
    stop = data.draw(st.integers(start + 1, batch.size))
    inside = Batch(batch.runs(start, stop))
    assert list(inside.items(0, inside.size)) == list(batch.items(start, stop))


@given(grouped_indexes(), st.sampled_from(SEPARATORS), st.data())
def test_without_leaves_every_other_record_in_order(groups, separator, data):
    batch, indexes = make_batch(groups, separator), flat(groups)
    gone = data.draw(st.sets(st.integers(0, batch.size - 1)))
    left = batch.without(gone)
    expected = [index for at, index in enumerate(indexes) if at not in gone]
    if not expected:
        assert left is None
        return
    assert [index for index, _ in left.items(0, left.size)] == expected
    assert read(left.body(0, left.size, around(separator)), separator) == [a_record(index) for index in expected]


@given(grouped_indexes(), st.sampled_from(SEPARATORS), st.data())
def test_fitting_is_the_furthest_that_fits_and_at_least_one(groups, separator, data):
    batch = make_batch(groups, separator)
    start = data.draw(st.integers(0, batch.size - 1))
    stop = data.draw(st.integers(start + 1, batch.size))
    limit = data.draw(st.integers(-5, batch.bytes_between(start, stop) + 5))
    end = batch.fitting(start, stop, limit)
    assert start < end <= stop
    assert end == start + 1 or batch.bytes_between(start, end) <= limit
    assert end == stop or batch.bytes_between(start, end + 1) > limit


@settings(deadline=None)
@given(
    grouped_indexes(max_size=120),
    st.sampled_from(SEPARATORS),
    st.integers(1, 130),
    st.none() | st.integers(2, 400),
    st.lists(st.integers(0, 12), min_size=7, max_size=7),
)
def test_batches_hold_the_records_in_order_within_their_borders_and_bounds(groups, separator, size, most, widths):
    def width(index):
        return widths[index % 7]

    overhead = 0  # two brackets more, one separator of two bytes less; NDJSON has neither
    cutter = BatchAccumulator(size, most, overhead)
    batches = [batch for group in groups for batch in cutter.add(make_run(group, separator, width))]
    batches += cutter.flush()
    seen = []
    for batch in batches:
        indexes = [index for index, _ in batch.items(0, batch.size)]
        assert len({index // size for index in indexes}) == 1, "a batch never crosses a border"
        body = batch.body(0, batch.size, around(separator))
        assert most is None or body.length <= most or batch.size == 1
        assert read(body, separator) == [a_record(index, width(index)) for index in indexes]
        seen.append(indexes)
    assert [index for indexes in seen for index in indexes] == flat(groups)
    if most is None:
        assert len({indexes[0] // size for indexes in seen}) == len(seen), "one batch between two borders"
    else:
        for before, behind in itertools.pairwise(seen):
            if before[0] // size == behind[0] // size:
                more = sum(
                    len(dumped(a_record(index, width(index)))) + len(separator) for index in [*before, behind[0]]
                )
                assert more > most, "a batch ends sooner only where the next record does not fit"


@given(grouped_indexes(max_size=120), st.integers(1, 40), st.none() | st.integers(2, 300), st.data())
def test_borders_do_not_depend_on_how_records_come_in_runs(groups, size, most, data):
    def cut(runs):
        cutter = BatchAccumulator(size, most)
        batches = [batch for run in runs for batch in cutter.add(run)] + list(cutter.flush())
        return [[index for index, _ in batch.items(0, batch.size)] for batch in batches]

    indexes, other = flat(groups), []
    while indexes:
        taken = data.draw(st.integers(1, len(indexes)))
        other.append(indexes[:taken])
        indexes = indexes[taken:]
    assert cut(map(make_run, groups)) == cut(map(make_run, other))


@given(grouped_indexes(min_size=2, max_size=80), st.integers(1, 20), st.data())
def test_borders_stay_where_they_are_when_other_records_are_invalid(groups, size, data):
    indexes = flat(groups)
    gone = data.draw(st.sets(st.sampled_from(indexes), max_size=len(indexes) - 1))

    def border_of(left):
        cutter = BatchAccumulator(size)
        batches = [*cutter.add(make_run(left)), *cutter.flush()]
        return {index: number for number, batch in enumerate(batches) for index, _ in batch.items(0, batch.size)}

    whole, fewer = border_of(indexes), border_of([index for index in indexes if index not in gone])
    for one, other in itertools.pairwise(sorted(fewer)):
        assert (fewer[one] == fewer[other]) == (whole[one] == whole[other])


def test_a_body_shares_the_memory_of_its_runs():
    run = make_run(range(1000))
    body = Batch([run]).body(10, 900, Envelope())
    views = [piece for piece in body.pieces if isinstance(piece, memoryview)]
    assert [view.obj for view in views] == [run.lines]


def test_a_run_taken_whole_is_not_looked_through():
    run = make_run(range(10))
    assert run.cut(0, 10) is run
    assert run.span(0, 10) == (0, len(run.lines))
    assert run._ends is None


def test_flushing_nothing_gives_nothing():
    assert list(BatchAccumulator(5).flush()) == []


@pytest.mark.parametrize("overhead", [0, 11])
def test_overhead_counts_against_the_bound(overhead):
    one = len(dumped(a_record(0))) + 1
    cutter = BatchAccumulator(100, 3 * one + overhead, overhead)
    batches = [*cutter.add(make_run(range(7))), *cutter.flush()]
    assert [batch.size for batch in batches] == [3, 3, 1]
