"""What a record may not be; the quick look may be wrong in one direction only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.mailbox.inbox.limits import Limits

LIMITS = Limits(depth=4, fields=5)


def nested(levels, kind="[]"):
    """Return a record nested so many levels deep."""
    inside = levels - 1
    return (
        b'{"a":' + (b"[" * inside + b"]" * inside if kind == "[]" else b'{"b":' * inside + b"0" + b"}" * inside) + b"}"
    )


@pytest.mark.parametrize(
    ("text", "reason", "field"),
    [
        (b'{"a":1,"b":2,"a":1}', "the key 'a' is there more than once", "a"),
        (b'{"a":1,"\\u0061":2}', "the key 'a' is there more than once", "a"),
        ('{"é":1,"\\u00e9":2}'.encode(), "the key 'é' is there more than once", "é"),
        (b'{"a":[{"x":1,"x":1}]}', "the key 'x' is there more than once", "x"),
        (b'{"a":NaN}', "NaN is no JSON value; send null, or leave the field out", None),
        (b'{"a":[-Infinity]}', "-Infinity is no JSON value; send null, or leave the field out", None),
        (b'{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}', "the record has 6 fields, more than the 5 that are taken", None),
        (b'{"a":{"b":2,"c":3},"d":{"e":5,"f":6}}', "the record has 6 fields, more than the 5 that are taken", None),
        (nested(5), "the record is nested more than 4 deep", None),
        (nested(5, "{}"), "the record is nested more than 4 deep", None),
        (nested(500), "the record is nested more than 4 deep", None),
        (nested(100_000), "the record holds more than 500 objects and arrays", None),
        (b'{"a":[' + b",".join([b"[]"] * 500) + b"]}", "the record holds more than 500 objects and arrays", None),
    ],
)
def test_what_is_rejected(text, reason, field):
    assert LIMITS.fault(text) == (reason, field)
    assert not LIMITS.clear(b"[%b]" % text, len(text))


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"1",
        b'{"a":{"a":{"a":1}}}',
        b'{"a":"NaN, Infinity"}',
        b'{ "a" : 1 , "b"\n:\t2 }',
        b'{"a":"\\":\\":"}',
        b'{"a":"{[","b":"]}"}',
        b'{"a":1,"b":2,"c":3,"d":4,"e":5}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\ud800"}',
        b'{"a":1e999}',
        b"{broken",
        nested(4),
        nested(4, "{}"),
    ],
)
def test_what_is_not_rejected_here(text):
    assert LIMITS.fault(text) is None


def test_plain_records_are_cleared_at_once():
    records = [{"id": number, "at": "12:30:00", "b": None} for number in range(100)]
    for text in (json.dumps(records), json.dumps(records, indent=2)):
        assert LIMITS.clear(text.encode(), 100)


keys = st.sampled_from(["a", "b", "c", '":', "NaN", "[{"])
values = st.recursive(
    st.none() | st.integers(0, 9) | st.sampled_from(['"', '":', '\\":', "x : y", "{[", "1:2"]) | st.just(float("nan")),
    lambda inside: st.lists(inside, max_size=3) | st.lists(st.tuples(keys, inside), max_size=4).map(tuple),
    max_leaves=8,
)


def written(value, space):
    """Write JSON whose objects are tuples of pairs, so that a key may be there twice."""
    if isinstance(value, tuple):
        pairs = [f"{json.dumps(key)}{space}:{space}{written(inside, space)}" for key, inside in value]
        return "{" + f"{space},".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + f",{space}".join(written(inside, space) for inside in value) + "]"
    return json.dumps(value)


def depth(value):
    inside = [v for _, v in value] if isinstance(value, tuple) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)


def fields(value):
    inside = [v for _, v in value] if isinstance(value, tuple) else value if isinstance(value, list) else []
    return (len(value) if isinstance(value, tuple) else 0) + sum(map(fields, inside))


def is_sound(value):
    if isinstance(value, tuple):
        return len(dict(value)) == len(value) and all(is_sound(inside) for _, inside in value)
    return all(map(is_sound, value)) if isinstance(value, list) else value == value  # noqa: PLR0124 - NaN


@given(st.lists(values, max_size=4), st.sampled_from(["", " ", "\r\n\t "]))
def test_every_fault_is_found_and_none_is_cleared(records, space):
    texts = [written(record, space).encode() for record in records]
    good = [is_sound(each) and depth(each) <= LIMITS.depth and fields(each) <= LIMITS.fields for each in records]
    assert [LIMITS.fault(text) is None for text in texts] == good
    if not all(good):
        assert not LIMITS.clear(b"[" + b",".join(texts) + b"]", max(map(len, texts)))


@given(st.lists(st.sampled_from([b"1", b'{"a":"[[[\\"[["}', b"{}", nested(4)]), max_size=4), st.data())
def test_the_first_that_is_too_deep_is_found_without_following_it(before, data):
    deep = data.draw(st.sampled_from([nested(5), nested(5, "{}"), b"[" * 100_000, b'{"x":' * 100_000]))
    assert LIMITS.first_too_deep(b"[" + b",".join([*before, deep])) == len(before)
