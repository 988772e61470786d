from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.endpoint import EndpointTemplate
from airflow_provider_osmosdest.core.errors import ConnectorError, OptionsError
from airflow_provider_osmosdest.core.http.target import climbs

URL = "https://api.example.com:8443/v1/customers/{id}/orders?tag={tag}"
TEMPLATE = EndpointTemplate(URL)


def test_names_each_field_once_in_order():
    assert TEMPLATE.fields == ("id", "tag")
    assert EndpointTemplate("http://h/{a}/{b}/{a}").fields == ("a", "b")
    assert TEMPLATE


def test_a_url_without_places_is_no_template():
    assert not EndpointTemplate("http://h/path")


@pytest.mark.parametrize(
    "url",
    ["{scheme}://h/x", "http://{host}/x", "http://{user}@h/x", "http://h:{port}/x", "http://{h}", "http://h{x}?a=b",
     "http://h{x}#y"],
)  # fmt: skip
def test_a_record_cannot_choose_the_host(url):
    with pytest.raises(ConnectorError, match="cannot choose the host"):
        EndpointTemplate(url)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (17, "17"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1.5, "1.5"),
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("a..b/.c", "a..b%2F.c"),
        ("..%2f", "..%252f"),
        ("//evil.example", "%2F%2Fevil.example"),
        ("x?y=1#z", "x%3Fy%3D1%23z"),
        ("@evil.example", "%40evil.example"),
        ("a\r\nHost: evil", "a%0D%0AHost%3A%20evil"),
        ("東京", "%E6%9D%B1%E4%BA%AC"),
        ("{tag}", "%7Btag%7D"),
        ("...", "..."),
        ('"quoted"', "%22quoted%22"),
        (12345678901234567890123, "12345678901234567890123"),
        (Decimal("12.50"), "12.50"),
        (date(2024, 5, 31), "2024-05-31"),
        (time(13, 45), "13%3A45%3A00"),
        (datetime(2024, 5, 31, 13, 45, tzinfo=UTC), "2024-05-31T13%3A45%3A00Z"),
        (datetime(2024, 5, 31, 13, 45, tzinfo=timezone(timedelta(hours=2))), "2024-05-31T13%3A45%3A00%2B02%3A00"),
        (datetime(2024, 5, 31, 13, 45), "2024-05-31T13%3A45%3A00"),
    ],
)
def test_values_are_percent_encoded(value, encoded):
    filled = TEMPLATE.fill({"id": value, "tag": "t"})
    assert filled == f"https://api.example.com:8443/v1/customers/{encoded}/orders?tag=t"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"tag": "t"}, "id is needed in the URL and is empty"),
        ({"id": None, "tag": "t"}, "id is needed in the URL and is empty"),
        ({"id": "", "tag": "t"}, "id is needed in the URL and is empty"),
        ({"id": "a", "tag": None}, "tag is needed"),
        ({"id": ".", "tag": "t"}, "another path"),
        ({"id": "..", "tag": "t"}, "another path"),
        ({"id": "../../admin", "tag": "t"}, "another path"),
        ({"id": "a/..", "tag": "t"}, "another path"),
        ({"id": "a\\..\\b", "tag": "t"}, "another path"),
        ({"id": {"a": 1}, "tag": "t"}, "not a single value"),
        ({"id": [1], "tag": "t"}, "not a single value"),
        ({"id": "\ud800", "tag": "t"}, "surrogates"),
    ],
)
def test_what_cannot_stand_in_a_url_is_told_of_the_field(record, message):
    with pytest.raises(ValueError, match=message):
        TEMPLATE.fill(record)


VALUES = st.text(min_size=1).filter(lambda text: not climbs(text))


@given(VALUES, VALUES)
def test_no_value_changes_host_or_shape_of_the_url(one, other):
    url = TEMPLATE.fill({"id": one, "tag": other})
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.example.com:8443", "")
    segments = parts.path.split("/")
    assert segments[:3] == ["", "v1", "customers"]
    assert segments[4:] == ["orders"]
    assert unquote(segments[3]) == one
    assert parts.query.removeprefix("tag=").isascii()
    assert unquote(parts.query) == f"tag={other}"
    assert not set(url) & set(" \r\n\t\\")


def test_check_names_the_missing_field_and_those_there_are():
    TEMPLATE.check(("id", "tag", "more"))
    TEMPLATE.check(())
    with pytest.raises(OptionsError, match=r"no field tag; it has id, name"):
        TEMPLATE.check(("id", "name"))


@pytest.mark.parametrize("url", ["http://h/a{}b", "http://h/{a{b}}"])
def test_braces_that_are_no_names(url):
    template = EndpointTemplate(url)
    with pytest.raises(OptionsError, match="no field"):
        template.check(("id",))
