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
from tests.thoroughness import each_way, examples

_spec = importlib.util.spec_from_file_location("schema_strategies", Path(__file__).parents[1] / "strategies.py")
strategies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(strategies)

TYPES = ["string", "integer", "number", "decimal", "boolean", "date", "time", "datetime", "object", "array"]
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
    *(
        b"1.50",
        b"12.0",
        b"-0.50",
        b"0.10",
        b"100.00",
        b"1" * 18 + b".5",
        b"1" * 19 + b".5",
        b"0." + b"1" * 17,
        b"0.000001",
    ),
    *(b"0.0000001", b"0.00000010", b"12345678901234.50", b"123456789012345.67", b"0.30000000000000001", b"1" * 16),
    *(
        b'"0.000000"',
        b'"0.0000000"',
        b'"0.0000001"',
        b'"-0"',
        b'"-0.00"',
        b'"12.50"',
        b'"007.50"',
        b'"1."',
        b'".5"',
        b'"+1"',
    ),
    *(b'"' + b"1" * 40 + b'"', b'"1.' + b"0" * 30 + b'"', b'"12,50"', b'"1e5"', b'"\\u0031"', b'"5\n5"', b'"5""5"'),
    *(b'"13:45"', b'"13:45:00"', b'"13:45:00.25Z"', b'"13:45:00.1234567"', b'"13:45:00.0000000"', b'"13:45:00+02:00"'),
    *(b'"24:00:00"', b'"23:59:60"', b'"00:00:00.000000"', b'"13:45:00,1234567"', b'"13:45:00.\\u00312345678"'),
    *(b'"2024-05-31T13:45:00Z"', b'"2024-05-31 13:45"', b'"2024-05-31t13:45:00.5z"', b'"2024-05-31T13:45:00-00:00"'),
    *(b'"2024-05-31T13:45:00.1234567Z"', b'"2024-05-31T13:45:00.0000000Z"', b'"2024-05-31T13:45:00.9999999Z"'),
    *(b'"2024-05-31T13:45:00\\u002e1234567Z"', b'"2024-05-31T13:45:00+23:59"', b'"2024-05-31T13:45:00+24:00"'),
    *(b'"0001-01-01T00:00:00+10:00"', b'"9999-12-31T23:59:59.999999-10:00"', b'"2023-06-30T13:45:00"'),
    *(
        b'{"a":1}',
        b'{"a": [1.50, NaN]}',
        b'{"a":1,"a":2}',
        b'{"\\u0061":"\\ud800"}',
        b'{"a":' + b"9" * 30 + b"}",
        b'[1,"a",null]',
    ),
    *(
        b"[" * 189 + b"]" * 189,
        b"[" * 199 + b"]" * 199,
        b'{"b":' * 250 + b"1" + b"}" * 250,
        b'["\xff"]',
        b"[1,]",
        b'{"a":1,}',
    ),
    *(b'1,"\\u0061":2', b'1,"":2', b"1,", b'1,"b"', b'1,"a":null', b'null,"a":1', b"1}{", b'1},{"a":2', b'1} {"a":2'),
]

