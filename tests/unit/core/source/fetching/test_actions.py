"""The task's own rules of what a response means."""

from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.source.fetching.actions import action_for, read_actions

ACTIONS = read_actions(
    [
        {"status": 404, "content": "quota", "action": "retry"},
        {"status": "404", "action": "stop"},
        {"status": "5xx", "action": "fail"},
        {"content": "no such user", "action": "ignore"},
    ]
)


@pytest.mark.parametrize(
    ("status", "body", "action"),
    [
        (404, b"quota used up", "retry"),
        (404, b"", "stop"),
        (503, b"", "fail"),
        (200, b'{"error": "no such user"}', "ignore"),
        (200, b"{}", None),
        (400, b"{}", None),
    ],
)
def test_the_first_that_matches_decides(status, body, action):
    assert action_for(ACTIONS, status, body) == action


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("retry", "expected a list of objects like"),
        ([{"status": 404}], "found action None, expected one of retry, fail, stop, ignore"),
        ([{"status": 404, "action": "skip"}], "found action 'skip'"),
        ([{"action": "stop"}], "names neither status nor content"),
        ([{"status": "4", "code": 1, "action": "stop"}], "expected an object with status, content, action"),
        ([{"status": "4yy", "action": "stop"}], "found status '4yy'"),
        ([{"status": True, "action": "stop"}], "found status True"),
        ([{"content": 3, "action": "stop"}], "found content 3"),
        ([3], "found 3"),
    ],
)
def test_what_cannot_be_used(value, message):
    with pytest.raises(OptionsError, match=message):
        read_actions(value)


def test_none_at_all():
    assert read_actions(None) == ()
    assert [each.action for each in read_actions({"status": 404, "action": "stop"})] == ["stop"]
