"""The cutter is held to one thing: the parts, one after the other, are the whole, with the same indexes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from airflow_provider_osmosdest.core.errors import ConfigurationError, OptionsError, SourceError
from airflow_provider_osmosdest.core.records import RaggedRow, open_source
from airflow_provider_osmosdest.core.records.parts import Part, PartSource, plan, plan_parts
from airflow_provider_osmosdest.core.schema.validation.blocks import JsonElements, JsonLines
from airflow_provider_osmosdest.core.schema.validation.json_cut import split_elements, split_lines

CASES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def records_of(source) -> tuple[list, str | None]:
    """Return all records of a source as plain values, and why it could not be read further."""
    found: list = []
    try:
        for block in source.blocks():
            if isinstance(block, JsonLines):
                found += split_lines(block.data)
            elif isinstance(block, JsonElements):
                found += split_elements(block.data)
            else:
                found += [(row.problem, *row) if isinstance(row, RaggedRow) else row for row in block.rows]
    except SourceError as error:
        return found, str(error).partition(": ")[2]
    return found, None


def check(path, parts: int, probe: int = 0, records_format: str | None = None) -> list[Part]:
    """Compare the parts of a path with the whole of it."""
    made = plan_parts(path, parts=parts, probe=probe, records_format=records_format)
    assert [part.number for part in made] == list(range(len(made)))
    assert len(made) <= parts + (probe > 0)
    whole, fault = records_of(open_source(path, records_format=records_format))
    joined: list = []
    faults: list = []
    for each in made:
        # As it comes out of an XCom.
        text = json.dumps(each.to_dict())
        assert len(text) < 2_000
        part = Part.from_dict(json.loads(text))
        assert part.first_index == len(joined)
        found, why = records_of(PartSource(path, part, records_format=records_format))
        assert len(found) == part.records or why or fault
        joined += found
        faults += [why] if why else []
    assert joined == whole
    assert bool(faults) == bool(fault)
    if probe and len(whole) > probe and not fault:
        # Nothing is cut between rows that end in a lone carriage return.
        lone = path.is_file() and b"\r" in path.read_bytes().replace(b"\r\n", b"")
        assert made[0].records == probe or (lone and made[0].records > probe)
    return made


@pytest.fixture
def folder(tmp_path):
    """Return a function that makes an empty folder."""
    return lambda: Path(tempfile.mkdtemp(dir=tmp_path))


@pytest.fixture
def written(folder):
    """Return a function that writes a file into a folder of its own."""

    def write(data: bytes, name: str) -> Path:
        path = folder() / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture(autouse=True)
def small_reads(monkeypatch):
    """Let every run of text be small, so that borders of reads fall between, and within, all kinds of lines."""
    monkeypatch.setattr(plan, "_READ_BYTES", 37)


LINES = st.sampled_from(
    [
        '{"id": 1}',
        '{"id": 2, "text": "ä"}',
        "",
        "  ",
        "[1]",
        "no json",
        "\ufeff",
        "\ufeff{}",
        '{"long": "%s"}' % ("x" * 90),
    ]
)
NUMBERS = st.integers(1, 64)
PROBES = st.sampled_from([0, 1, 3])
MARKS = st.sampled_from([b"", b"\xef\xbb\xbf"])


@CASES
@given(
    lines=st.lists(LINES, max_size=40),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=MARKS,
    ended=st.booleans(),
    parts=NUMBERS,
    probe=PROBES,
)
@example(lines=[], end="\n", mark=b"", ended=False, parts=4, probe=3)
@example(lines=['{"id": 1}'], end="\n", mark=b"\xef\xbb\xbf", ended=False, parts=4, probe=0)
def test_ndjson(written, *, lines, end, mark, ended, parts, probe):
    text = end.join(['{"id": 0}', *lines]) + (end if ended else "") if lines else ""
    check(written(mark + text.encode(), "a.ndjson"), parts, probe)


CELLS = st.sampled_from(
    [
        "",
        "1",
        "ä",
        "two words",
        "a,b",
        "line\nend",
        "line\r\nend",
        "lone\rreturn",
        'a "quote"',
        '5" disk',
        "x" * 80,
        "\n",
    ]
)


@CASES
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=25),
    end=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from([",", ";", "\t"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    mark=MARKS,
    ended=st.booleans(),
    parts=NUMBERS,
    probe=PROBES,
)
@example(
    rows=[], end="\n", delimiter=",", quoting=csv.QUOTE_MINIMAL, mark=b"\xef\xbb\xbf", ended=False, parts=4, probe=3
)
def test_csv(written, *, rows, end, delimiter, quoting, mark, ended, parts, probe):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(["id", "na\nme", "note"])
    for number, row in enumerate(rows):
        writer.writerow(row)
        if number % 3 == 2:
            text.write(end)
    data = text.getvalue() if ended else text.getvalue().removesuffix(end)
    check(written(mark + data.encode(), "a.csv"), parts, probe)


@CASES
@given(
    st.lists(st.sampled_from(['a"b,c', '"a', 'x"', '"a"b,c', "1,2", '"1,\n2",3', '"""",1', "", '5",6"']), max_size=30),
    st.sampled_from(["\n", "\r\n", "\r"]),
    NUMBERS,
    PROBES,
)
def test_csv_with_any_quotes(written, lines, end, parts, probe):
    check(written(end.join(["id,name", *lines, ""]).encode(), "a.csv"), parts, probe)


