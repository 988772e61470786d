from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from airflow_provider_osmosdest.core.errors import MissingExtraError
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.testing.readers import records_of

NANOSECONDS = 1_700_000_000_123_456_789
EPOCH = dt.datetime.fromisoformat("1970-01-01")
MICROSECONDS = dt.datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=dt.UTC)


def read(tmp_path, **columns):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    return records_of(open_source(path))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.array([Decimal("1.20")]), Decimal("1.20")),
        (pa.array([dt.date(2024, 1, 2)]), dt.date(2024, 1, 2)),
        (pa.array([None], pa.int64()), None),
        (pa.array([2**63 - 1]), 2**63 - 1),
        (pa.array(["x"]).dictionary_encode(), "x"),
        (pa.array([NANOSECONDS], pa.timestamp("ns", tz="UTC")), MICROSECONDS),
        (pa.array([NANOSECONDS], pa.timestamp("ns")), MICROSECONDS.replace(tzinfo=None)),
        (pa.array([1_001], pa.time64("ns")), dt.time(microsecond=1)),
        (pa.array([1_001], pa.duration("ns")), dt.timedelta(microseconds=1)),
        (pa.array([[("a", 1), ("b", 2)]], pa.map_(pa.string(), pa.int64())), {"a": 1, "b": 2}),
        (
            pa.array([[[("a", 1)]]], pa.list_(pa.map_(pa.string(), pa.timestamp("ns")))),
            [{"a": EPOCH}],
        ),
        (
            pa.array([{"x": [1_001]}], pa.struct([("x", pa.large_list(pa.duration("ns")))])),
            {"x": [dt.timedelta(0, 0, 1)]},
        ),
    ],
)
def test_values_are_python_values(tmp_path, column, value):
    assert read(tmp_path, column=column) == ([{"column": value}], None)


def test_values_have_types(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    assert [block.textual for block in open_source(path).blocks()] == [False]


def test_a_map_that_holds_a_key_twice_is_a_fault(tmp_path):
    column = pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64()))
    records, fault = read(tmp_path, m=column)
    assert records == []
    assert "cannot be read as Parquet after row 0" in str(fault)


def test_two_columns_of_one_name_are_a_fault(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    records, fault = records_of(open_source(path))
    assert records == []
    assert "more than one column named 'a'" in str(fault)


def test_damage_inside_is_a_fault_after_the_rows_before_it(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"a": [f"value {n}" for n in range(4_000)]})
    pq.write_table(table, path, row_group_size=2_000, use_dictionary=False, compression="gzip")
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start + 40 : start + 400] = b"\xff" * 360
    path.write_bytes(data)
    records, fault = records_of(open_source(path))
    assert len(records) == 2_000
    assert "cannot be read as Parquet after row 2,000" in str(fault)


def test_no_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    path.touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"airflow-provider-osmosdest\[parquet\]"):
        next(open_source(path).blocks())
