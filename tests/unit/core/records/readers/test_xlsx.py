from __future__ import annotations

import datetime as dt
import sys

import openpyxl
import pytest

from airflow_provider_osmosdest.core.errors import MissingExtraError
from airflow_provider_osmosdest.core.records import RaggedRow, open_source
from airflow_provider_osmosdest.testing.readers import records_of

NAIVE = dt.datetime.fromisoformat("2024-01-02T03:04:05")


def write(tmp_path, *rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("other").append(["not", "read"])
    path = tmp_path / "t.xlsx"
    book.save(path)
    return path


def read(tmp_path, *rows):
    return records_of(open_source(write(tmp_path, *rows)))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("text", "text"),
        (1, 1),
        (1.5, 1.5),
        (1e300, 1e300),
        (True, True),
        (None, ""),
        ("#N/A", ""),
        (NAIVE, NAIVE),
        (dt.date(2024, 1, 2), dt.date(2024, 1, 2)),
        (dt.time(3, 4), dt.time(3, 4)),
    ],
)
def test_cells_keep_their_type(tmp_path, cell, value):
    records, fault = read(tmp_path, ["id", "cell"], [7, cell])
    assert fault is None
    assert records == [{"id": 7, "cell": value}]
    assert type(records[0]["cell"]) is type(value)


def test_values_are_textual(tmp_path):
    assert [block.textual for block in open_source(write(tmp_path, ["a"], ["1"])).blocks()] == [True]


def test_rows_without_content_are_no_records(tmp_path):
    assert read(tmp_path, [], ["a", "b"], [], [1, 2], [None, None], [None, 3], []) == (
        [{"a": 1, "b": 2}, {"a": "", "b": 3}],
        None,
    )


@pytest.mark.parametrize("rows", [[], [["a", "b"]]])
def test_a_sheet_without_rows_holds_no_records(tmp_path, rows):
    assert read(tmp_path, *rows) == ([], None)


def test_a_long_row_is_kept_as_no_record_and_says_where_it_is(tmp_path):
    records, fault = read(tmp_path, ["a"], [1], [], [2, None, "x"], [3])
    assert fault is None
    assert records == [{"a": 1}, [2, "", "x"], {"a": 3}]
    assert isinstance(records[1], RaggedRow)
    assert records[1].problem.startswith("row 4 has 3 cells, but the header names 1 columns")


def test_a_header_that_cannot_be_used(tmp_path):
    records, fault = read(tmp_path, ["a", None, "a"], [1, 2, 3])
    assert records == []
    assert "no name for column 2 and more than one column named 'a'" in str(fault)


def test_a_zip_archive_that_is_no_workbook(tmp_path):
    path = tmp_path / "t.xlsx"
    path.write_bytes(b"PK\x03\x04 and nothing more")
    records, fault = records_of(open_source(path))
    assert records == []
    assert "cannot be read as an Excel workbook" in str(fault)


def test_no_calamine_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(MissingExtraError, match=r"airflow-provider-osmosdest\[excel\]"):
        next(open_source(write(tmp_path, ["a"])).blocks())
