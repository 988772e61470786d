from __future__ import annotations

import os

import pytest

from airflow_provider_osmosdest.get_provider_info import get_provider_info
from airflow_provider_osmosdest.settings import SECTION, Settings, load_settings


def test_without_a_setting_deliveries_are_kept_in_airflows_home():
    assert load_settings() == Settings(storage_path=f"{os.environ['AIRFLOW_HOME']}/osmosdest", storage_conn_id=None)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("s3://bucket/osmosdest", "s3://bucket/osmosdest"),
        (" s3://bucket/osmosdest/ ", "s3://bucket/osmosdest"),
        ("/srv/osmosdest//", "/srv/osmosdest"),
        ("/", "/"),
    ],
)
def test_a_setting_is_taken_as_it_is(monkeypatch, said, kept):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", said)
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_CONN_ID", " aws_default ")
    assert load_settings() == Settings(storage_path=kept, storage_conn_id="aws_default")


def test_an_empty_connection_id_is_none(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_CONN_ID", "  ")
    assert load_settings().storage_conn_id is None


@pytest.mark.parametrize(("said", "kept"), [("", "none"), (" Read ", "read"), ("write", "write")])
def test_what_a_group_may_do(monkeypatch, said, kept):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__GROUP_ACCESS", said)
    assert load_settings().group_access == kept


def test_the_url_of_redis_may_come_from_a_command_and_is_not_shown(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__REDIS_URL_CMD", "echo redis://:secret@host")
    assert load_settings().redis_url == "redis://:secret@host"
    assert "secret" not in repr(load_settings())


def test_it_is_read_once(monkeypatch):
    first = load_settings()
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", "s3://elsewhere")
    assert load_settings() is first


def test_every_setting_is_declared():
    assert set(get_provider_info()["config"][SECTION]["options"]) == set(Settings.__dataclass_fields__)
