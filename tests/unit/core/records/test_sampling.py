from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records import Sample


def read(records, **options):
    """Return the records of a sample, whether they are texts, what was left out, and whether there are more."""
    sample = Sample(records, **options)
    rows, textual = sample.read()
    return list(rows), textual, sample.faults, sample.cut


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "a\n1\n2\n3\n", ([{"a": "1"}, {"a": "2"}], True, [], True)),
        ("a.ndjson", '{"a":1}\n\n{"a":2}\n{"a":3}\n', ([{"a": 1}, {"a": 2}], False, [], True)),
        ("a.json", '[{"a":1},{"a":2},{"a":3}]', ([{"a": 1}, {"a": 2}], False, [], True)),
        ("a.json", '[{"a":1},{"a":2}]', ([{"a": 1}, {"a": 2}], False, [], False)),
        ("a.json", '{"a":1}', ([{"a": 1}], False, [], False)),
        ("a.csv", "a\n", ([], False, [], False)),
    ],
)
def test_the_first_records(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    assert read(tmp_path / name, limit=2) == expected


def test_a_sample_of_values_and_of_all_of_them():
    rows = [{"a": n} for n in range(5_000)]
    assert read(iter(rows), limit=1_500) == (rows[:1_500], False, [], True)
    assert read(iter(rows), limit=None) == (rows, False, [], False)


def test_a_source_that_breaks_off_ends_the_sample(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_text('{"a":1}\n{"a":')
    assert read(path, limit=1) == ([{"a": 1}], False, [], True)
    rows, _, (fault,), cut = read(path)
    assert (rows, cut) == ([{"a": 1}], False)
    assert fault.startswith("the sample ends after 1 records: ")
    assert "breaks off" in fault
    path.write_text('[{"a":')
    with pytest.raises(SourceError):
        read(path)


@pytest.mark.parametrize(
    ("name", "text", "rows", "fault"),
    [
        ("a.ndjson", '{"a":1}\n[2]\n5\n', [{"a": 1}], "2 records are left out, the first as the record should be"),
        ("a.ndjson", '{"a":1}\n{"a":\n', [{"a": 1}], "1 record is left out, the first as not JSON"),
        ("a.csv", "a\n1\n2,3\n", [{"a": "1"}], "1 record is left out, the first as line 3 has 2 cells"),
    ],
)
def test_what_is_no_record_is_left_out_and_said(tmp_path, name, text, rows, fault):
    (tmp_path / name).write_text(text)
    found, _, (said,), _ = read(tmp_path / name)
    assert found == rows
    assert said.startswith(fault)


def test_the_format_can_be_named(tmp_path):
    (tmp_path / "a").write_text("a\tb\n1\t2\n")
    assert read(tmp_path / "a", records_format="tsv")[:2] == ([{"a": "1", "b": "2"}], True)
