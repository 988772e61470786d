from __future__ import annotations

from airflow_provider_osmosdest import __version__
from airflow_provider_osmosdest.core.http.transport import Body, Request, request_headers


def test_length_is_that_of_the_body_whatever_its_kind():
    assert Request(b"12345").length == 5
    assert Request(Body([b"12", memoryview(b"345")], 5)).length == 5


def test_defaults_stand_where_nothing_else_is_said():
    headers = request_headers({}, {})
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == f"airflow-provider-osmosdest/{__version__}"
    assert set(headers) == {"Content-Type", "User-Agent", "Accept"}
    assert set(request_headers({}, {}, has_body=False)) == {"User-Agent", "Accept"}


def test_options_win_over_defaults_and_the_target_over_both_whatever_the_case():
    headers = request_headers(
        {"content-type": "application/vnd.api+json", "X-Key": "k"},
        {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"},
    )
    assert headers["content-type"] == "application/vnd.api+json"
    assert "Content-Type" not in headers
    assert (headers["X-Key"], headers["Content-Encoding"]) == ("k", "gzip")
    assert request_headers({}, {"Content-Type": "application/x-ndjson"})["Content-Type"] == "application/x-ndjson"
