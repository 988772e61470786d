from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.validation.blocks import Rows
from airflow_provider_osmosdest.core.schema.validation.bulk import BulkValidator

GERMAN = {"decimalChar": ",", "groupChar": "."}
ENGLISH = {"groupChar": ","}
MONEY = {**GERMAN, "bareNumber": False}


def field(type_, **written):
    return {"name": "n", "type": type_, **written}


def read(value, type_="number", **written):
    """Return what a cell is delivered as, or raise what is wrong with it."""
    schema = DestinationSchema.load([field(type_, **written)])
    validated = BulkValidator(schema).validate(Rows([{"n": value}], textual=True))
    if validated.invalid:
        raise ValueError(validated.invalid[0].error)
    return json.loads(validated.lines)["n"]


@pytest.mark.parametrize(
    ("text", "written", "value"),
    [
        ("1.234.567,5", GERMAN, 1234567.5),
        ("1234567,5", GERMAN, 1234567.5),
        ("-0,5", GERMAN, -0.5),
        (",5", GERMAN, 0.5),
        (" 7 ", GERMAN, 7),
        ("1,234", ENGLISH, 1234),
        ("12,34,567.5", ENGLISH, 1234567.5),
        ("1'000", {"groupChar": "'"}, 1000),
        ("1\xa0000", {"groupChar": "\xa0"}, 1000),
        ("1,5e3", GERMAN, 1500.0),
        ("-€ 1.200,50", MONEY, -1200.5),
        ("€-12", MONEY, -12),
        ("95 %", {"bareNumber": False}, 95),
        ("\N{MINUS SIGN}1.200,5", GERMAN, -1200.5),
        ("\N{MINUS SIGN}€ 12", MONEY, -12),
        ("€ \N{MINUS SIGN}12", MONEY, -12),
        ("", GERMAN, None),
        (1234.5, GERMAN, 1234.5),
    ],
)
def test_what_is_written_as_the_field_says_is_read(text, written, value):
    assert read(text, **written) == value


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1.5", GERMAN),  # a point in a format without one is no fraction
        ("1.23,5", GERMAN),
        ("1,2345", ENGLISH),
        ("1,23", ENGLISH),
        ("€ 12", GERMAN),
        ("€", MONEY),
        ("-€-12", MONEY),
        ("12 of 20", MONEY),
        ("(12)", MONEY),  # an accountant's -12
        ("(€ 12)", MONEY),
        ("\N{EN DASH}12", MONEY),
        ("\N{ARABIC-INDIC DIGIT ONE}2", MONEY),
        ("1,5,5", GERMAN),
    ],
)
def test_anything_else_is_invalid(text, written):
    with pytest.raises(ValueError, match="n: Input should be a number with"):
        read(text, **written)


def test_each_numeric_type_is_read():
    assert read("1.234", "integer", **GERMAN) == 1234
    assert read("1.234,50", "decimal", **GERMAN) == "1234.50"
    with pytest.raises(ValueError, match="valid integer"):
        read("1,5", "integer", **GERMAN)


def test_constraints_hold_for_the_number():
    written = {**GERMAN, "constraints": {"maximum": 1000}}
    assert read("1.000", **written) == 1000
    with pytest.raises(ValueError, match="less than or equal to 1000"):
        read("1.001", **written)


def test_typed_values_are_not_texts():
    schema = DestinationSchema.load([field("number", **GERMAN)])
    validated = BulkValidator(schema).validate(Rows([{"n": 1.5}, {"n": "1.5"}]))
    assert validated.lines == b'{"n":1.5}\n{"n":1.5}\n'


def test_a_schema_says_it_again():
    document = [field("number", group_char=".", decimal_char=",", bare_number=False)]
    schema = DestinationSchema.load(document)
    assert schema == DestinationSchema.load([field("number", **MONEY)])
    assert DestinationSchema.load(schema.to_dict()) == schema


@pytest.mark.parametrize(
    ("type_", "written", "problem"),
    [
        ("string", GERMAN, "apply only to integer, number, decimal, not to string"),
        ("number", {"decimalChar": ",,"}, "decimal_char: expected one character"),
        ("number", {"decimalChar": None}, "decimal_char: expected one character"),
        ("number", {"groupChar": "1"}, "group_char: expected one character"),
        ("number", {"groupChar": "-"}, "group_char: expected one character"),
        ("number", {"groupChar": "."}, r"decimal_char and group_char are both '\.'"),
        ("number", {"bareNumber": "no"}, "bare_number: expected true or false, found 'no'"),
        ("number", {"groupChar": ",", "group_char": ","}, "groupChar and group_char are the same"),
    ],
)
def test_what_cannot_be_read_is_refused(type_, written, problem):
    with pytest.raises(SchemaError, match=problem):
        DestinationSchema.load([field(type_, **written)])
