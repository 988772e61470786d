from __future__ import annotations

import json
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records import streams
from airflow_provider_osmosdest.core.records.readers import ndjson
from airflow_provider_osmosdest.core.records.readers.ndjson import read_ndjson

LINES = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=20), max_size=3).map(json.dumps), max_size=20)


def read(data, *, chunk=64, fault=None):
    def text():
        for start in range(0, len(data), chunk):
            yield data[start : start + chunk]
        if fault is not None:
            raise fault

    blocks = []
    try:
        # extend() keeps what it was given before the error
        blocks.extend(
            block.data
            for block in read_ndjson(SimpleNamespace(name="f.ndjson", text=text, begins=True, lines_before=0))
        )
    except SourceError as e:
        return blocks, e
    return blocks, None


@given(lines=LINES, end=st.sampled_from(["\n", "\r\n", "\n\n"]), chunk=st.integers(1, 80), size=st.integers(1, 100))
def test_blocks_are_the_file_cut_at_line_ends(lines, end, chunk, size):
    data = "".join(line + end for line in lines).encode()
    with mock.patch.object(ndjson, "BLOCK_BYTES", size):
        blocks, fault = read(data, chunk=chunk)
    assert fault is None
    assert b"".join(blocks) == data
    assert all(block.endswith(b"\n") for block in blocks)
    assert all(len(block) <= size or block.count(b"\n") == 1 for block in blocks)


@given(lines=LINES.filter(len), data=st.data(), chunk=st.integers(1, 80))
def test_whole_lines_before_the_break_are_read(lines, data, chunk):
    whole = "".join(line + "\n" for line in lines)
    cut = data.draw(st.integers(1, len(whole)))
    blocks, fault = read(whole[:cut].encode(), chunk=chunk)
    expected = [line for line in whole[:cut].split("\n") if line]
    broken = bool(expected) and expected[-1] not in lines
    assert b"".join(blocks).decode().splitlines() == expected[: len(expected) - broken]
    assert (fault is not None) == broken


def test_a_break_is_named_by_line_and_byte():
    blocks, fault = read(b'{"a":1}\n{"a":2}\n{"a":')
    assert blocks == [b'{"a":1}\n{"a":2}\n']
    assert str(fault).startswith("f.ndjson: breaks off in line 3, byte 21: ")


def test_a_last_line_without_line_end_is_a_record():
    assert read(b'{"a":1}\n{"a":NaN}') == ([b'{"a":1}\n', b'{"a":NaN}'], None)


def test_a_bad_line_inside_is_left_to_the_validator():
    data = b'{"a":1}\nnonsense\n{"a":\xff}\n{"a":2}\n'
    assert read(data) == ([data], None)


def test_a_fault_of_the_stream_costs_only_the_line_it_is_in():
    blocks, fault = read(b'{"a":1}\n{"a":2}\n{"a":', fault=SourceError("gone"))
    assert (b"".join(blocks), str(fault)) == (b'{"a":1}\n{"a":2}\n', "gone")


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n \n"])
def test_blank_lines_are_no_fault(data):
    blocks, fault = read(data)
    assert fault is None
    assert b"".join(blocks) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'[{"a":1}]', "looks like a JSON array"),
        (b'[\n{"a":1}\n]\n', "looks like a JSON array"),
        (b'[{"a":1},\n{"a":2}]\n', "looks like a JSON array"),
        (b'{\n  "a": 1\n}\n', "looks like JSON over several lines"),
        (b"id,name\n1,x\n", "line 1 begins with 'i' and is not JSON, expected one JSON object a line"),
    ],
)
def test_a_file_of_another_format_is_a_fault_at_once(data, message):
    blocks, fault = read(data)
    assert blocks == []
    assert message in str(fault)


@pytest.mark.parametrize("first", [b"[1,2]", b"null", b'"x"', b'{"a":', b"[" * 5_000 + b"]" * 5_000])
def test_a_first_line_that_is_no_record_is_left_to_the_validator(first):
    data = first + b'\n{"a":1}\n'
    assert read(data, chunk=10_000) == ([data], None)


def test_a_line_without_end_does_not_fill_memory():
    with mock.patch.object(streams, "MAX_RECORD_BYTES", 1024 * 1024):
        blocks, fault = read(b'{"a":1}\n{"a":"' + b"x" * 2_000_000, chunk=100_000)
    assert blocks == [b'{"a":1}\n']
    assert "byte 8: the line that begins here is longer than 1 MiB" in str(fault)
