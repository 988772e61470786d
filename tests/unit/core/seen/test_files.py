from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.seen.files import SeenFiles, TakenFile, content_digest


def test_a_content_is_known_by_its_bytes_however_they_come():
    assert content_digest([b"abc", b"def"]) == content_digest([b"abcdef"]) != content_digest([b"abcdeg"])


def test_taking_finding_and_forgetting(tmp_path):
    times = iter([10.0, 20.0, 30.0])
    files = SeenFiles(tmp_path / "files", clock=lambda: next(times))
    assert files.find("aa") is None
    assert files.all() == []
    files.take("aa", "one.csv", 3, "d1")
    files.take("bb", "two.csv", 4, "d2")
    files.take("cc", "three.csv", 5, "d3")
    assert files.find("aa") == TakenFile("one.csv", 3, 10.0, "d1")
    assert [taken.name for taken in files.all()] == ["one.csv", "two.csv", "three.csv"]
    assert files.forget("aa") == 1
    assert files.forget("aa") == 0
    assert files.forget_since(30) == 1
    assert files.forget_since(0) == 1
    assert files.all() == []


def test_a_damaged_note_is_named(tmp_path):
    (tmp_path / "aa.json").write_text("{")
    with pytest.raises(StorageError, match=r"aa\.json, which says that a file was taken, is damaged"):
        SeenFiles(tmp_path).find("aa")
