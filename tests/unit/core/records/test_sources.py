from __future__ import annotations

import datetime as dt
import gzip
import os
import uuid

import fsspec
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach

from airflow_provider_osmosdest.core.errors import OptionsError, SourceError
from airflow_provider_osmosdest.core.records import FORMATS, Format, open_source
from airflow_provider_osmosdest.core.schema.validation.blocks import Rows
from airflow_provider_osmosdest.testing.readers import records_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.ndjson", "ndjson"),
        ("a.jsonl.gz", "ndjson"),
        ("a.JSON", "json"),
        ("a.b.csv.GZ", "csv"),
        ("a.tsv", "tsv"),
        ("a.tab", "tsv"),
        ("a.pq", "parquet"),
        ("a.xlsm", "xlsx"),
    ],
)
def test_the_name_tells_the_format(tmp_path, name, expected):
    (tmp_path / name).touch()
    source = open_source(tmp_path / name)
    assert source.format == expected
    assert source.description == f"{name} ({expected})"


@pytest.mark.parametrize("name", ["a", "a.txt", "csv", "a.csv.zip"])
def test_a_name_that_tells_nothing_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(OptionsError, match="Set records_format to one of: ndjson, json, csv, tsv, parquet, xlsx"):
        open_source(tmp_path / name)


def test_records_format_comes_before_the_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('{"a": 1}\n')
    source = open_source(path, records_format="ndjson")
    assert (source.format, records_of(source)) == ("ndjson", ([{"a": 1}], None))


