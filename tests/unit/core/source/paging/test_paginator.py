"""Paginators by name, and what their options may be."""

from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.source.paging.paginator import PAGINATORS, read_paging


@pytest.mark.parametrize("name", sorted(PAGINATORS))
def test_each_has_a_name(name):
    needed = {"offset": {"limit": 10}, "page_number": {"base_page": 1}}.get(name, {})
    assert read_paging({"type": name, **needed}).name == name


def test_templates_make_text_of_numbers():
    assert read_paging({"type": "offset", "limit": "10", "offset": "20"}).options["limit"] == 10


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "pages",
            "expected one of json_link, header_link, header_cursor, offset, page_number, cursor, single_page",
        ),
        ({"limit": 3}, "expected one of json_link"),
        (7, "found 7"),
        ({"type": "offset", "limit": 3, "step": 4}, "'offset' has no option 'step'; there are limit, offset, "),
        ({"type": "single_page", "limit": 3}, "'single_page' has no option 'limit'; it has none"),
        ("offset", "'offset' needs limit, a whole number: how many records a page has; found None"),
        ("page_number", "'page_number' needs base_page, a whole number: the number of the first page, 0 or 1"),
        ({"type": "offset", "limit": "ten"}, "'offset' needs limit, a whole number"),
        ({"type": "offset", "limit": 0}, "'offset' needs a limit of at least 1, found 0"),
        ({"type": ["offset"]}, "expected one of json_link"),
        ({"type": "json_link", "next_url_path": "$.["}, "'json_link' cannot be made of"),
        ({"type": "cursor", "cursor_param": "a", "cursor_body_path": "b"}, "not both"),
        ("{nonsense", "is not JSON"),
    ],
)
def test_what_cannot_be_used(value, message):
    with pytest.raises(OptionsError, match=message):
        read_paging(value)


def test_text_from_a_template():
    assert read_paging('{"type": "offset", "limit": 5}') == read_paging({"type": "offset", "limit": 5})
    assert read_paging(None) is read_paging("") is None
