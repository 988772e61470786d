from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.ledger import failures
from airflow_provider_osmosdest.core.delivery.ledger.failures import Failure, FailuresFile
from airflow_provider_osmosdest.core.errors import StorageError


def read(folder):
    paths = sorted(folder.glob("failures-*.ndjson"))
    return [json.loads(line) for path in paths for line in path.read_bytes().split(b"\n")[:-1]]


def test_a_line_holds_the_six_keys_in_order(tmp_path):
    file = FailuresFile(tmp_path)
    error = 'bad "date"\n und Größe \ud800'
    assert file.write(Failure("rejected", error, 422, 3), [(7, b'{"a":"\xc3\xa9"}')]) == [7]
    assert file.write(Failure("unsent", "stopped"), [(8, b"{}"), (9, b'"no object"')]) == [8, 9]
    file.close()
    lines = read(tmp_path)
    assert list(lines[0]) == ["index", "outcome", "status", "error", "attempts", "record"]
    assert lines[0] | {"error": ""} == {
        "index": 7,
        "outcome": "rejected",
        "status": 422,
        "error": "",
        "attempts": 3,
        "record": {"a": "é"},
    }
    assert lines[0]["error"].startswith('bad "date"\n und Größe ')
    assert [line["index"] for line in lines] == [7, 8, 9]
    assert lines[1]["status"] is None
    assert lines[2]["record"] == "no object"


def test_a_reason_for_each_takes_the_same_form(tmp_path):
    shared = FailuresFile(tmp_path / "shared", origin=lambda index: b',"first_index":%d' % (index + 1))
    each = FailuresFile(tmp_path / "each", origin=lambda index: b',"first_index":%d' % (index + 1))
    records = [(3, 'a "b"\n', b'{"a":1}'), (5, "Gr\u00f6\u00dfe \ud800", b"[]")]
    for index, error, record in records:
        shared.write(Failure("invalid", error), [(index, record)])
    each.write_each("invalid", records)
    shared.close()
    each.close()
    written = (tmp_path / "each" / "failures-00000.ndjson").read_bytes()
    assert written == (tmp_path / "shared" / "failures-00000.ndjson").read_bytes()
    assert json.loads(written.splitlines()[0]) == {
        "index": 3,
        "outcome": "invalid",
        "status": None,
        "error": 'a "b"\n',
        "attempts": 0,
        "record": {"a": 1},
        "first_index": 4,
    }


def test_a_record_without_types_says_so_behind_it(tmp_path):
    file = FailuresFile(tmp_path)
    file.write_each("invalid", [(0, "no", b"{}")], form="textual")
    file.close()
    assert list(read(tmp_path)[0]) == ["index", "outcome", "status", "error", "attempts", "record", "textual"]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_an_error_is_written_as_the_json_module_writes_it(error):
    assert failures._encoded(error) == json.dumps(error, ensure_ascii=False).encode()


def test_nothing_is_made_before_there_is_a_failure(tmp_path):
    file = FailuresFile(tmp_path / "deliveries" / "d")
    assert file.write(Failure("invalid", "x"), []) == []
    file.write_each("invalid", [])
    file.close()
    assert file.parts == []
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_made_and_the_path_is_the_file(tmp_path):
    folder = tmp_path / "deliveries" / "d"
    file = FailuresFile(folder)
    file.write(Failure("invalid", "x"), [(0, b"{}")])
    file.close()
    assert file.parts == ["failures-00000.ndjson"]
    assert len(read(folder)) == 1


def test_a_large_file_comes_in_parts_of_whole_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(failures, "_PART_BYTES", 20_000)
    monkeypatch.setattr(failures, "_BUFFER_BYTES", 1_000)
    file = FailuresFile(tmp_path)
    for index in range(1_000):
        file.write(Failure("rejected", "no", 400, 1), [(index, b'{"id":%d}' % index)])
    file.close()
    parts = sorted(path.name for path in tmp_path.iterdir())
    assert len(parts) > 3
    assert parts[:2] == ["failures-00000.ndjson", "failures-00001.ndjson"]
    assert file.parts == parts
    for part in parts:
        assert (tmp_path / part).read_bytes().endswith(b"}\n")
    assert [line["index"] for line in read(tmp_path)] == list(range(1_000))


def test_little_is_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(failures, "_BUFFER_BYTES", 1_000)
    file = FailuresFile(tmp_path)
    file.write(Failure("unsent", "x"), ((index, b"{}") for index in range(10_000)))
    assert file._buffered < 1_200
    file.close()
    assert len(read(tmp_path)) == 10_000


class _Full:
    """A file on a full disk."""

    def __init__(self, after):
        self._after = after

    def write(self, data):
        if self._after == "write":
            raise OSError(28, "No space left on device")

    def close(self):
        if self._after == "close":
            raise OSError(28, "No space left on device")


class _Folder:
    def __init__(self, fails):
        self._fails = fails

    def __truediv__(self, name):
        return self

    def __str__(self):
        return "s3://bucket/deliveries/d"

    def mkdir(self, *, parents, exist_ok):
        if self._fails == "mkdir":
            raise PermissionError(13, "Permission denied")

    def open(self, mode):
        if self._fails == "open":
            raise PermissionError(13, "Permission denied")
        return _Full(self._fails)


@pytest.mark.parametrize("fails", ["mkdir", "open", "write", "close"])
def test_what_storage_cannot_do_is_told_with_its_place_and_what_to_do(fails):
    file = FailuresFile(_Folder(fails))
    file.write(Failure("rejected", "no", 400, 1), [(0, b"{}")])
    with pytest.raises(StorageError, match=r"s3://bucket/deliveries/d.*(denied|No space).*storage_path") as caught:
        file.close()
    assert isinstance(caught.value.__cause__, OSError)