def test_an_unknown_format_is_refused(tmp_path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(OptionsError, match="records_format is 'avro', expected one of: ndjson, json"):
        open_source(tmp_path / "a.csv", records_format="avro")


@pytest.mark.parametrize("records", [[{"a": 1}], {"a": 1}, iter([])])
def test_values_have_no_format(records):
    with pytest.raises(OptionsError, match=r"^records_format is 'csv', but records is a \w+, and only files"):
        open_source(records, records_format="csv")


def test_formats_of_ones_own(tmp_path):
    def read_lines(source):
        yield Rows([{"line": line} for line in b"".join(source.text()).decode().splitlines()], textual=True)

    path = tmp_path / "a.txt"
    path.write_text("x\ny\n")
    source = open_source(path, formats={**FORMATS, "lines": Format("lines", (".txt",), read_lines)})
    assert (source.format, records_of(source)) == ("lines", ([{"line": "x"}, {"line": "y"}], None))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04....", "zip archive, perhaps an Excel workbook"),
        (b"PAR1....", "Parquet"),
        (b"\xd0\xcf\x11\xe0....", "old .xls"),
        (b"\x28\xb5\x2f\xfd....", "zstd"),
        (b"<?xml version='1.0'?>", "an XML document"),
        (b"<html><body>", "an HTML page"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.ndjson"])
def test_a_file_that_is_not_what_its_name_says(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    records, fault = records_of(open_source(tmp_path / name))
    assert records == []
    assert message in str(fault)
    assert str(tmp_path / name) in str(fault)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.json", "a.ndjson"])
@pytest.mark.parametrize("code", ["utf-16", "utf-16-be"])
def test_text_in_utf16_is_read(tmp_path, name, code):
    text = {"csv": "a,b\nü,2\n", "tsv": "a\tb\nü\t2\n", "json": '[{"a":"ü","b":"2"}]', "ndjson": '{"a":"ü","b":"2"}\n'}
    mark = "\ufeff" if code == "utf-16-be" else ""
    (tmp_path / name).write_bytes((mark + text[name.partition(".")[2]]).encode(code))
    assert records_of(open_source(tmp_path / name)) == ([{"a": "ü", "b": "2"}], None)


def test_several_files_each_have_their_header(tmp_path):
    for name, text in (("b-10.csv", "b,a\n4,3\n"), ("b-02.csv", "a,b\n1,2\n"), ("c.csv", "c\n9\n"), (".b.csv", "no")):
        (tmp_path / name).write_text(text)
    source = open_source(tmp_path / "b-*.csv")
    assert source.description == "b-*.csv (csv, 2 files)"
    assert records_of(source) == ([{"a": "1", "b": "2"}, {"a": "3", "b": "4"}], None)
    assert source.progress == 1.0


def test_the_files_before_a_broken_one_are_read(tmp_path):
    (tmp_path / "1.ndjson").write_text('{"a":1}\n')
    (tmp_path / "2.ndjson").write_text('{"a":2}\n{"a"')
    records, fault = records_of(open_source(tmp_path / "*.ndjson"))
    assert records == [{"a": 1}, {"a": 2}]
    assert str(tmp_path / "2.ndjson") in str(fault)


def test_patterns_in_folders(tmp_path):
    for day in ("2", "1"):
        folder = tmp_path / f"day={day}" / "part"
        folder.mkdir(parents=True)
        (folder / "a.csv").write_text(f"a\n{day}\n")
    assert records_of(open_source(tmp_path / "day=*" / "part" / "*.csv")) == ([{"a": "1"}, {"a": "2"}], None)
    with pytest.raises(SourceError, match=r"a folder that holds other folders \(day=1, day=2"):
        open_source(tmp_path)


def test_files_of_several_formats_are_refused(tmp_path):
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.json").touch()
    with pytest.raises(OptionsError, match=r"a\.csv is csv, b\.json is json"):
        open_source(tmp_path)


@pytest.mark.parametrize("name", ["none-*.csv", "none", "none.csv"])
def test_nothing_there_is_a_fault(tmp_path, name):
    with pytest.raises(SourceError, match=r"no file matches|no such file"):
        open_source(tmp_path / name)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "_SUCCESS").touch()
    with pytest.raises(SourceError, match=r"no file matches|no such file"):
        open_source(tmp_path / name)


def test_a_file_that_goes_away_is_a_fault(tmp_path):
    path = tmp_path / "a.csv"
    path.touch()
    source = open_source(path)
    path.unlink()
    records, fault = records_of(source)
    assert records == []
    assert f"{path}: cannot be opened: FileNotFoundError" in str(fault)
    with pytest.raises(SourceError, match="cannot be looked up: FileNotFoundError"):
        _ = source.fingerprint


class _Store:
    """A path of a store that does not answer, whose errors quote a presigned URL."""

    name = "a.csv"

    def __str__(self):
        return "https://store/a.csv?X-Signature=secret"

    def open(self, mode):
        raise ConnectionError("cannot reach https://user:secret@store/a.csv?X-Signature=secret")

    def exists(self):
        return True

    is_dir = property(lambda self: lambda: self.open("rb"))


def test_no_secret_of_a_url_is_in_an_error():
    with pytest.raises(SourceError) as caught:
        open_source(_Store())
    assert "https://store/a.csv?***: cannot be looked up: ConnectionError: cannot reach https://user:***@store" in str(
        caught.value
    )
    assert "secret" not in str(caught.value)


def test_the_fingerprint_depends_on_time_and_format(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    before = open_source(path).fingerprint
    assert open_source(path, records_format="tsv").fingerprint != before
    stamp = dt.datetime(2020, 1, 1, tzinfo=dt.UTC).timestamp()
    os.utime(path, (stamp, stamp))
    assert open_source(path).fingerprint != before


@pytest.fixture
def memory():
    """A folder of a store that is no file system of the machine's."""
    name = f"/{uuid.uuid4().hex}"
    store = fsspec.filesystem("memory")
    attach("memory", fs=store)
    yield ObjectStoragePath(f"memory:/{name}")
    store.rm(name, recursive=True)


def test_reads_from_a_store(memory):
    (memory / "a.csv").write_bytes(b"a\n1\n")
    (memory / "b.csv").write_bytes(b"a\n2\n")
    assert records_of(open_source(memory / "a.csv")) == ([{"a": "1"}], None)
    assert records_of(open_source(memory / "*.csv")) == ([{"a": "1"}, {"a": "2"}], None)
    assert records_of(open_source(memory)) == ([{"a": "1"}, {"a": "2"}], None)
    before = open_source(memory / "a.csv").fingerprint
    assert open_source(memory / "a.csv").fingerprint == before
    (memory / "a.csv").write_bytes(b"a\n3\n")
    assert open_source(memory / "a.csv").fingerprint != before
    with pytest.raises(SourceError, match=r"memory:.*/none\.csv: there is no such file"):
        open_source(memory / "none.csv")


@pytest.mark.parametrize("text", [b'{"a": 1}\n', b"\xff\xfe" + '{"a": 1}\n'.encode("utf-16-le")])
def test_text_under_the_name_of_gzip_is_read_as_text(tmp_path, text):
    # A store that keeps Content-Encoding with an object hands it out unpacked.
    (tmp_path / "a.ndjson.gz").write_bytes(text)
    assert records_of(open_source(tmp_path / "a.ndjson.gz")) == ([{"a": 1}], None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.csv.GZ: has no bytes, which no gzip file has"),
        (b"id\n\x08\x00\x00\x01", "a.csv.GZ: its name says gzip, and its content is neither that nor text"),
        (b"<html><body>Log in", "an HTML page"),
    ],
)
def test_what_under_the_name_of_gzip_is_neither_is_refused(tmp_path, content, message):
    (tmp_path / "a.csv.GZ").write_bytes(content)
    records, fault = records_of(open_source(tmp_path / "a.csv.GZ"))
    assert records == []
    assert message in str(fault)


def test_gzip_of_nothing_holds_no_records(tmp_path):
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(b""))
    assert records_of(open_source(tmp_path / "a.ndjson.gz")) == ([], None)
