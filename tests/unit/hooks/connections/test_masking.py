"""Secrets are registered with Airflow's masker; what is too short for it is not, as it would say so in the log."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import Connection
from airflow.sdk._shared.secrets_masker import SecretsMasker

from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.hooks.connections.masking import mask_secrets, read_extra


@pytest.fixture
def masker(monkeypatch):
    masker = SecretsMasker()
    masker.sensitive_variables_fields = ["token", "api_key"]
    monkeypatch.setattr("airflow.sdk.log.mask_secret", masker.add_mask)
    monkeypatch.setattr(SecretsMasker, "_has_warned_short_secret", False)
    return masker


def test_what_is_too_short_is_not_registered(masker):
    mask_secrets(["", "pwd", "long-enough"])
    assert masker.patterns == {"long\\-enough"}
    assert not SecretsMasker._has_warned_short_secret


def test_how_short_is_airflow_s_setting(masker, monkeypatch):
    monkeypatch.setenv("AIRFLOW__LOGGING__MIN_LENGTH_MASKED_SECRET", "8")
    masker.min_length_to_mask = 8
    mask_secrets(["seven77", "eight888"])
    assert masker.patterns == {"eight888"}
    assert not SecretsMasker._has_warned_short_secret


def test_an_extra_is_masked_by_its_names_as_airflow_does_it(masker):
    headers = {"X-Token": "hush-hush", "X-Other": "well-known"}
    extra = {"method": "PUT", "headers": headers, "api_key": ["key", "long-key"], "batch_size": 5, "envelope": None}
    assert read_extra(Connection(conn_id="a", conn_type="osmos_http", extra=json.dumps(extra))) == extra
    assert masker.patterns == {"hush\\-hush", "long\\-key"}
    assert not SecretsMasker._has_warned_short_secret


@pytest.mark.parametrize("extra", ["[1]", "{hush", '"hush"'])
def test_an_extra_that_is_no_object_is_refused_unseen(extra):
    with pytest.raises(ConnectorError, match="extra is not a JSON object") as raised:
        read_extra(Connection(conn_id="a", conn_type="osmos_http", extra=extra))
    assert "hush" not in str(raised.value)


def test_a_connection_without_an_extra():
    assert read_extra(Connection(conn_id="a", conn_type="osmos_http")) == {}
