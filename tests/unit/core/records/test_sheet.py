from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import ConfigurationError, OptionsError, SourceError
from airflow_provider_osmosdest.core.records import RaggedRow, open_source
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_ROWS
from airflow_provider_osmosdest.testing.readers import records_of


def sheet(*rows):
    return open_source([list(row) for row in rows], records_format="sheet")


def read(*rows):
    return records_of(sheet(*rows))


def test_the_first_row_names_the_columns():
    assert read(["id", " name "], ["1", "Ada"], [2, "Grace"]) == (
        [{"id": "1", "name": "Ada"}, {"id": 2, "name": "Grace"}],
        None,
    )


def test_values_are_textual():
    assert [block.textual for block in sheet(["a"], ["1"]).blocks()] == [True]


@pytest.mark.parametrize("rows", [[], [[]], [["", None]], [["a", "b"]], [["a"], [""], []]])
def test_a_sheet_without_records_has_none(rows):
    assert read(*rows) == ([], None)


def test_rows_may_be_shorter_than_the_header():
    assert read(["a", "b", "c"], ["1"], ["1", "", "3"], ["", "2"])[0] == [
        {"a": "1"},
        {"a": "1", "b": "", "c": "3"},
        {"a": "", "b": "2"},
    ]


def test_rows_without_content_are_no_records():
    assert read([], ["a"], [], [""], [None], ["1"])[0] == [{"a": "1"}]


def test_numbers_without_fraction_are_integers():
    assert read(["a"], [3.0], [3.5], [1e300])[0] == [{"a": 3}, {"a": 3.5}, {"a": 1e300}]


def test_content_beside_the_header_is_no_record_and_is_kept():
    records, fault = read(["a"], ["1", "", ""], ["2", "", "x"])
    assert fault is None
    assert records[0] == {"a": "1"}
    assert isinstance(records[1], RaggedRow)
    assert records[1].problem == (
        "row 3 has 3 cells, but the header names 1 columns: is a name missing in the first row?"
    )


@pytest.mark.parametrize(
    ("header", "problem"), [(["a", "", "c"], "no name for column 2"), (["a", "a "], "more than one column named 'a'")]
)
def test_a_header_must_name_each_column_once(header, problem):
    with pytest.raises(SourceError, match=problem):
        list(sheet(header, ["1"]).blocks())


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([{"a": 1}], "row 1 is a dict"),
        ([["a"], "bc"], "row 2 is a str"),
        ({"values": [["a"]]}, "an object with 'values', and records_format 'sheet' expects 'range' and 'values'"),
        ({"range": "A5:B", "values": [["a"], "bc"]}, "row 6 is a str"),
        (iter([["a"]]), "records is a list_iterator"),
    ],
)
def test_anything_but_rows_of_cells_is_refused(records, problem):
    with pytest.raises(ConfigurationError, match=problem):
        open_source(records, records_format="sheet")


def test_other_values_have_no_format():
    with pytest.raises(OptionsError, match="take 'sheet' for a list of rows of cells"):
        open_source([{"a": 1}], records_format="csv")


def test_the_fingerprint_tells_sheets_apart():
    assert sheet(["a"], ["1"]).fingerprint == sheet(["a"], ["1"]).fingerprint
    assert sheet(["a"], ["1"]).fingerprint != sheet(["a"], ["2"]).fingerprint
    assert sheet(["a"], [object()]).fingerprint is None


def test_progress_and_description():
    source = sheet(["a"], *([str(number)] for number in range(2 * BLOCK_ROWS)))
    blocks = source.blocks()
    next(blocks)
    assert source.progress == (BLOCK_ROWS + 1) / (2 * BLOCK_ROWS + 1)
    assert source.description == "a sheet of 2,001 rows"


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        ("A:E", 1),
        ("Users", 1),
        ("Users!A:E", 1),
        ("Users!A2:E", 2),
        ("'Who''s new!'!$AB$12:$AD", 12),
        ("B7", 7),
    ],
)
def test_a_record_has_the_row_of_the_sheet(cells, first):
    source = open_source({"range": cells, "values": [[], ["a"], ["1"], [], [""], ["2"]]}, records_format="sheet")
    (block,) = source.blocks()
    assert (block.rows, block.numbers) == ([{"a": "1"}, {"a": "2"}], [first + 2, first + 5])
    assert source.progress == 1


def test_an_empty_sheet_has_no_values():
    assert records_of(open_source({"range": "Users!A1:E1000", "majorDimension": "ROWS"}, records_format="sheet")) == (
        [],
        None,
    )