LIMITS = {
    "string": [
        *({"min_length": 1}, {"max_length": 1}, {"min_length": 2, "max_length": 2}, {"enum": ["a", "", "5"]}),
        *({"pattern": "[a-c]+"}, {"pattern": "a|5", "max_length": 1}, {"enum": ["a", "bb"], "max_length": 1}),
        {"pattern": "a+", "enum": ["a", "5"]},
    ],
    "integer": [
        *({"minimum": 1}, {"maximum": 0}, {"minimum": -5, "maximum": 2**53}, {"enum": [0, 5, 9007199254740992]}),
        *({"maximum": 2**70}, {"minimum": -(2**63) - 1}, {"enum": [0, 2**63]}, {"enum": [0, 5], "minimum": 1}),
    ],
    "number": [
        *({"minimum": 0.5}, {"maximum": 5}, {"minimum": -0.5, "maximum": 2**53}, {"minimum": 0, "maximum": 0}),
        *({"enum": [1, 1.5]}, {"maximum": 2**60 + 256}, {"minimum": -1e300}),
    ],
    "decimal": [{"minimum": 0}, {"maximum": "5.5"}, {"minimum": "-0.5", "maximum": 13}, {"enum": ["12.5", 0, 5]}],
    "boolean": [{"enum": [True]}],
    "date": [{"minimum": "2024-01-01"}, {"maximum": "2024-01-01"}, {"enum": ["2024-01-01"]}],
    "time": [{"minimum": "13:45:00"}, {"maximum": "13:45:00Z"}, {"enum": ["13:45:00", "13:45:00+02:00"]}],
    "datetime": [
        *({"minimum": "2024-05-31T13:45:00"}, {"maximum": "2024-05-31T13:45:00Z"}, {"enum": ["2024-05-31T13:45:00Z"]}),
    ],
    "object": [{"min_length": 1}, {"max_length": 1}, {"enum": [{"a": 1}, {}]}],
    "array": [{"min_length": 1}, {"max_length": 1}, {"enum": [[1, "a", None], []]}],
}


def outcome(result):
    return result.count, result.lines, [(each.position, each.error, each.record) for each in result.invalid]


def same(schema, block, mapping=None):
    """Return whether a block comes out alike on both paths, and the outcome."""
    fast = outcome(BulkValidator(schema, mapping=mapping).validate(block))
    assert fast == outcome(BulkValidator(schema, mapping=mapping, keep_records=True).validate(block))
    return fast


def schema_of(type_, nullable, unknown_fields="drop", **constraints):
    field = {"name": "a", "type": type_, "nullable": nullable, "constraints": constraints}
    return DestinationSchema.load({"fields": [field], "unknown_fields": unknown_fields})


CASES = [(type_, limits) for type_ in TYPES for limits in [{}, *LIMITS[type_]]]


@pytest.mark.parametrize(
    ("type_", "limits", "nullable", "unknown_fields"),
    each_way(CASES, [(True, "drop"), (False, "keep"), (False, "reject")]),
)
def test_the_edges_of_every_type_come_out_alike(type_, limits, nullable, unknown_fields):
    schema = schema_of(type_, nullable, unknown_fields, **limits)
    assert FastPath.of(schema, {})
    fast, slow = BulkValidator(schema), BulkValidator(schema, keep_records=True)
    for edge in EDGES:
        line = b'{"a":' + edge + b"}"
        for block in (JsonElements(line), JsonLines(line + b"\n" + line)):
            assert outcome(fast.validate(block)) == outcome(slow.validate(block)), edge


@pytest.mark.parametrize(
    ("type_", "unknown_fields"), each_way([(each,) for each in TYPES], [("drop",), ("reject",), ("keep",)])
)
def test_the_edges_of_renamed_columns_come_out_alike(type_, unknown_fields):
    schema, mapping = schema_of(type_, True, unknown_fields), {"a": "b"}
    assert FastPath.of(schema, mapping)
    fast = BulkValidator(schema, mapping=mapping)
    slow = BulkValidator(schema, mapping=mapping, keep_records=True)
    for edge in EDGES:
        for line in (b'{"c":5,"b":' + edge + b"}", b'{"c":' + edge + b',"b":null,"a":1}'):
            for block in (JsonElements(line), JsonLines(line + b"\n" + line)):
                assert outcome(fast.validate(block)) == outcome(slow.validate(block)), line


