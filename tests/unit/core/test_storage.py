from __future__ import annotations

import pytest
from upath import UPath

from airflow_provider_osmosdest.core.storage import is_local, write_whole


def test_what_is_local(tmp_path):
    assert is_local(tmp_path)
    assert is_local(UPath(f"file://{tmp_path}"))
    assert not is_local(UPath("memory://box"))


def test_a_file_is_replaced_whole(tmp_path, monkeypatch):
    path = tmp_path / "ledger.json"
    write_whole(path, b"old")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["ledger.json"]


def test_an_object_is_written_as_its_store_does():
    path = UPath("memory://test-storage/ledger.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
