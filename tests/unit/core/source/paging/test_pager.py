"""From one page to the next, and nowhere else."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.errors import PagingError
from airflow_provider_osmosdest.core.source.fetching.page_response import PageResponse
from airflow_provider_osmosdest.core.source.paging.pager import Pager
from airflow_provider_osmosdest.core.source.paging.paginator import read_paging

URL = "https://api.test/v1/items"


def pager(value, *, query=None, body=None, url=URL, base_query=()):
    return Pager(read_paging(value), url, query or {}, body, base_query)


def answer(document, **headers):
    return PageResponse(200, headers, json.dumps(document).encode(), "page 1")


class TestNext:
    def test_offset(self):
        walk = pager({"type": "offset", "limit": 10, "total_path": "total"}, query={"q": "x"})
        assert walk.request.params == {"q": "x", "offset": 0, "limit": 10}
        assert walk.advance(answer({"items": [0] * 10, "total": 15}), 10)
        assert walk.request.params == {"q": "x", "offset": 10, "limit": 10}
        assert not walk.advance(answer({"items": [0] * 5, "total": 15}), 5)

    def test_page_number_ends_with_an_empty_page(self):
        walk = pager({"type": "page_number", "base_page": 1, "page_param": "p"})
        assert walk.advance(answer([1]), 1)
        assert walk.request.params == {"p": 2}
        assert not walk.advance(answer([]), 0)

    def test_cursor_in_a_body(self):
        walk = pager({"type": "cursor", "cursor_path": "next", "cursor_body_path": "page.after"}, body={"q": 1})
        assert walk.advance(answer({"next": "abc"}), 3)
        assert walk.request.json == {"q": 1, "page": {"after": "abc"}}
        assert not walk.advance(answer({"next": None}), 3)

    @pytest.mark.parametrize("end", [None, "", False])
    def test_links_end_with_nothing(self, end):
        assert not pager("json_link").advance(answer({"next": end}), 1)

    def test_links(self):
        walk = pager("json_link", query={"since": 3})
        assert walk.advance(answer({"next": "?page=2"}), 1)
        assert (walk.request.url, walk.request.params) == (f"{URL}?page=2", None)
        walk = pager("header_link")
        assert walk.advance(answer([], Link='</v1/items?page=2>; rel="next"'), 1)
        assert walk.request.url == f"{URL}?page=2"

    def test_header_cursor(self):
        walk = pager({"type": "header_cursor", "cursor_key": "X-Next", "cursor_param": "page"})
        assert walk.advance(answer([], **{"X-Next": "2"}), 1)
        assert walk.request.params == {"page": "2"}

    @pytest.mark.parametrize(
        ("value", "document", "message"),
        [
            ({"type": "offset", "limit": 1, "total_path": "total"}, {"count": 3}, "object with the keys count"),
            ({"type": "offset", "limit": 1, "total_path": "total"}, {"total": "many"}, "'offset'"),
            ({"type": "page_number", "base_page": 0, "has_more_path": "more"}, {"x": 1}, "'page_number'"),
            ("json_link", {"next": {"href": "/x"}}, "expected a URL at its path, found a dict"),
            (
                {"type": "cursor", "cursor_path": "next"},
                {"next": {"a": 1}},
                "expected a cursor at its path, found a dict",
            ),
        ],
    )
    def test_what_an_answer_lacks_is_named_without_the_answer(self, value, document, message):
        with pytest.raises(PagingError, match=message) as caught:
            pager(value).advance(answer({**document, "items": [{"email": "ada@example.com"}]}), 1)
        assert "ada@" not in str(caught.value)

    def test_an_api_that_takes_no_heed_of_the_page(self):
        walk = pager({"type": "offset", "limit": 2, "offset_param": "start"})
        assert walk.advance(answer([1, 2]), 2)
        with pytest.raises(PagingError, match="the same 2 records as the page before, so the API takes no heed"):
            walk.advance(answer([1, 2]), 2)

    def test_also_where_a_total_would_end_it(self):
        walk = pager(TOTAL)
        assert walk.advance(answer({"items": [0, 1], "total": 6}), 2)
        with pytest.raises(PagingError, match="takes no heed"):
            walk.advance(answer({"items": [0, 1], "total": 6}), 2)


TOTAL = {"type": "offset", "limit": 2, "total_path": "total"}


class TestPagesOfAnotherLength:
    """An offset goes on by the limit, so a page of another length passes over records, or brings some twice."""

    def test_shorter_than_asked_for_and_not_the_last(self):
        walk = pager({"type": "offset", "limit": 100})
        assert walk.advance(answer([0] * 50), 50)
        with pytest.raises(
            PagingError, match="page 1: has 50 records, and 100 were asked for, though it is not the la"
        ):
            walk.advance(answer([1] * 50), 50)

    def test_the_first_page_ends_paging_and_the_total_says_more(self):
        with pytest.raises(PagingError, match="page 1: has 50 records, and 100 were asked for"):
            pager({**TOTAL, "limit": 100}).advance(answer({"total": "80"}), 50)

    def test_longer_than_asked_for(self):
        with pytest.raises(PagingError, match="page 1: has 3 records, and 2 were asked for"):
            pager(TOTAL).advance(answer({"total": 6}), 3)

    def test_a_total_of_more_than_there_are_ends_with_an_empty_page(self):
        walk = pager(TOTAL)
        assert walk.advance(answer({"items": [0], "total": 6}), 1)
        assert not walk.advance(answer({"items": [], "total": 6}), 0)

    def test_a_later_page_may_lack_a_record(self):
        walk = pager({**TOTAL, "total_path": "total"})
        assert walk.advance(answer({"items": [0, 1], "total": 4}), 2)
        assert not walk.advance(answer({"items": [2], "total": 4}), 1)

    def test_records_that_were_chosen_are_not_counted(self):
        walk = pager({"type": "offset", "limit": 100})
        assert walk.advance(answer([0] * 50), 50, counted=False)
        assert walk.advance(answer([1] * 50), 50, counted=False)


class TestHosts:
    @pytest.mark.parametrize(
        "link",
        [
            "https://evil.test/v1/items?page=2",
            "//evil.test/x",
            "https://api.test:8443/x",
            "https://api.test@evil.test/x",
            "ftp://api.test/x",
            "http://api.test:8080/x",
            "https://[broken/x",
        ],
    )
    def test_no_other_host_is_asked(self, link):
        with pytest.raises(PagingError, match=r"the connection's host is api\.test\. No other host is asked"):
            pager("json_link").advance(answer({"next": link}), 1)

    def test_user_and_password_in_a_link_are_not_taken(self):
        walk = pager("json_link")
        assert walk.advance(answer({"next": "https://eve:pw@api.test/v1/items?page=2"}), 1)
        assert walk.request.url == f"{URL}?page=2"

    def test_a_query_is_not_shown(self):
        with pytest.raises(PagingError) as caught:
            pager("json_link").advance(answer({"next": "https://evil.test/?token=abcdef"}), 1)
        assert "abcdef" not in str(caught.value)

    def test_an_api_behind_a_proxy_that_ends_tls(self):
        walk = pager("json_link")
        assert walk.advance(answer({"next": "http://api.test/v1/items?page=2"}), 1)
        assert walk.request.url == f"{URL}?page=2"

    def test_the_connections_own_query_goes_along(self):
        walk = pager("json_link", url=f"{URL}?key=k1", base_query=[("key", "k1")])
        assert walk.advance(answer({"next": "/v1/items?page=2"}), 1)
        assert walk.request.url == f"{URL}?page=2&key=k1"
        assert walk.advance(answer({"next": "/v1/items?page=3&key=k2"}), 1)
        assert walk.request.url == f"{URL}?page=3&key=k2"


@pytest.mark.parametrize(
    ("value", "document"),
    [
        ({"type": "offset", "limit": 10}, [1]),
        ({"type": "page_number", "base_page": 1}, [1]),
        ("json_link", {"next": "/v1/items?page=2"}),
        ({"type": "cursor", "cursor_path": "next"}, {"next": "abc"}),
    ],
)
def test_an_attempt_goes_on_from_kept_state(value, document):
    walk = pager(value, query={"q": "x"}, body={"a": [1]})
    assert walk.advance(answer(document), 1)
    state = json.loads(json.dumps(walk.state))
    other = pager(value, query={"q": "x"}, body={"a": [1]})
    assert other.digest != walk.digest
    other.restore(state)
    assert (other.digest, other.state) == (walk.digest, walk.state)