@settings(CASES, max_examples=40)
@given(st.integers(0, 60), st.integers(1, 20), NUMBERS, PROBES)
def test_parquet(written, rows, group, parts, probe):
    path = written(b"", "a.parquet")
    pq.write_table(pa.table({"id": pa.array(range(rows), pa.int64())}), path, row_group_size=group)
    check(path, parts, probe)


@settings(CASES, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([".ndjson", ".ndjson.gz"])), min_size=1, max_size=6),
    NUMBERS,
    PROBES,
)
def test_a_folder_of_files(folder, files, parts, probe):
    into = folder()
    for number, (count, suffix) in enumerate(files):
        data = b"".join(b'{"file": %d, "id": %d}\n' % (number, at) for at in range(count))
        (into / f"{number}{suffix}").write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    check(into, parts, probe)


def test_a_first_part_that_ends_where_a_packed_file_does(folder):
    into = folder()
    for name in "ab":
        (into / f"{name}.ndjson.gz").write_bytes(gzip.compress(b'{"id": 1}\n' * 3))
    assert [part.records for part in check(into, parts=1, probe=3)] == [3, 3]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", json.dumps([{"id": n} for n in range(20)]).encode()),
        ("a.ndjson", "\n".join(json.dumps({"id": n}) for n in range(20)).encode("utf-16")),
        ("a.csv.gz", gzip.compress(b"id\n" + b"".join(b"%d\n" % n for n in range(20)))),
    ],
    # What gzip writes has the time in it, and all processes must call a test the same.
    ids=["json", "utf-16", "gzip"],
)
def test_what_cannot_be_cut_is_one_part_behind_the_first(written, name, data):
    assert [part.records for part in check(written(data, name), 4, 3)] == [3, 17]


def test_a_text_is_cut_in_parts_of_about_one_size(written):
    data = b"".join(b'{"id": %06d}\n' % n for n in range(4_000))
    assert [part.records for part in check(written(data, "a.ndjson"), 4)] == [1_000] * 4


def test_one_huge_line(written):
    path = written(b'{"text": "' + b"x" * 100_000 + b'"}', "a.ndjson")
    assert len(check(path, 64)) == 1


def test_messages_name_the_line_of_the_file(written):
    path = written(b"id,name\n" + b"1,2\n" * 50 + b"1,2,3\n", "a.csv")
    assert "line 52 has 3 cells" in records_of(PartSource(path, plan_parts(path, parts=4, probe=0)[-1]))[0][-1][0]


def test_a_record_that_is_not_json_is_none_of_the_file_s_beginning(written):
    path = written(b'{"id": 1}\n[{"id": 2}]\nPK\x03\x04\n<?xml\n' * 10, "a.ndjson")
    check(path, 40)


def test_a_file_that_changed_since_the_plan_is_not_read(written):
    path = written(b'{"id": 1}\n' * 9, "a.ndjson")
    part = plan_parts(path, parts=3, probe=0)[1]
    path.write_bytes(b'{"id": 22}\n' * 9)
    with pytest.raises(SourceError, match="has changed since its parts were planned: part 1 is about other content"):
        PartSource(path, part)


def test_a_file_that_is_added_behind_a_part_changes_nothing(folder):
    into = folder()
    (into / "a.ndjson").write_bytes(b'{"id": 1}\n' * 9)
    first = plan_parts(into, parts=2, probe=0)[0]
    (into / "b.ndjson").write_bytes(b'{"id": 2}\n')
    assert len(records_of(PartSource(into, first))[0]) == first.records


def test_a_part_s_fingerprint_is_its_own(written):
    path = written(b'{"id": 1}\n' * 9, "a.ndjson")
    prints = {PartSource(path, part).fingerprint for part in plan_parts(path, parts=3, probe=0)}
    assert len(prints) == 3
    assert prints == {PartSource(path, part).fingerprint for part in plan_parts(path, parts=3, probe=0)}


@pytest.mark.parametrize("parts", [0, 1_001, True])
def test_the_number_of_parts_has_bounds(written, parts):
    with pytest.raises(OptionsError, match="expected a whole number from 1 to 1,000"):
        plan_parts(written(b"", "a.ndjson"), parts=parts)


def test_files_of_several_formats_are_refused(folder):
    into = folder()
    for name in ("a.ndjson", "b.csv"):
        (into / name).write_bytes(b"")
    with pytest.raises(OptionsError, match="several formats"):
        plan_parts(into, parts=2)


def test_a_value_that_is_no_part_is_refused():
    with pytest.raises(ConfigurationError, match="expected one that the plan"):
        Part.from_dict({"number": 1})
