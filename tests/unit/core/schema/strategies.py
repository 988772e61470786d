"""Schemas, values and lines for the properties of validation: near enough to valid that both outcomes are common."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.types.reading import COERCIONS

NAMES = [
    "id",
    "name",
    "class",
    "json",
    "copy",
    "_id",
    "model_config",
    "schema",
    "first name",
    "field_id",
    "é",
    "1st",
    "",
]
NAMES = [name for name in NAMES if name]

BOUNDS = {
    "integer": (st.integers(-3, 3), st.just(2**53)),
    "number": (st.integers(-3, 0), st.sampled_from([0, 2.5, 2**53])),
    "decimal": (st.sampled_from([-1, "-0.5"]), st.sampled_from(["0.5", 5])),
    "date": (st.just("2024-01-01"), st.just("2024-06-01")),
    "time": (st.just("01:00"), st.just("12:00:00.5")),
    "datetime": (st.just("2024-01-01T00:00:00Z"), st.just("2024-06-01T00:00:00Z")),
}
ENUMS = {
    "string": ["a", "bb", "2024-01-01"],
    "integer": [1, 2, 2**53],
    "number": [1, 1.5, 2**53],
    "decimal": ["1", "1.50"],
    "boolean": [True],
    "date": ["2024-01-01"],
    "array": [[], [1]],
    "object": [{}, {"a": 1}],
}

PATTERNS = {
    "date": ["%Y%m%d", "%d.%m.%Y", "%Y-%m-%dT%H:%M:%S", "iso"],
    "time": ["%H:%M", "%I %p", "iso"],
    "datetime": ["%Y%m%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S.%f%z", "iso"],
}
DEFAULTS = {
    "string": ["a", "", "ccc"],
    "integer": [0, 2, 2**70],
    "number": [0, 1.5, -0.5],
    "decimal": ["0.50", "1.50", -1],
    "boolean": [True, False],
    "date": ["2024-02-01", "2024-01-01"],
    "time": ["02:00"],
    "datetime": ["2024-02-01T00:00:00Z"],
    "object": [{}, {"a": 1}],
    "array": [[], [1]],
}

TEXTS = st.sampled_from(
    [
        *(
            "",
            "a",
            "bb",
            "ccc",
            "5",
            " 5",
            "-5.0",
            "5.5",
            "1e3",
            "1e999",
            "5_0",
            "true",
            "True",
            "no",
            "NaN",
            "é",
            "{}",
            " a ",
            " ",
            "5,5",
            "31.01.2024",
            "1 pm",
        ),
        *("2024-01-01", "2024-02-30", "1705276800", "20240101", "2024-01-01T00:00:00", "2024-01-01T10:00:00Z"),
        *("2024-03-01 10:00:00.1234567+02:00", "12:00", "25:00", "3600", "12:00:00.000001"),
    ]
)
NUMBERS = st.sampled_from(
    [0, 1, 2, -3, 5.0, 5.5, 0.1, -0.0, 1e20, 2**53, 2**53 + 1, 2.0**53, 2**63, 10**30, 1e308, 1705276800]
)
NOT_FINITE = st.sampled_from([float("nan"), float("inf"), float("-inf")])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
NESTED = st.recursive(
    SCALARS | NOT_FINITE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=4,
)
VALUES = SCALARS | SCALARS | NOT_FINITE | NESTED


@st.composite
def fields(draw, name):
    type_ = draw(
        st.sampled_from(
            ["string", "integer", "number", "decimal", "boolean", "date", "time", "datetime", "object", "array"]
        )
    )
    constraints = {}
    if draw(st.booleans()):
        if type_ in BOUNDS:
            low, high = BOUNDS[type_]
            constraints["minimum"] = draw(st.none() | low)
            constraints["maximum"] = draw(st.none() | high)
            if type_ == "integer" and constraints["maximum"] is None:
                constraints["minimum"] = draw(low)
        if type_ in ("string", "object", "array"):
            constraints["min_length"] = draw(st.none() | st.integers(0, 2))
            constraints["max_length"] = draw(st.none() | st.integers(2, 3))
        if type_ == "string":
            constraints["pattern"] = draw(st.none() | st.sampled_from(["a|b+", r"\S*", "[0-9-]+"]))
        if type_ in ENUMS and draw(st.booleans()):
            constraints["enum"] = draw(st.lists(st.sampled_from(ENUMS[type_]), min_size=1, max_size=2))
    given = {key: value for key, value in constraints.items() if value is not None}
    field = {"name": name, "type": type_, "nullable": draw(st.booleans()), "constraints": given}
    return {**field, **draw(readings(field))} if draw(st.booleans()) else field


@st.composite
def readings(draw, field):
    """Return what a field says of how it is read and written, beside its type and constraints."""
    type_ = field["type"]
    names = [name for name, types in COERCIONS.items() if type_ in types]
    more = {"coerce": draw(st.lists(st.sampled_from(names), unique=True))}
    if type_ in PATTERNS:
        more["format"] = draw(st.lists(st.sampled_from(PATTERNS[type_]), unique=True, max_size=2))
    if type_ == "decimal":
        more["write_as"] = draw(st.sampled_from(["string", "number"]))
    if type_ in ("integer", "number", "decimal") and draw(st.booleans()):
        more["decimal_char"] = ","
    if draw(st.booleans()):
        more["source"] = f"src {field['name']}"
    for default in DEFAULTS[type_] if draw(st.booleans()) else ():
        with suppress(SchemaError):
            DestinationSchema.load([{**field, "default": default}])
            more["default"] = default
    return more


@st.composite
def schemas(draw):
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    return DestinationSchema.load(
        {
            "fields": [draw(fields(name)) for name in names],
            "unknown_fields": draw(st.sampled_from(["drop", "reject", "keep"])),
            "missing_values": draw(st.sampled_from([[""], ["", "5"], ["a"], ["", "2024-01-01", "no"], []])),
        }
    )


def records(schema):
    """Return objects with most of the schema's fields and sometimes another."""
    known = st.fixed_dictionaries({}, optional={field.source or field.name: VALUES for field in schema.fields})
    return st.tuples(known, st.dictionaries(st.sampled_from(["other", "x"]), NESTED, max_size=1)).map(
        lambda both: {**both[0], **both[1]} if len(both[1]) else both[0]
    )


def lines(schema):
    """Return lines of which some are records, some are other JSON, and some are no JSON at all."""
    objects = records(schema).map(lambda record: json.dumps(record).encode())
    fragments = st.sampled_from(
        [
            *(
                b"",
                b" ",
                b"\t\r",
                b"1",
                b"null",
                b"[]",
                b"[1",
                b"2]",
                b"{",
                b"}",
                b"{}",
                b'"a"',
                b",",
                b"{},{}",
                b"{} {}",
            ),
            *(
                b'{"id":1',
                b'"id":2}',
                b'{"id":[1',
                b'2]},{"id":2}',
                b'{"id":1},{"id":2}',
                b'{"id":[{"a":1}',
                b'{"a":1}]}',
            ),
            *(b"\xff", b'{"id":"\xff"}', b'{"id":"\\ud800"}', b"\xef\xbb\xbf", b"\xef\xbb\xbf{}", b'{"id":1,"id":"x"}'),
            *(
                b"[" * 300,
                b'{"id":' * 300,
                b'{"id":1e999}',
                b'{"id":NaN}',
                b'{"id":0.30000000000000004}',
                b"\x00",
                b"\x0c",
            ),
        ]
    )
    return st.lists(objects | objects | objects | fragments, max_size=12)