READ_OTHERWISE = [
    {"coerce": ["to_string"]},
    {"coerce": ["to_string", "empty_to_null"], "constraints": {"max_length": 3}},
    {"coerce": ["empty_to_null"], "constraints": {"min_length": 0, "pattern": "[a-z]*"}, "default": "d"},
    {"coerce": ["to_string", "empty_to_null"], "constraints": {"enum": ["a", "5", ""]}},
    {"coerce": ["trim", "empty_to_null"], "constraints": {"max_length": 3}},
    {"type": "integer", "coerce": ["from_string", "trim", "empty_to_null"], "default": 7},
    {"type": "number", "coerce": ["from_string"], "constraints": {"minimum": 0.5}, "decimal_char": ","},
    {"type": "boolean", "coerce": ["from_string"], "default": False},
    {"type": "date", "coerce": ["trim", "empty_to_null"], "default": "2024-01-01"},
    {"type": "date", "format": ["%Y%m%d", "iso"], "constraints": {"minimum": "2024-01-01"}},
    {"type": "datetime", "format": "%Y-%m-%d", "coerce": ["empty_to_null"]},
    {"type": "decimal", "write_as": "number"},
    {"type": "decimal", "write_as": "number", "constraints": {"minimum": 0}, "default": "5.50"},
    {"type": "decimal", "coerce": ["trim", "empty_to_null"], "default": "5.50"},
    {"type": "object", "coerce": ["empty_to_null"], "constraints": {"enum": [{}]}, "default": {}},
    {"type": "array", "default": []},
]


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("field", READ_OTHERWISE)
def test_the_edges_come_out_alike_where_values_are_read_otherwise(field, nullable):
    document = {"fields": [{"name": "a", "nullable": nullable, **field}], "missing_values": ["", "5", "NaN"]}
    schema = DestinationSchema.load(document)
    assert FastPath.of(schema, {})
    fast, slow = BulkValidator(schema), BulkValidator(schema, keep_records=True)
    for line in [b"{}", *(b'{"a":' + edge + b"}" for edge in EDGES)]:
        for block in (JsonLines(line), JsonElements(line), JsonLines(line + b"\n" + line)):
            assert outcome(fast.validate(block)) == outcome(slow.validate(block)), line


@pytest.mark.parametrize(
    "field",
    [
        {"type": "string", "coerce": ["trim", "to_string"]},
        {"type": "string", "coerce": ["trim"], "default": "d"},
        {"type": "date", "coerce": ["from_string"]},
        {"type": "decimal", "coerce": ["from_string"]},
        {"type": "date", "format": ["%d.%m.%Y"], "default": "2024-01-01"},
    ],
)
def test_what_leaves_the_fast_path_for_what_is_done_to_it(field):
    assert FastPath.of(DestinationSchema.load([{"name": "a", **field}]), {}) is None


def test_the_edges_come_out_alike_where_no_field_is_named():
    schema = DestinationSchema.any_object()
    assert FastPath.of(schema, {})
    fast, slow = BulkValidator(schema), BulkValidator(schema, keep_records=True)
    for edge in EDGES:
        for line in (b'{"a":' + edge + b"}", b'{"b":[{}],"a":' + edge + b',"c":1}', edge):
            for block in (JsonElements(line), JsonLines(line + b"\n" + line)):
                assert outcome(fast.validate(block)) == outcome(slow.validate(block)), line


@pytest.mark.parametrize(
    "field",
    [
        {"name": 'a"b', "type": "string"},
        {"name": "a\\b", "type": "string"},
        {"type": "decimal", "constraints": {"maximum": "0.1234567890123456789"}},
    ],
)
def test_what_msgspec_may_read_otherwise_has_no_fast_path(field):
    schema = DestinationSchema.load([{"name": "id", "type": "integer"}, {"name": "a", **field}])
    assert FastPath.of(schema, {}) is None


@pytest.mark.parametrize("names", [['a"b', "a\\b"], ["a\nb"], ["a", "b"]])
@pytest.mark.parametrize(
    "make", [lambda lines: JsonLines(b"\n".join(lines)), lambda lines: JsonElements(b",".join(lines))]
)
def test_decimals_of_any_name_and_several_of_one_column_are_exact(names, make):
    schema = DestinationSchema.load([{"name": name, "type": "decimal"} for name in names])
    mapping = {"a": "b"} if "a" in names else {}
    digits = "0.12345678901234567890123"
    line = f"{{{','.join(f'{json.dumps(name)}:{digits}' for name in names)}}}".encode()
    validated = BulkValidator(schema, mapping=mapping).validate(make([line] * 2))
    assert [json.loads(each) for each in validated.lines.splitlines()] == [dict.fromkeys(names, digits)] * 2


