from __future__ import annotations

import json
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.readers import json_array
from airflow_provider_osmosdest.core.records.readers.json_array import read_json
from airflow_provider_osmosdest.core.records.sampling import records_in

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
TRICKY = st.sampled_from(["},{", '"},{"id":', "]", '\\"', "{[", "\\"])
KEYS = st.sampled_from(["id", "items", "a\tb", "ü"]) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS | TRICKY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=12)
SEAMS = st.sampled_from([",", ", ", " ,\n  ", "\r\n,\t"])


def pieces(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


def read(data, *, chunk=64, fault=None):
    """Read ``data`` in chunks, ``fault`` coming after them; return the blocks and the error."""

    def text():
        yield from pieces(data, chunk)
        if fault is not None:
            raise fault

    blocks = []
    try:
        # extend() keeps what it was given before the error
        blocks.extend(read_json(SimpleNamespace(name="f.json", text=text)))
    except SourceError as e:
        return blocks, e
    return blocks, None


def values(blocks):
    return [record for block in blocks for record in records_in(block)]


def small_blocks(size):
    return mock.patch.object(json_array, "BLOCK_BYTES", size)


@given(
    records=RECORDS, seam=SEAMS, indent=st.sampled_from([None, 1]), chunk=st.integers(1, 50), size=st.integers(1, 60)
)
def test_whatever_the_array_looks_like_its_elements_are_read(records, seam, indent, chunk, size):
    data = ("\n[ " + seam.join(json.dumps(each, indent=indent) for each in records) + "\n] ").encode()
    with small_blocks(size):
        blocks, fault = read(data, chunk=chunk)
    assert fault is None
    assert values(blocks) == records


@given(records=RECORDS.filter(len), data=st.data(), chunk=st.integers(1, 50), size=st.integers(1, 60))
def test_what_is_whole_before_the_break_is_read_and_nothing_else(records, data, chunk, size):
    texts = [json.dumps(each) for each in records]
    whole = "[" + ",".join(texts) + "]"
    cut = data.draw(st.integers(1, len(whole) - 1))
    ends = [len("[" + ",".join(texts[: number + 1])) for number in range(len(texts))]
    with small_blocks(size):
        blocks, fault = read(whole[:cut].encode(), chunk=chunk)
    assert "breaks off" in str(fault)
    assert values(blocks) == records[: sum(end <= cut for end in ends)]


@given(records=RECORDS, chunk=st.integers(1, 50), size=st.integers(1, 60))
def test_the_fault_of_the_stream_comes_after_what_came_before(records, chunk, size):
    data = ("[" + "".join(json.dumps(each) + "," for each in records)).encode()
    with small_blocks(size):
        blocks, fault = read(data, chunk=chunk, fault=SourceError("the gzip data breaks off"))
    assert str(fault) == "the gzip data breaks off"
    assert values(blocks) == records


@given(before=RECORDS, after=RECORDS, chunk=st.integers(1, 50), size=st.integers(1, 60))
def test_a_fault_in_the_middle_is_named_by_its_byte(before, after, chunk, size):
    start = "[" + "".join(json.dumps(each) + "," for each in before)
    good = '{"ü":1} '
    data = (start + good + '{"b":2}' + "".join("," + json.dumps(each) for each in after) + "]").encode()
    with small_blocks(size):
        blocks, fault = read(data, chunk=chunk)
    assert f"byte {len((start + good).encode()):,}: expecting ',' or ']'" in str(fault)
    assert values(blocks) == [*before, {"ü": 1}]


@pytest.mark.parametrize("text", ["[]", " [ \n ] ", "", "  \n"])
def test_no_elements_are_no_records(text):
    assert read(text.encode()) == ([], None)


def test_elements_of_any_type_are_passed_on():
    blocks, fault = read(b'[1, "x", null, [2, 3], {"a": 1}, 4.5e3]')
    assert fault is None
    assert values(blocks) == [1, "x", None, [2, 3], {"a": 1}, 4500.0]


@pytest.mark.parametrize(
    "element", [b'{"a":NaN}', b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":' + b"9" * 5_000 + b"}", b'{"a":-Infinity}']
)
def test_what_only_the_validator_can_check_is_passed_on(element):
    blocks, fault = read(b'[{"b":1},' + element + b',{"b":2}]')
    assert fault is None
    assert b",".join(block.data for block in blocks) == b'{"b":1},' + element + b',{"b":2}'


def test_one_object_is_one_record():
    blocks, fault = read(b' {"a": [{"b": 1}]}\n')
    assert fault is None
    assert values(blocks) == [{"a": [{"b": 1}]}]


def test_an_object_larger_than_a_block_is_one_record():
    record = {"a": ["x" * 50, "}"] * 20}
    with small_blocks(16):
        blocks, fault = read(json.dumps(record).encode())
    assert fault is None
    assert values(blocks) == [record]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a":1}\n{"a":2}\n', "byte 8: another object begins after the object's end"),
        (b'{"a":1} ]', "byte 8: found ']' after the object's end, expected nothing more"),
        (b'{"a":', "byte 5: expecting value: the JSON breaks off"),
        (b'{"a":x, "a long text behind it": 1}', "byte 5: expecting value"),
        (b"id,name\n1,x\n", "byte 0: begins with 'i' and is not JSON of records, expected '[' or '{'"),
        (b'"text"', "begins with '\"'"),
    ],
)
def test_what_is_no_record_raises_before_any_is_read(text, message):
    blocks, fault = read(text)
    assert blocks == []
    assert message in str(fault)
    assert str(fault).startswith("f.json: ")


def test_one_object_a_line_gets_the_advice_to_name_the_format():
    assert "records_format to 'ndjson'" in str(read(b'{"a":1}\n{"a":2}\n')[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'[{"a":1}]]', "byte 9: found ']' after the array's end"),
        (b'[{"a":1}]\n{"a":2}', "another object begins after the array's end"),
        (b'[{"a":1},]', "byte 9: expecting value"),
        (b'[{"a":1},,{"a":2}, {"a": "a text longer than any token"}]', "byte 9: expecting value"),
        (b'[{"a":1},{"a":"open, {}]', "byte 14: unterminated string starting at"),
        (b'[{"a":1},{a:2}, {"a": "a text longer than any token"}]', "byte 10: expecting property name"),
    ],
)
def test_records_before_the_fault_are_read(text, message):
    blocks, fault = read(text)
    assert values(blocks) == [{"a": 1}]
    assert message in str(fault)


def test_nesting_without_end_is_a_fault_after_the_records_before_it():
    with small_blocks(8):
        blocks, fault = read(b'[{"a":1},{"a":2},' + b"[" * 100_000, chunk=10_000)
    assert values(blocks) == [{"a": 1}, {"a": 2}]
    assert "byte 17: a record from here on is nested too deeply" in str(fault)


def test_a_record_without_end_does_not_fill_memory():
    with small_blocks(8), mock.patch.object(json_array, "MAX_RECORD_BYTES", 1024 * 1024):
        blocks, fault = read(b'[{"a":1},{"a":"' + b"x" * 3_000_000, chunk=100_000)
    assert values(blocks) == [{"a": 1}]
    assert "byte 9: the record that begins here is longer than 1 MiB" in str(fault)
