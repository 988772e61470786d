from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.envelope import PLACEHOLDER, Envelope
from airflow_provider_osmosdest.core.errors import OptionsError


def wrapped(value, records=b"[1,2]"):
    envelope = Envelope.of(value)
    return json.loads(envelope.prefix + records + envelope.suffix)


def test_none_wraps_nothing():
    assert Envelope.of(None) == Envelope(b"", b"")


@pytest.mark.parametrize("name", ["data", "naïve", 'quote"d', "$records", "with space"])
def test_a_name_is_the_key_of_an_object(name):
    if name == "$records":
        with pytest.raises(OptionsError, match=r"^envelope"):
            Envelope.of(name)
        return
    assert wrapped(name) == {name: [1, 2]}


def test_an_object_keeps_what_stands_around_the_records():
    value = {"meta": {"source": "Zürich", "n": 1}, "payload": {"items": PLACEHOLDER}, "last": None}
    expected = {"meta": {"source": "Zürich", "n": 1}, "payload": {"items": [1, 2]}, "last": None}
    assert wrapped(value) == expected
    assert wrapped("  " + json.dumps(value)) == expected


def test_records_may_stand_in_an_array():
    assert wrapped({"rows": ["first", PLACEHOLDER]}, b"2") == {"rows": ["first", 2]}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"data": []},
        {"a": PLACEHOLDER, "b": PLACEHOLDER},
        {PLACEHOLDER: 1},
        {PLACEHOLDER: PLACEHOLDER},
        {"data": f"{PLACEHOLDER} and more"},
        [PLACEHOLDER],
        {"data": PLACEHOLDER, "bad": float("nan")},
        {"data": PLACEHOLDER, "bad": object()},
        "{not json",
        '{"data": []}',
        17,
    ],
)
def test_what_cannot_hold_the_records_once_is_refused(value):
    with pytest.raises(OptionsError, match=r"^envelope: "):
        Envelope.of(value)


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda key: key not in (PLACEHOLDER, "records")),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5).filter(lambda text: text != PLACEHOLDER),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=3).filter(lambda key: key != PLACEHOLDER), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=4,
    )
)
def test_any_object_comes_back_with_its_records(around):
    assert wrapped({**around, "records": PLACEHOLDER}) == {**around, "records": [1, 2]}
