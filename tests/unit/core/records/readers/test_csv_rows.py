from __future__ import annotations

import csv
import io
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records import RaggedRow
from airflow_provider_osmosdest.core.records.readers.csv_rows import read_csv, read_tsv

CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8) | st.sampled_from(
    ["a,b", 'a "b"', "a\nb", "a\r\nb", "\r", "\u2028", "\x0b", " x "]
)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=20)


def read(data, *, reader=read_csv, chunk=64, fault=None):
    def text():
        for start in range(0, len(data), chunk):
            yield data[start : start + chunk]
        if fault is not None:
            raise fault

    records = []
    try:
        for block in reader(SimpleNamespace(name="f.csv", text=text, lines_before=0)):
            assert block.textual
            records.extend(block.rows)
    except SourceError as e:
        return records, e
    return records, None


@given(
    rows=ROWS,
    end=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from([",", ";", "\t"]),
    chunk=st.integers(1, 80),
)
def test_reads_what_the_csv_module_writes(rows, end, delimiter, chunk):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b", "c"), *rows])
    records, fault = read(text.getvalue().encode(), chunk=chunk)
    assert fault is None
    assert records == [{"a": a, "b": b, "c": c} for a, b, c in rows]


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"a,b", b"a,b\n", b"\n\na,b\n\n"])
def test_no_rows_are_no_records(data):
    assert read(data) == ([], None)


def test_blank_lines_are_no_records():
    assert read(b"\n\na,b\n\n1,2\n\n3,4\n\n") == ([{"a": "1", "b": "2"}, {"a": "3", "b": "4"}], None)


def test_line_ends_of_old_macs():
    assert read(b'a,b\r1,"x\ry"\r3,4') == ([{"a": "1", "b": "x\ry"}, {"a": "3", "b": "4"}], None)


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("a;b", ["a", "b"]),
        ("a\tb", ["a", "b"]),
        ('"a;b","c\td"', ["a;b", "c\td"]),
        ('"a,b";c', ["a,b", "c"]),
        ("a b", ["a b"]),
        ("a;b,c", ["a;b", "c"]),
    ],
)
def test_the_delimiter_shows_in_the_header(header, names):
    mark = ";" if header.endswith((";b", ";c")) else "\t" if header == "a\tb" else ","
    records, fault = read((header + "\n" + mark.join("x" * len(names)) + "\n").encode())
    assert fault is None
    assert records == [dict.fromkeys(names, "x")]


def test_tsv_is_delimited_by_tabs_whatever_the_header_holds():
    assert read(b"a,x\tb;y\n1,5\t2\n", reader=read_tsv) == ([{"a,x": "1,5", "b;y": "2"}], None)


def test_a_short_row_lacks_its_last_fields():
    assert read(b"a,b,c\n1\n2,3\n") == ([{"a": "1"}, {"a": "2", "b": "3"}], None)


def test_a_long_row_is_kept_as_no_record_and_says_where_it_is():
    records, fault = read(b'\na,b\n"1\n2",x\n\n3,4,5\n6,7\n')
    assert fault is None
    assert records == [{"a": "1\n2", "b": "x"}, ["3", "4", "5"], {"a": "6", "b": "7"}]
    assert isinstance(records[1], RaggedRow)
    assert records[1].problem.startswith("line 6 has 3 cells, but the header names 2 columns")


def test_a_long_row_in_a_later_block_says_where_it_is():
    records, fault = read(b"a,b\n" + b"1,2\n" * 2_500 + b"1,2,3\n", chunk=1_000)
    assert fault is None
    assert len(records) == 2_501
    assert records[-1].problem.startswith("line 2,502 has 3 cells")


@pytest.mark.parametrize("count", [1, 998, 999, 1_000, 1_001])
def test_a_short_last_row_without_line_end_is_where_the_file_breaks_off(count):
    records, fault = read(b"a,b\n" + b"1,2\n" * count + b"3", chunk=5_000)
    assert records == [{"a": "1", "b": "2"}] * count
    assert f"breaks off in line {count + 2:,}: the last row has no line end and only 1 of 2 cells" in str(fault)


def test_a_file_of_nothing_but_short_rows_does_not_break_off():
    records, fault = read(b"a,b\n" + b"1\n" * 3_000)
    assert fault is None
    assert records == [{"a": "1"}] * 3_000


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (b'3,"open\n4,5\n', "line 4: the row that begins here is not CSV (unexpected end of data)"),
        (b'3,"x"y\n4,5\n', "line 4: the row that begins here is not CSV"),
        (b"3,\xff\n4,5\n", "line 4, byte 14: is not UTF-8 (invalid start byte)"),
        (b"3,\0\n4,\xff\n", "line 4, byte 14: is a NUL"),
        (b"3,\xff\n4,\0\n", "line 4, byte 14: is not UTF-8"),
        (b"3,\xc3", "line 4, byte 14: is not UTF-8"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_rows_before_the_fault_are_read(rest, message, chunk):
    records, fault = read(b'a,b\n1,"x\ny"\n' + rest, chunk=chunk)
    assert records == [{"a": "1", "b": "x\ny"}]
    assert message in str(fault)


def test_a_fault_of_the_stream_costs_only_the_line_it_is_in():
    records, fault = read(b"a,b\n1,2\n3,", fault=SourceError("gone"))
    assert (records, str(fault)) == ([{"a": "1", "b": "2"}], "gone")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,,c,\n1,2,3,4\n", "the header has no name for column 2, 4"),
        (b"a,b,a,b,c\n", "the header has more than one column named 'a', 'b'"),
        (b'{"a":1}\n', "looks like JSON"),
        (b'[{"a":1}]', "looks like JSON"),
        (b'a,"b\n', "line 1: the row that begins here is not CSV"),
        (b"\n\xff,b\n", "line 2, byte 1: is not UTF-8"),
    ],
)
def test_a_header_that_cannot_be_used(data, message):
    records, fault = read(data)
    assert records == []
    assert message in str(fault)
    assert str(fault).startswith("f.csv: ")


def test_a_large_cell_is_read_and_a_boundless_one_is_not():
    cell = "x" * 1_000_000
    assert read(f"a\n{cell}\n".encode(), chunk=100_000) == ([{"a": cell}], None)
    records, fault = read(b'a\n1\n"' + b"x\n" * 9_000_000, chunk=1_000_000)
    assert records == [{"a": "1"}]
    assert "line 3: the row that begins here is not CSV (field larger than field limit" in str(fault)
