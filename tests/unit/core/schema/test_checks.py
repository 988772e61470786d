"""Each problem of a schema, word for word: it is all that the schema's author has."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from airflow_provider_osmosdest.core.schema.checks import schema_problems
from airflow_provider_osmosdest.core.schema.fields import Constraints, Field
from airflow_provider_osmosdest.core.schema.types.number_text import NumberFormat

TYPES = "string, integer, number, decimal, boolean, date, time, datetime, object, array"

FROM_STRING = (
    "coerce: from_string applies only to integer, number, decimal, boolean, date, time, datetime, not to string"
)
DATE_DEFAULT = 'default: "31.05.2024" is no value of the field: Input should be a valid date in the form YYYY-MM-DD'
LARGE_DEFAULT = (
    'default: "1E+400" is no value of the field: Input should be less than or equal to 1.7976931348623157E+308'
)


def problems(*fields, unknown_fields="drop", missing_values=("",)):
    return schema_problems(fields, unknown_fields, missing_values)


def constrained(type_, **constraints):
    return problems(Field("a", type_, constraints=Constraints(**constraints)))


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ({"name": "a"}, ['field 0: expected a Field, found {"name": "a"}']),
        (Field(5, "string"), ["field 0: expected a name, found 5"]),
        (Field(" ", "string"), ["field 0: the name is empty"]),
        (Field("\ud800", "string"), ["field 0: the name '\\ud800' is not valid Unicode"]),
        (Field("a", "string", nullable="no"), ["field 'a': nullable: expected true or false, found \"no\""]),
        (Field("a", "string", description=5), ["field 'a': description: expected text, found 5"]),
        (Field("a", "string", description="the customer's"), []),
        (Field("a", "text"), [f"field 'a': unknown type \"text\", expected one of {TYPES}"]),
        (Field("ü", "string"), []),
    ],
)
def test_a_field(field, found):
    assert problems(field) == found


@pytest.mark.parametrize(
    ("type_", "more", "found"),
    [
        ("string", {"source": "E-Mail", "coerce": ("trim", "empty_to_null", "to_string"), "default": ""}, []),
        ("date", {"coerce": ("from_string",), "format": ("%d.%m.%Y", "iso"), "default": "2024-05-31"}, []),
        ("decimal", {"write_as": "number", "default": 12.5}, []),
        ("string", {"source": ""}, ['source: expected the name of a key or column, found ""']),
        ("string", {"source": 5}, ["source: expected the name of a key or column, found 5"]),
        (
            "string",
            {"coerce": 5},
            ["coerce: expected a list of names among trim, empty_to_null, to_string, from_string, found 5"],
        ),
        (
            "string",
            {"coerce": ("upper",)},
            ["coerce: no such coercion 'upper', expected some of trim, empty_to_null, to_string, from_string"],
        ),
        ("string", {"coerce": ("trim", "trim")}, ["coerce: 'trim' is given twice"]),
        ("integer", {"coerce": ("to_string",)}, ["coerce: to_string applies only to string, not to integer"]),
        (
            "string",
            {"coerce": ("from_string",)},
            [FROM_STRING],
        ),
        ("date", {"format": ("%Y",), "default": "31.05.2024"}, [DATE_DEFAULT]),
        ("integer", {"format": ("%Y",)}, ["format applies only to date, time, datetime, not to integer"]),
        ("decimal", {"write_as": "float"}, ['write_as: expected string or number, found "float"']),
        ("number", {"write_as": "number"}, ["write_as applies only to decimal, not to number"]),
        (
            "integer",
            {"default": 5, "constraints": Constraints(maximum=4)},
            ["default: 5 is no value of the field: Input should be less than or equal to 4"],
        ),
        ("integer", {"default": "x"}, ['default: "x" is no value of the field: Input should be a valid integer']),
        ("string", {"default": 5}, ["default: 5 is no value of the field: Input should be a valid string"]),
        (
            "string",
            {"default": "c", "constraints": Constraints(enum=("a", "b"))},
            ["default: \"c\" is no value of the field: Input should be 'a' or 'b'"],
        ),
        ("decimal", {"default": "1E+400", "write_as": "number"}, [LARGE_DEFAULT]),
    ],
)
def test_how_a_field_is_read_and_written(type_, more, found):
    assert problems(Field("a", type_, **more)) == [f"field 'a': {problem}" for problem in found]


def test_only_a_number_is_written_in_other_ways():
    assert problems(Field("a", "string", written=NumberFormat(decimal_char=","))) == [
        "field 'a': decimal_char, group_char and bare_number apply only to integer, number, decimal, not to string"
    ]


def test_fields_are_counted_from_zero_and_all_are_looked_at():
    assert problems(Field("a", "string"), "b", Field("", "string"), Field("a", "x"), "c") == [
        'field 1: expected a Field, found "b"',
        "field 2: the name is empty",
        f"field 'a': unknown type \"x\", expected one of {TYPES}",
        'field 4: expected a Field, found "c"',
        "field 'a': 2 fields have this name",
    ]
    assert problems(Field("a", "string"), Field("b", "string"), *[Field("a", "string")] * 2) == [
        "field 'a': 3 fields have this name"
    ]


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"unknown_fields": "keep", "missing_values": ()}, []),
        ({"unknown_fields": "ignore"}, ['unknown_fields: expected one of drop, reject, keep, found "ignore"']),
        ({"missing_values": "NA"}, ['missing_values: expected a list of texts, found "NA"']),
        ({"missing_values": ("NA", 5)}, ['missing_values: expected a list of texts, found ["NA", 5]']),
        ({"missing_values": ["NA"]}, ['missing_values: expected a list of texts, found ["NA"]']),
    ],
)
def test_what_holds_for_all_fields(parts, found):
    assert problems(**parts) == found


@pytest.mark.parametrize(
    ("type_", "constraints", "found"),
    [
        ("integer", {"pattern": "("}, ["pattern does not apply to integer, only to string"]),
        (
            "boolean",
            {"minimum": 1, "min_length": -1, "enum": ()},
            [
                "minimum does not apply to boolean, only to integer, number, decimal, date, time, datetime",
                "min_length does not apply to boolean, only to string, object, array",
                "enum: expected a list of at least one value, found []",
            ],
        ),
        ("string", {"min_length": 0, "max_length": 0}, []),
        ("array", {"min_length": 2, "max_length": 2**63 - 1}, []),
        ("string", {"min_length": -1}, ["min_length: expected a whole number from 0 up, found -1"]),
        ("string", {"max_length": 2**63}, [f"max_length: expected a whole number from 0 up, found {2**63}"]),
        ("string", {"max_length": True}, ["max_length: expected a whole number from 0 up, found true"]),
        ("string", {"min_length": 3, "max_length": 2}, ["min_length 3 is more than max_length 2"]),
        (
            "string",
            {"min_length": "3", "max_length": 2},
            ['min_length: expected a whole number from 0 up, found "3"'],
        ),
        ("integer", {"minimum": 5, "maximum": 5}, []),
        ("integer", {"maximum": 5.5}, ["maximum: expected a value of type integer, found 5.5"]),
        ("integer", {"minimum": 5, "maximum": 4}, ["minimum 5 is more than maximum 4"]),
        (
            "integer",
            {"minimum": "x", "maximum": "y"},
            [
                'minimum: expected a value of type integer, found "x"',
                'maximum: expected a value of type integer, found "y"',
            ],
        ),
        ("number", {"minimum": 2**53}, []),
        (
            "number",
            {"maximum": 2**53 + 1},
            [f"maximum: {2**53 + 1} is not held exactly by a double; give the field the type decimal"],
        ),
        ("number", {"maximum": 10**400}, [f"maximum: expected a value of type number, found 1{'0' * 99}…"]),
        ("integer", {"maximum": 2**53 + 1}, []),
        ("decimal", {"maximum": "1e308"}, []),
        (
            "decimal",
            {"minimum": "-1e400"},
            ["minimum: -1e400 is beyond every number that JSON readers agree on (1.8e308)"],
        ),
        (
            "date",
            {"minimum": date(2024, 1, 2), "maximum": "2024-01-01"},
            ['minimum datetime.date(2024, 1, 2) is more than maximum "2024-01-01"'],
        ),
        (
            "datetime",
            {"minimum": datetime(2024, 1, 1, tzinfo=UTC), "maximum": datetime(2024, 1, 1)},
            ["minimum and maximum cannot be compared: give both a time zone, or neither"],
        ),
        ("string", {"pattern": "[a-z]+", "min_length": 1}, []),
        ("string", {"pattern": 5}, ["pattern: expected a regular expression, found 5"]),
        (
            "string",
            {"pattern": "("},
            [
                'pattern: "(" is no regular expression in Rust\'s syntax, which has no lookaround: unclosed group',
            ],
        ),
        ("string", {"enum": ("x",)}, []),
        ("string", {"enum": "x"}, ['enum: expected a list of at least one value, found "x"']),
        (
            "string",
            {"enum": ("x", 5, [])},
            ["enum: expected values of type string, found 5", "enum: expected values of type string, found []"],
        ),
    ],
)
def test_constraints(type_, constraints, found):
    assert constrained(type_, **constraints) == [f"field 'a': {problem}" for problem in found]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("größer", '"größer"'),
        ({1}, "{1}"),
        ("x" * 98, f'"{"x" * 98}"'),
        ("x" * 99, f'"{"x" * 99}…'),
        (["x" * 200], f'["{"x" * 98}…'),
    ],
)
def test_a_value_is_shown_as_it_was_written_up_to_a_hundred_letters(value, shown):
    assert problems(value) == [f"field 0: expected a Field, found {shown}"]


def test_what_contains_itself_is_shown_too():
    endless = []
    endless.append(endless)
    assert problems(endless) == ["field 0: expected a Field, found [[...]]"]
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert problems(deep) == ["field 0: expected a Field, found a list that is nested too deeply"]