def test_neither_has_a_kept_key_that_is_renamed():
    field = {"name": "a", "type": "string"}
    assert FastPath.of(DestinationSchema.load({"fields": [field], "unknown_fields": "keep"}), {"other": "b"}) is None


def test_what_is_rejected_is_none_in_its_place():
    fast = FastPath.of(schema_of("integer", nullable=False, enum=[0, 2**63]), {})
    good = b'{"a":0}'
    texts = [b"x", good, b'{"a":"5"}', good, b"y", b'{"a":7}', good, b"x"]
    records, rejected = fast.read_each(texts, b"\n".join(texts))
    assert [record and record.a0 for record in records] == [None, 0, None, 0, None, None, 0, None]
    assert rejected == [0, 2, 4, 5, 7]
    assert fast.read_each([], b"") == ([], [])


@pytest.mark.parametrize("bad", [b"x", b'{"a":7}'])
def test_reading_one_by_one_ends_where_too_many_are_rejected(bad):
    fast = FastPath.of(schema_of("integer", nullable=False, enum=[0, 2**63]), {})
    good = [b'{"a":0}'] * 312
    for count in (29, 30):
        texts = [*good, *[bad] * count]
        found = fast.read_each(texts, b"\n".join(texts))
        assert (found is None) == (count == 30)


@pytest.mark.parametrize("unknown_fields", ["drop", "keep"])
@pytest.mark.parametrize("mapping", [{}, {"a": "b"}])
@pytest.mark.parametrize(
    "others",
    [
        [{"c": 1}] * 3,
        [{"c": 1, "d": [2]}] * 3,
        [{"d": 2, "c": 1}, {"c": 1, "d": 2}, {"c": 1}],
        [{}, {"c": 1}, {"d": 2}, {"e": None, "c": 1.50}],
        [{"c": {"d": 1}, "d": 2}, {"d": {"c": 1}, "c": 2}, {"c": '"d":', "d": 1}],
        [{f"k{number}": number} for number in range(80)],
        [{"a": 1}, {"b": 1}, {"x0": 1}, {"": 1}],
        [{"é": 1, "d": 2}, {"d": 1, "é": 2}],
        [{'c"': 1}, {"c\\": 1}, {"c": 1}],
    ],
)
def test_unknown_keys_come_out_alike(unknown_fields, mapping, others):
    schema = schema_of("integer", True, unknown_fields)
    fast = BulkValidator(schema, mapping=mapping)
    slow = BulkValidator(schema, mapping=mapping, keep_records=True)
    column = mapping.get("a", "a")
    lines = [json.dumps(record).encode() for other in others for record in ({column: 5} | other, other | {column: 5})]
    backwards = JsonLines(b"\n".join(lines[::-1]))
    for block in (JsonLines(b"\n".join(lines)), JsonElements(b", ".join(lines)), backwards, JsonLines(b"")):
        for _ in range(2):
            assert outcome(fast.validate(block)) == outcome(slow.validate(block))


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
    unknown_fields = draw(st.sampled_from(["drop", "reject", "keep"]))
    return DestinationSchema.load({"fields": fields, "unknown_fields": unknown_fields})


FITTING = {
    "string": st.text(max_size=3),
    "integer": st.integers(-3, 8) | st.integers(),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.floats(-100, 100) | st.integers(),
    "boolean": st.booleans(),
    "date": st.dates().map(str),
    "time": st.times().map(str),
    "datetime": st.datetimes(timezones=st.none() | st.timezones()).map(str),
    "object": st.dictionaries(st.text(max_size=2), st.integers() | st.floats(-9, 9) | st.text(max_size=2), max_size=3),
    "array": st.lists(st.none() | st.booleans() | st.lists(st.integers(), max_size=2), max_size=3),
}


