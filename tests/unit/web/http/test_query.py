from __future__ import annotations

import pytest
from starlette.datastructures import QueryParams

from airflow_provider_osmosdest.web.http.problems import Problem
from airflow_provider_osmosdest.web.http.query import page_size, single, whole_number


def test_each_parameter_by_name():
    assert single(QueryParams("limit=5&cursor="), {"limit", "cursor"}) == {"limit": "5", "cursor": ""}


@pytest.mark.parametrize(
    ("query", "name"), [("limit=1&limit=1", "limit"), ("limt=1", "limt"), ("cursor=a&wait=1&cursor=b", "cursor")]
)
def test_what_is_twice_or_unknown_is_named(query, name):
    with pytest.raises(Problem) as raised:
        single(QueryParams(query), {"limit", "cursor", "wait"})
    assert raised.value.status == 400
    assert raised.value.document["parameter"] == name
    assert name in raised.value.document["detail"]


@pytest.mark.parametrize("text", ["", "0", "11", "-1", "+1", "1.0", " 1", "1e1", "٣", "9" * 5000])
def test_a_number_out_of_bounds_is_refused(text):
    with pytest.raises(Problem) as raised:
        whole_number({"wait": text}, "wait", default=3, least=1, most=10)
    assert raised.value.document["parameter"] == "wait"
    assert "from 1 to 10" in raised.value.document["detail"]
    assert len(raised.value.document["detail"]) < 200


def test_a_page_has_500_records_unless_the_mailbox_gives_fewer_or_the_request_says():
    assert page_size({}, 5000) == 500
    assert page_size({}, 100) == 100
    assert page_size({"limit": "5000"}, 5000) == 5000
    with pytest.raises(Problem):
        page_size({"limit": "5001"}, 5000)
