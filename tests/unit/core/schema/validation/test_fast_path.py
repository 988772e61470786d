"""The fast path may change nothing but the time: the same validator, made to keep records, does without it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema, JsonElements, JsonLines
from airflow_provider_osmosdest.core.schema.validation.fast_path import FastPath
from tests.thoroughness import examples

_spec = importlib.util.spec_from_file_location("schema_strategies", Path(__file__).parents[1] / "strategies.py")
strategies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(strategies)

TYPES = ["string", "integer", "number", "boolean", "date"]
SURROGATE_IN_UTF8 = b'"\xed\xa0\x80"'

EDGES = [
    *(b"null", b"true", b"false", b"True", b"NaN", b"Infinity", b"-Infinity", b"nul", b"", b"-", b"{}", b"[]", b"[1]"),
    *(b"0", b"-0", b"-0.0", b"0.0", b"5", b"-5", b"+5", b"05", b"-05", b"5.0", b"5.5", b"5.", b".5", b"1_000", b"0x1"),
    *(b"1e3", b"1E5", b"1e+5", b"1e-5", b"1e", b"1e999", b"-1e999", b"1e-999", b"1e22", b"1e23", b"1e308", b"1.8e308"),
    *(b"4.9e-324", b"2.2250738585072011e-308", b"0.30000000000000004", b"0.1234567890123456789012345", b"1e0001"),
    *(b"9007199254740993", b"9007199254740993.0", b"9223372036854775807", b"9223372036854775808"),
    *(b"-9223372036854775808", b"-9223372036854775809", b"18446744073709551615", b"18446744073709551616"),
    *(b"9" * 30, b"-" + b"9" * 30, b"9" * 4299, b"9" * 4300, b"9" * 4301, b"-" + b"9" * 4299, b"-" + b"9" * 4300),
    *(b"9" * 400 + b".5", b"0." + b"1" * 5000, b"1" * 20 + b"e-5", b"9" * 4301 + b".0"),
    *(b'""', b'" "', b'"a"', b'"bb"', b'"ccc"', b'"5"', b'" 5"', b'"5.0"', b'"1e3"', b'"true"', b'"NaN"', b'"null"'),
    *(b'"\\u0061"', b'"\\u0000"', b'"\\ud800"', b'"\\ude00\\ud83d"', b'"\\ud83d\\ude00"', b'"\\/"', b'"\\x"', b'"\\"'),
    *(b'"a', b'"\t"', b'"\x00"', b'"\x7f"', b'"\xff"', b'"\xc3\xa9"', b'"\xc3"', b'"\xf0\x9f\x98\x80"'),
    *(SURROGATE_IN_UTF8, b'"\xc0\x80"', b'"\xf4\x90\x80\x80"', '"e\u0301"'.encode(), '"\u2028"'.encode(), b"'a'"),
    *(b'"2024-01-01"', b'"2024-02-29"', b'"2023-02-29"', b'"2024-1-1"', b'"20240101"', b'"2024-01-01T00:00:00"'),
    *(b'"2024-01-01Z"', b'"0000-01-01"', b'"0001-01-01"', b'"9999-12-31"', b'"10000-01-01"', b'"-001-01-01"'),
    *(b'"2024\\u002d01-01"', b'" 2024-01-01"', b'"2024-01-01 "', b'"2024-W01-1"', b'"2024-001"', b'"1705276800"'),
    *('"\uff12024-01-01"'.encode(), '"2024\u201301-01"'.encode(), b"1705276800", b'"2024/01/01"', b'"2024-01-32"'),
    *(b"1 2", b"1,2", b"1}", b"/*c*/1", b"1 \r", b"\t1", b"\x0c1", b"\xef\xbb\xbf1", b"[" * 300, b'{"b":' * 300),
    *(
        b'1,"a":"x"',
        b'"x","a":1',
        b'1,"a":1.0',
        b'"a","b":1',
        b'1,"b":{"a":[NaN]}',
        b'1,"b":"\xff"',
        b'1,"b":"\\ud800"',
    ),
    *(b'1,"b":' + b"[" * 198 + b"]" * 198, b'1,"b":' + b"[" * 250 + b"]" * 250, b'1,"b":' + b"9" * 5000, b'1,"A":2'),
    *(b'1,"\\u0061":2', b'1,"":2', b"1,", b'1,"b"', b'1,"a":null', b'null,"a":1', b"1}{", b'1},{"a":2', b'1} {"a":2'),
]

LIMITS = {
    "string": [{"min_length": 1}, {"max_length": 1}, {"min_length": 2, "max_length": 2}, {"enum": ["a", "", "5"]}],
    "integer": [{"minimum": 1}, {"maximum": 0}, {"minimum": -5, "maximum": 2**53}, {"enum": [0, 5, 9007199254740992]}],
    "number": [{"minimum": 0.5}, {"maximum": 5}, {"minimum": -0.5, "maximum": 2**53}, {"minimum": 0, "maximum": 0}],
    "boolean": [],
    "date": [],
}


def outcome(result):
    return result.count, result.lines, [(each.position, each.error, each.record) for each in result.invalid]


def same(schema, block):
    """Return whether a block comes out alike on both paths, and the outcome."""
    fast = outcome(BulkValidator(schema).validate(block))
    assert fast == outcome(BulkValidator(schema, keep_records=True).validate(block))
    return fast


def schema_of(type_, nullable, unknown_fields="drop", **constraints):
    field = {"name": "a", "type": type_, "nullable": nullable, "constraints": constraints}
    return DestinationSchema.load({"fields": [field], "unknown_fields": unknown_fields})


CASES = [(type_, limits) for type_ in TYPES for limits in [{}, *LIMITS[type_]]]


@pytest.mark.parametrize("unknown_fields", ["drop", "reject"])
@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize(("type_", "limits"), CASES)
def test_the_edges_of_every_type_come_out_alike(type_, limits, nullable, unknown_fields):
    schema = schema_of(type_, nullable, unknown_fields, **limits)
    assert FastPath.of(schema, {})
    fast, slow = BulkValidator(schema), BulkValidator(schema, keep_records=True)
    for edge in EDGES:
        line = b'{"a":' + edge + b"}"
        for block in (JsonLines(line), JsonElements(line), JsonLines(line + b"\n" + line)):
            assert outcome(fast.validate(block)) == outcome(slow.validate(block)), edge


@pytest.mark.parametrize(
    "field",
    [
        *({"type": each} for each in ("decimal", "time", "datetime", "object", "array")),
        {"type": "string", "constraints": {"pattern": "a+"}},
        {"type": "string", "constraints": {"enum": ["a"], "max_length": 3}},
        {"type": "number", "constraints": {"enum": [1, 1.5]}},
        {"type": "integer", "constraints": {"maximum": 2**70}},
        {"type": "integer", "constraints": {"enum": [2**63]}},
        {"type": "date", "constraints": {"minimum": "2024-01-01"}},
        {"name": 'a"b', "type": "string"},
        {"name": "a\\b", "type": "string"},
    ],
)
def test_what_msgspec_may_read_otherwise_has_no_fast_path(field):
    schema = DestinationSchema.load([{"name": "id", "type": "integer"}, {"name": "a", **field}])
    assert FastPath.of(schema, {}) is None


def test_kept_fields_and_renamed_ones_have_no_fast_path():
    field = {"name": "a", "type": "string"}
    assert FastPath.of(DestinationSchema.load({"fields": [field], "unknown_fields": "keep"}), {}) is None
    assert FastPath.of(DestinationSchema.any_object(), {}) is None
    assert FastPath.of(DestinationSchema.load([field]), {"a": "b"}) is None
    assert FastPath.of(DestinationSchema.load([field]), {"a": "a"})


def test_the_fallback_is_called_for_the_rejected_alone_and_its_records_stand_in_their_places():
    fast = FastPath.of(schema_of("integer", nullable=False), {})
    asked = []

    def fallback(found, text):
        asked.append((found, text))
        return {"a": 5} if text == b'{"a":"5"}' else None

    good = b'{"a":1}'
    texts = [b"x", good, b'{"a":"5"}', good, b"y", b"z", good, b"x"]
    records = fast.read_each(texts, fallback)
    assert [record if isinstance(record, dict) else record.a0 for record in records] == [1, {"a": 5}, 1, 1]
    assert asked == [(0, b"x"), (1, b'{"a":"5"}'), (3, b"y"), (3, b"z"), (4, b"x")]
    assert fast.read_each([], fallback) == []


def test_reading_one_by_one_ends_where_too_many_are_refused():
    fast = FastPath.of(schema_of("integer", nullable=False), {})
    good = [b'{"a":1}'] * 312
    assert len(fast.read_each([*good, *[b"x"] * 28], lambda found, text: None)) == 312
    assert fast.read_each([*good, *[b"x"] * 30], lambda found, text: None) is None


LINES = [
    b'{"a":1}',
    b'{"a":"1"}',
    b'{"a":"x"}',
    b'{"a":1,"b":{"a":2}}',
    b'{"a":',
    b"1}",
    b'{"b":',
    b'{"a":1}} {"a":1}',
    b'{"a":1} {"a":1}',
    b'{"a":1},{"a":1}',
    b'"a":2}',
    b'{"a":1',
    *(b"", b" ", b"\r", b"\xef\xbb\xbf", b'\xef\xbb\xbf{"a":1}', b'  {"a":1}\t\r', b"[", b"]", b"{", b"}", b"{}", b","),
    *(b"[1]", b"null", b"1", b'{"":1}', b"\x00", b"\xff", b"\x0c", b'{"a":null}', b'[{"a":1}', b'{"a":1}]'),
]


@settings(deadline=None, max_examples=examples(400))
@given(st.lists(st.sampled_from(LINES), max_size=8), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_lines_are_told_apart_alike(lines, end, nullable):
    same(schema_of("integer", nullable), JsonLines(end.join(lines)))
    same(schema_of("integer", nullable), JsonElements((b"," + end).join(lines)))


@st.composite
def plain_schemas(draw):
    names = draw(st.lists(st.sampled_from(strategies.NAMES), unique=True, min_size=1, max_size=4))
    fields = []
    for name in names:
        type_, limits = draw(st.sampled_from(CASES))
        fields.append({"name": name, "type": type_, "nullable": draw(st.booleans()), "constraints": limits})
    return DestinationSchema.load({"fields": fields, "unknown_fields": draw(st.sampled_from(["drop", "reject"]))})


FITTING = {
    "string": st.text(max_size=3),
    "integer": st.integers(-3, 8) | st.integers(),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    "boolean": st.booleans(),
    "date": st.dates().map(str),
}


@st.composite
def plain_lines(draw, schema):
    """Return lines that are mostly right, so that both a whole block and its records one by one are read."""
    edge = st.sampled_from(EDGES)
    lines = []
    for _ in range(draw(st.integers(0, 10))):
        members = []
        for field in schema.fields:
            fitting = FITTING[field.type].map(lambda value: json.dumps(value).encode())
            value = draw(edge) if draw(st.integers(0, 15)) == 0 else draw(fitting)
            members.append(json.dumps(field.name).encode() + b":" + value)
        if draw(st.integers(0, 9)) == 0:
            members.append(b'"other":' + draw(edge))
        lines.append(b"{" + b",".join(draw(st.permutations(members))) + b"}")
    return lines


@settings(deadline=None, max_examples=examples(300), suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_blocks_of_plain_schemas_come_out_alike(data):
    schema = data.draw(plain_schemas())
    lines = data.draw(plain_lines(schema))
    same(schema, JsonLines(b"\n".join(lines)))
    same(schema, JsonElements(b",\n".join(lines)))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_blocks_of_any_schema_come_out_alike(data):
    schema = data.draw(strategies.schemas())
    lines = data.draw(strategies.lines(schema))
    same(schema, JsonLines(b"\n".join(lines)))
    same(schema, JsonElements(b",\n".join(lines)))


@pytest.mark.parametrize("share", [0, 1, 2, 50, 100])
def test_after_blocks_of_many_refusals_nothing_has_changed(share):
    schema = schema_of("integer", nullable=False)
    fast, slow = BulkValidator(schema), BulkValidator(schema, keep_records=True)
    # A text of digits is refused by the fast path and valid, the letter is invalid.
    bad = [b'{"a":"5"}', b'{"a":"x"}', b'{"a":']
    for block in range(40):
        lines = [bad[n % 3] if (n * 37 + block) % 100 < share else b'{"a":%d}' % n for n in range(300)]
        for make in (JsonLines(b"\n".join(lines)), JsonElements(b",".join(lines))):
            assert outcome(fast.validate(make)) == outcome(slow.validate(make))