@st.composite
def plain_lines(draw, schema, mapping):
    """Return lines that are mostly right, so that both a whole block and its records one by one are read."""
    edge = st.sampled_from(EDGES)
    others = draw(st.lists(st.sampled_from([*strategies.NAMES, "other", "more"]), unique=True, max_size=3))
    lines = []
    for _ in range(draw(st.integers(0, 10))):
        members = []
        for field in schema.fields:
            fitting = FITTING[field.type].map(lambda value: json.dumps(value).encode())
            value = draw(edge) if draw(st.integers(0, 15)) == 0 else draw(fitting)
            members.append(json.dumps(mapping.get(field.name, field.name)).encode() + b":" + value)
        for name in others:
            value = draw(edge) if draw(st.integers(0, 9)) == 0 else b"1"
            members.append(json.dumps(name).encode() + b":" + value)
        members = draw(st.permutations(members)) if draw(st.integers(0, 3)) == 0 else members
        lines.append(b"{" + b",".join(members) + b"}")
    return lines


@settings(deadline=None, max_examples=examples(600), suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_blocks_of_plain_schemas_come_out_alike(data):
    schema = data.draw(plain_schemas())
    names = [field.name for field in schema.fields]
    mapping = data.draw(st.dictionaries(st.sampled_from(names), st.sampled_from([*strategies.NAMES, "z"])))
    lines = data.draw(plain_lines(schema, mapping))
    same(schema, JsonLines(b"\n".join(lines)), mapping)
    same(schema, JsonElements(b",\n".join(lines)), mapping)


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


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize(
    "bad", [b'"\xff"', b"9" * 5000, b"[" * 250 + b"]" * 250], ids=["no-text", "no-number", "too-deep"]
)
def test_a_doubled_key_shows_also_where_another_record_has_none(bad, nullable):
    schema = schema_of("decimal", nullable)
    doubled = b'{"a":' + bad + b',"a":1}'
    for lines in ([doubled, b"{}"], [doubled, b"{}", b'{"a":null}'], [doubled, b'{"a":1}', b"{}", b'{"b":1}']):
        for block in (JsonLines(b"\n".join(lines)), JsonElements(b",".join(lines))):
            _, _, invalid = same(schema, block)
            assert invalid[0][0] == 0


def test_a_doubled_key_shows_also_where_its_slash_is_escaped():
    schema = DestinationSchema.load([{"name": "a/b", "type": "decimal"}])
    _, _, invalid = same(schema, JsonElements(b'{"a\\/b":"\xff","a/b":1}'))
    assert [position for position, _, _ in invalid] == [0]


@pytest.mark.parametrize(
    "records",
    [
        [b'{"a":"b",",":1,":y":1}', b'{"a":"b",":y":1,",":2}'],
        [b'{"a":"b",":":1,"y":1}', b'{"a":":b","y":1,":":2}'],
        [b'{"a":"b",":":1,"y":1}', b'{"a":":b","y":1,":" :2}'],
    ],
    ids=["comma", "colon", "blank"],
)
def test_kept_keys_are_not_looked_for_between_two_other_texts(records):
    _, lines, _ = same(schema_of("string", True, "keep"), JsonLines(b"\n".join(records)))
    assert lines == b"\n".join(records).replace(b" ", b"") + b"\n"


def test_kept_keys_show_their_order_also_where_one_stands_twice_and_once_with_an_escape():
    records = [b'{"a":"b","id":1,"\xc3\xa9":2}', b'{"a":"b","\\u00e9":1,"id":2,"\xc3\xa9":3}']
    _, lines, _ = same(schema_of("string", True, "keep"), JsonLines(b"\n".join(records)))
    assert lines.splitlines()[1] == '{"a":"b","é":3,"id":2}'.encode()


def test_only_one_byte_order_mark_is_taken_off_a_line_also_behind_blank_lines():
    schema, mark = schema_of("string", True), b"\xef\xbb\xbf"
    fast, slow = BulkValidator(schema), BulkValidator(schema, keep_records=True)
    for block in (b"{}\n\n{}", mark + mark + b"{}\n" + mark + b"{}"):
        found = outcome(fast.validate(JsonLines(block)))
        assert found == outcome(slow.validate(JsonLines(block)))
    assert (found[0], len(found[2])) == (2, 1)
