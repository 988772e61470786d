from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.web.http.negotiation import coding_header, pick_coding, pick_media_type
from airflow_provider_osmosdest.web.http.problems import Problem

OFFERED = ("application/json", "application/x-ndjson", "text/csv")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV; charset=utf-8", "text/csv"),
        ("text/*", "text/csv"),
        ("application/json;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("application/json;q=0, */*", "application/x-ndjson"),
        ("text/csv, */*", "text/csv"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("application/*;q=0.2, text/csv;q=0.1", "application/json"),
        ("text/csv;q=nonsense, application/x-ndjson;q=0.1", "application/x-ndjson"),
    ],
)
def test_media_types(accept, expected):
    assert pick_media_type(accept, OFFERED) == expected


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*", "application/json;q=0.000"])
def test_no_media_type_is_406_and_lists_what_there_is(accept):
    with pytest.raises(Problem) as raised:
        pick_media_type(accept, OFFERED)
    assert raised.value.status == 406
    assert raised.value.document["available"] == list(OFFERED)


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "gzip"),
        ("br", "identity"),
        ("gzip;q=0", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("gzip;q=0.5, identity;q=0", "gzip"),
        ("GZIP", "gzip"),
    ],
)
def test_codings(accept_encoding, expected):
    assert pick_coding(accept_encoding, ("zstd", "gzip")) == expected


@pytest.mark.parametrize("accept_encoding", ["identity;q=0", "*;q=0", "br, identity;q=0"])
def test_no_coding_is_406(accept_encoding):
    with pytest.raises(Problem) as raised:
        pick_coding(accept_encoding, ("zstd", "gzip"))
    assert raised.value.status == 406


@given(st.text())
def test_any_header_is_answered_or_refused(header):
    for pick, offered in ((pick_media_type, OFFERED), (pick_coding, ("zstd", "gzip"))):
        with suppress(Problem):
            assert pick(header, offered) in (*offered, "identity")


def test_what_is_not_packed_says_so_only_where_a_middleware_would_pack_it():
    assert coding_header("gzip", "gzip") == {"Content-Encoding": "gzip"}
    assert coding_header("identity", None) == {}
    assert coding_header("identity", "gzip;q=0") == {"Content-Encoding": "identity"}
