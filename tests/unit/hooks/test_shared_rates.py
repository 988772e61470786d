from __future__ import annotations

import sys

import pytest

from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import ConnectorError, MissingExtraError, OptionsError
from airflow_provider_osmosdest.hooks.shared_rates import open_grants, shared_limits

pytest.importorskip("redis")

LIMITED = DeliveryOptions(requests_per_second=10)


def said(_):
    raise AssertionError


def arguments(grants):
    return grants._script.registered_client.get_connection_kwargs()


def test_without_a_setting_nothing_is_shared():
    assert open_grants(said) is None
    limits = shared_limits("api", LIMITED, 4, said)
    assert (limits.share, limits.store) == (4, None)


def test_without_a_rate_redis_is_not_looked_at(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__REDIS_URL", "nonsense")
    assert shared_limits("api", DeliveryOptions(), 4, said).store is None


def test_a_url(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__REDIS_URL", "redis://me:p%40ss@redis.example:6390/3")
    limits = shared_limits("api", LIMITED, 4, said)
    assert limits.store.name == "Redis at redis.example:6390 with all tasks on connection 'api'"
    given = arguments(open_grants(said))
    assert (given["db"], given["username"], given["password"]) == (3, "me", "p@ss")
    assert given["socket_timeout"] == given["socket_connect_timeout"] == 0.5


def test_a_connection(monkeypatch, set_connection):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__REDIS_CONN_ID", "shared")
    set_connection(
        "shared", conn_type="redis", host="redis.example", port=6390, login="me", password="secret",
        extra={"db": "3", "ssl": True, "ssl_cert_reqs": "none"},
    )  # fmt: skip
    grants = open_grants(said)
    given = arguments(grants)
    assert grants.name == "Redis at redis.example:6390"
    assert (given["db"], given["username"], given["password"]) == (3, "me", "secret")
    assert given["ssl_cert_reqs"] == "none"


@pytest.mark.parametrize("url", ["nonsense", "http://:secret@host", "redis://:secret@host:port/0"])
def test_what_is_no_url_is_named_without_its_password(monkeypatch, url):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__REDIS_URL", url)
    with pytest.raises(OptionsError, match=r"redis_url is no URL of a Redis .* expected redis://") as caught:
        open_grants(said)
    assert "secret" not in str(caught.value)


def test_only_one_of_the_two(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__REDIS_URL", "redis://host")
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__REDIS_CONN_ID", "shared")
    with pytest.raises(OptionsError, match="redis_url and redis_conn_id are both set"):
        open_grants(said)


def test_a_connection_that_is_not_there(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__REDIS_CONN_ID", "nowhere")
    with pytest.raises(ConnectorError, match="redis_conn_id is 'nowhere', and there is no such connection"):
        open_grants(said)


def test_a_database_that_is_no_number(monkeypatch, set_connection):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__REDIS_CONN_ID", "shared")
    set_connection("shared", conn_type="redis", host="host", extra={"db": "first"})
    with pytest.raises(ConnectorError, match="db in its extra is 'first', expected a number"):
        open_grants(said)


def test_the_package_is_an_extra(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__REDIS_URL", "redis://host")
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r"\[redis\]"):
        open_grants(said)
