"""An answer that shows a next page is never taken for all there is."""

from __future__ import annotations

import ast
import json

import pytest

from airflow_provider_osmosdest.core.source.fetching.page_response import PageResponse
from airflow_provider_osmosdest.core.source.paging.next_page_hints import next_page_hint
from airflow_provider_osmosdest.core.source.paging.paginator import read_paging

TEN = [{"id": number} for number in range(10)]


@pytest.mark.parametrize(
    ("body", "headers", "kind", "option"),
    [
        (TEN, {"Link": '<https://a.test/x?page=2>; rel="next"'}, "header_link", {}),
        (TEN, {"X-Next-Page": "2"}, "header_cursor", {"cursor_key": "X-Next-Page"}),
        (TEN, {"X-Total-Count": "95"}, "page_number", {"page_param": "page"}),
        ({"items": TEN, "next": "https://a.test/x?page=2"}, {}, "json_link", {"next_url_path": "next"}),
        ({"items": TEN, "next": "/x?page=2"}, {}, "json_link", {"next_url_path": "next"}),
        ({"items": TEN, "links": {"next": "https://a.test"}}, {}, "json_link", {"next_url_path": "links.next"}),
        ({"items": TEN, "_links": {"next": {"href": "/x"}}}, {}, "json_link", {"next_url_path": "_links.next.href"}),
        ({"value": TEN, "@odata.nextLink": "https://a.test"}, {}, "json_link", {"next_url_path": '"@odata.nextLink"'}),
        ({"items": TEN, "next_page_url": "/p"}, {}, "json_link", {"next_url_path": "next_page_url"}),
        ({"items": TEN, "next_cursor": "abc"}, {}, "cursor", {"cursor_path": "next_cursor"}),
        ({"items": TEN, "nextPageToken": "abc"}, {}, "cursor", {"cursor_path": "nextPageToken"}),
        (
            {"items": TEN, "paging": {"cursors": {"after": "abc"}}},
            {},
            "cursor",
            {"cursor_path": "paging.cursors.after"},
        ),
        ({"items": TEN, "has_more": True}, {}, "offset", {"has_more_path": "has_more", "limit": 10}),
        ({"items": TEN, "total_entries": 31}, {}, "offset", {"total_path": "total_entries"}),
        ({"items": TEN, "meta": {"total_pages": 4}}, {}, "page_number", {"total_path": "meta.total_pages"}),
    ],
)
def test_a_sign_names_the_paginator_that_follows_it(body, headers, kind, option):
    hint = next_page_hint(PageResponse(200, headers, json.dumps(body).encode()), 10)
    written = ast.literal_eval(hint.partition("paginator=")[2])
    assert written["type"] == kind
    assert option.items() <= written.items()
    # It can be used as it stands.
    assert read_paging(written).name == kind


@pytest.mark.parametrize(
    "body",
    [
        TEN,
        {"items": TEN},
        {"items": TEN, "next": None, "total": 10, "has_more": False},
        {"items": TEN, "next": "", "links": {"next": {"href": None}}},
        {"items": [{"next": "https://a.test", "has_more": True}]},
        {"items": [], "total": 0},
    ],
)
def test_no_sign(body):
    assert next_page_hint(PageResponse(200, {}, json.dumps(body).encode()), 10) is None


def test_a_number_in_a_record_is_data():
    body = json.dumps({"id": 7, "total": 4200, "pages": 300}).encode()
    assert next_page_hint(PageResponse(200, {}, body), 1, whole=True) is None


def test_only_what_no_last_page_has_is_sure():
    def sure(document, headers):
        return next_page_hint(PageResponse(200, headers, json.dumps(document).encode()), 10, sure=True)

    assert sure({"items": TEN, "next": "/x"}, {}) is not None
    assert sure({"items": TEN, "meta": {"nextPageToken": "x"}}, {}) is not None
    assert sure(TEN, {"X-Next-Page": "2"}) is not None
    for document in ({"scroll_id": "x"}, {"after": "2026"}, {"total": 95}, {"has_more": True}, {"pages": 4}):
        assert sure({"items": TEN, **document}, {"X-Total-Count": "95"}) is None
