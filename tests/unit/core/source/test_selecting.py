"""Records in answers, as the bytes they came in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import OptionsError, PagingError
from airflow_provider_osmosdest.core.source.fetching.page_response import PageResponse
from airflow_provider_osmosdest.core.source.selecting import Selector

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def select(body, path=None, *, first=True, **more):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [bytes(each) for each in Selector(path, **more).select(PageResponse(200, {}, data), first=first)]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([{"a": 1}, {"a": 2}], None),
        ([{"a": 1}, {"a": 2}], "$"),
        ({"data": [{"a": 1}, {"a": 2}]}, "data"),
        ({"data": [{"a": 1}, {"a": 2}]}, "$.data[*]"),
        ({"r": {"x-y": [{"a": 1}, {"a": 2}]}}, "r.x-y"),
        ({"r": [{"v": {"a": 1}}, {"v": {"a": 2}}]}, "r[*].v"),
        ({"r": [{"v": [{"a": 1}]}, {"v": [{"a": 2}]}]}, "$..v"),
    ],
)
def test_an_array_is_many_records(body, path):
    assert [json.loads(each) for each in select(body, path)] == [{"a": 1}, {"a": 2}]


def test_or_one():
    body = {"id": 7, "rows": [1, 2]}
    assert select(body, "rows", array_as="record") == [b'{"rows":[1, 2]}']
    assert select([1, 2], array_as="record") == [b'{"value":[1, 2]}']


def test_an_object_is_one_record():
    assert select({"a": 1}) == [b'{"a": 1}']
    assert select({"a": {"b": 1}}, "a") == [b'{"b": 1}']


def test_numbers_keep_every_digit():
    assert select(b'{"d":[{"a":1.10,"b":123456789012345678901234567890}]}', "d") == [
        b'{"a":1.10,"b":123456789012345678901234567890}'
    ]


def test_a_record_is_one_line_however_it_was_laid_out():
    assert select(b'[\n  {\r\n "a":\n "x\\ny"}\n]') == [b'{   "a":  "x\\ny"}']


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=5), max_size=5), st.sampled_from([None, 2]))
def test_what_went_in_comes_out(records, indent):
    body = json.dumps({"a": {"b": records}}, indent=indent).encode()
    found = select(body, "a.b")
    assert [json.loads(each) for each in found] == records
    assert not any(b"\n" in each for each in found)


def test_nothing_in_the_first_page_says_what_is_there():
    with pytest.raises(PagingError, match=r"'data'; the answer is an object with the keys items \(array of 1\), total"):
        select({"items": [{}], "total": 3}, "data")
    with pytest.raises(PagingError, match=r"nothing at data_selector 'data\.x'; the answer is an array of 2"):
        select([1, 2], "data.x")


def test_nothing_in_a_later_page_is_an_empty_page():
    assert select({"total": 3}, "data", first=False) == []


def test_null_and_an_empty_array_are_no_records():
    assert select({"data": None}, "data") == select({"data": []}, "data") == []


@pytest.mark.parametrize("value", [1, "x", True])
def test_a_plain_value_can_be_no_record(value):
    with pytest.raises(PagingError, match=f"there is a {type(value).__name__}, which can be no record"):
        select({"data": value}, "data")


def test_what_is_not_json_is_named():
    answer = PageResponse(
        200, {"Content-Type": "text/html"}, b"<html>Please log in</html>", "page 3 of GET https://a.test/x"
    )
    with pytest.raises(PagingError, match=r"page 3 .*answered 200 with what is not JSON.*text/html.*'<html>Please"):
        Selector().select(answer, first=True)
    with pytest.raises(PagingError, match="is not JSON"):
        Selector("a.b").select(PageResponse(200, {}, b'{"a": {"b": [}'), first=True)


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [("utf-8-sig", ""), ("utf-16", ""), ("utf-16-le", ""), ("latin-1", "application/json; charset=iso-8859-1")],
)
def test_other_encodings_are_brought_to_utf_8(encoding, content_type):
    answer = PageResponse(200, {"Content-Type": content_type}, '[{"a": "Zoë"}]'.encode(encoding))
    assert [json.loads(bytes(each)) for each in Selector().select(answer, first=True)] == [{"a": "Zoë"}]


@pytest.mark.parametrize("path", ["$.[", "a b c", 3])
def test_a_path_that_is_none(path):
    with pytest.raises(OptionsError, match="data_selector"):
        Selector(path)


def test_another_array_as():
    with pytest.raises(OptionsError, match="array_as: found 'rows', expected one of records, record"):
        Selector(None, "rows")
