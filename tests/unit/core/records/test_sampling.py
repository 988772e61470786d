from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records import sample_rows


@pytest.mark.parametrize(
    ("name", "text", "rows", "textual"),
    [
        ("a.csv", "a\n1\n2\n3\n", [{"a": "1"}, {"a": "2"}], True),
        ("a.ndjson", '{"a":1}\n\n{"a":2}\n{"a":3}\n', [{"a": 1}, {"a": 2}], False),
        ("a.json", '[{"a":1},{"a":2},{"a":3}]', [{"a": 1}, {"a": 2}], False),
        ("a.json", '{"a":1}', [{"a": 1}], False),
        ("a.csv", "a\n", [], False),
    ],
)
def test_the_first_records(tmp_path, name, text, rows, textual):
    (tmp_path / name).write_text(text)
    assert sample_rows(tmp_path / name, limit=2) == (rows, textual)


def test_a_sample_of_values():
    assert sample_rows(({"a": n} for n in range(5_000)), limit=1_500) == ([{"a": n} for n in range(1_500)], False)


def test_a_fault_after_the_sample_does_not_matter(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_text('{"a":1}\n{"a":')
    assert sample_rows(path, limit=1) == ([{"a": 1}], False)
    with pytest.raises(SourceError, match="breaks off"):
        sample_rows(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.ndjson",
            '{"a":1}\n[2]\n',
            r"a\.ndjson \(ndjson\): record 1 \(counted from 0\) is a list, expected an object",
        ),
        ("a.ndjson", '{"a":1}\n{"a":\n', r"record 0 \(counted from 0\) or one after it is not JSON"),
        ("a.csv", "a\n1\n2,3\n", "record 1 .* is a RaggedRow"),
    ],
)
def test_what_is_no_record_is_a_fault(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=message):
        sample_rows(tmp_path / name)


def test_the_format_can_be_named(tmp_path):
    (tmp_path / "a").write_text("a\tb\n1\t2\n")
    assert sample_rows(tmp_path / "a", records_format="tsv") == ([{"a": "1", "b": "2"}], True)
