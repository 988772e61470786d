from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from types import MappingProxyType, SimpleNamespace

import pytest

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_ROWS
from airflow_provider_osmosdest.testing.readers import records_of


class Lazy(Sequence):
    """As Airflow hands over what mapped tasks returned: nothing is fetched before it is asked for."""

    def __init__(self, values, broken_at=None):
        self.values = values
        self.broken_at = broken_at

    def __len__(self):
        raise AssertionError("the length is not needed")

    def __getitem__(self, index):
        if index == self.broken_at:
            raise RuntimeError("the API server is gone")
        return self.values[index]


@pytest.mark.parametrize(
    ("values", "records"),
    [
        ({"a": 1}, [{"a": 1}]),
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
        (({"a": 1},), [{"a": 1}]),
        ([], []),
        ({}, [{}]),
        (({"a": n} for n in range(2)), [{"a": 0}, {"a": 1}]),
        ([[{"a": 1}, {"a": 2}], [], {"a": 3}, ({"a": 4},)], [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}]),
        (Lazy([[{"a": 1}], {"a": 2}]), [{"a": 1}, {"a": 2}]),
        ([{"a": 1}, "x", None, 3, [[{"a": 2}]]], [{"a": 1}, "x", None, 3, [{"a": 2}]]),
        ({"x": {"a": 1}}.values(), [{"a": 1}]),
    ],
)
def test_records_of_values(values, records):
    source = open_source(values)
    assert records_of(source) == (records, None)
    assert source.format == "values"


@pytest.mark.parametrize("values", [MappingProxyType({"a": 1}), [MappingProxyType({"a": 1})]])
def test_other_mappings_become_dicts(values):
    (block,) = open_source(values).blocks()
    assert type(block.rows[0]) is dict


def test_blocks_are_small_and_not_textual():
    blocks = list(open_source([[{"a": n} for n in range(BLOCK_ROWS * 2)], {"a": -1}]).blocks())
    assert [len(block.rows) for block in blocks] == [BLOCK_ROWS, BLOCK_ROWS, 1]
    assert not any(block.textual for block in blocks)


def test_a_generator_is_read_no_faster_than_its_records_are_used():
    counter = itertools.count()
    blocks = open_source({"a": n} for n in counter).blocks()
    next(blocks)
    assert next(counter) == BLOCK_ROWS


@pytest.mark.parametrize("count", [0, 3, BLOCK_ROWS, BLOCK_ROWS + 3])
def test_a_generator_that_raises_gives_its_records_first(count):
    def generate():
        for n in range(count):
            yield {"a": n}
        raise KeyError("token=secret")

    records, fault = records_of(open_source(generate()))
    assert records == [{"a": n} for n in range(count)]
    assert f"values from a generator: raised KeyError after {count:,} values" in str(fault)
    assert "secret" not in str(fault)
    assert isinstance(fault.__cause__, KeyError)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("s3://bucket/key.csv", r"records is a str, expected .* ObjectStoragePath"),
        (b"{}", "records is a bytes"),
        (None, "records is None, .* return nothing"),
        (3, "records is a int, expected a path object, one mapping, or an iterable of mappings"),
        (SimpleNamespace(read=None), "path of the file instead of the open file"),
        (SimpleNamespace(columns=[], to_dict=None), r"to_dict\('records'\)"),
        (SimpleNamespace(columns=[], to_dicts=None, to_dict=None), r"to_dicts\(\)"),
    ],
)
def test_what_holds_no_records_is_refused(values, message):
    with pytest.raises(ConfigurationError, match=message):
        open_source(values)


def test_an_asynchronous_generator_is_refused():
    async def generate():
        yield {}

    with pytest.raises(ConfigurationError, match="async_generator"):
        open_source(generate())


@pytest.mark.parametrize("make", [list, tuple, Lazy])
def test_the_fingerprint_tells_values_apart(make):
    when = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
    fingerprint = open_source(make([{"a": 1, "b": when}, {"c": 2}])).fingerprint
    assert fingerprint is not None
    assert open_source(make([{"a": 1, "b": when}, {"c": 2}])).fingerprint == fingerprint
    for other in ([{"a": 1, "b": when}, {"c": 3}], [{"a": 1, "b": when}], [{"c": 2}, {"a": 1, "b": when}]):
        assert open_source(make(other)).fingerprint != fingerprint


@pytest.mark.parametrize("values", [[{"a": object()}], [{"a": 2**70}, {"b": {(1, 2): 3}}], iter([{"a": 1}])])
def test_what_cannot_be_told_apart_has_no_fingerprint(values):
    assert open_source(values).fingerprint is None


def test_the_fingerprint_leaves_the_records_to_be_read():
    source = open_source([{"a": 1}])
    assert source.fingerprint is not None
    assert records_of(source) == ([{"a": 1}], None)


def test_values_that_cannot_be_got_are_a_fault():
    records, fault = records_of(open_source(Lazy([{"a": 1}, {"a": 2}], broken_at=1)))
    assert records == [{"a": 1}]
    assert "values from a Lazy: raised RuntimeError after 1 values" in str(fault)


def test_progress_is_told_where_the_number_is_known():
    source = open_source([{"a": n} for n in range(4_000)])
    assert source.progress == 0
    assert [source.progress for _ in source.blocks()] == [0.25, 0.5, 0.75, 1]
    assert open_source(iter([{"a": 1}])).progress is None
    assert open_source([]).progress is None


@pytest.mark.parametrize(
    ("values", "description"),
    [([{}] * 1_500, "1,500 values"), ({}, "1 value"), (iter([]), "values from a list_iterator")],
)
def test_the_description_says_what_is_read(values, description):
    assert open_source(values).description == description
