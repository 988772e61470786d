from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema, JsonElements, JsonLines, Rows


def schema_of(field, missing_values=("",)):
    document = {"fields": [{"name": "a", **field}], "missing_values": list(missing_values)}
    schema = DestinationSchema.load(document)
    assert DestinationSchema.load(schema.to_dict()) == schema
    return schema


def outcome(result):
    """Return what is delivered as the value, or why nothing is."""
    if result.invalid:
        return result.invalid[0].error.removeprefix("a: ").removeprefix("Input should be ")
    return result.lines.decode().removeprefix('{"a":').removesuffix("}\n")


def from_json(field, text, **more):
    schema = schema_of(field, **more)
    line = b"{}" if text is None else b'{"a":%s}' % text.encode()
    found = {outcome(BulkValidator(schema).validate(block(line))) for block in (JsonLines, JsonElements)}
    found |= {outcome(BulkValidator(schema, keep_records=True).validate(JsonLines(line)))}
    assert len(found) == 1
    return found.pop()


def from_row(field, row, *, textual=False, **more):
    return outcome(BulkValidator(schema_of(field, **more)).validate(Rows([row], textual=textual)))


TO_STRING = {"coerce": "to_string"}
TEXT = "a valid string, a finite number or a boolean (found "
BLANK = "Input is blank or a missing value, and the schema does not allow null (found "


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        (TO_STRING, "1776", '"1776"'),
        (TO_STRING, "1776.0", '"1776.0"'),
        (TO_STRING, "1e3", '"1e3"'),
        (TO_STRING, "0.10", '"0.10"'),
        (TO_STRING, "-0", '"-0"'),
        (TO_STRING, "12345678901234567890.123456789", '"12345678901234567890.123456789"'),
        (TO_STRING, "true", '"true"'),
        (TO_STRING, "null", "null"),
        (TO_STRING, '""', '""'),
        (TO_STRING, "{}", TEXT + "{})"),
        (TO_STRING, "1e400", TEXT + "inf)"),
        (TO_STRING, "NaN", TEXT + "nan)"),
        ({}, "1776", "a valid string (found 1776)"),
        ({**TO_STRING, "constraints": {"max_length": 3}}, "1e2", '"1e2"'),
        (
            {**TO_STRING, "constraints": {"max_length": 3}},
            "1.50",
            "String should have at most 3 characters (found '1.50')",
        ),
        ({**TO_STRING, "constraints": {"enum": ["1.50"]}}, "1.50", '"1.50"'),
        ({**TO_STRING, "constraints": {"enum": ["1.50"]}}, "1.5", "'1.50' (found '1.5')"),
        ({"coerce": ["trim"]}, '" x "', '"x"'),
        ({"coerce": ["trim"]}, '"  "', '""'),
        ({"coerce": ["empty_to_null"]}, '""', "null"),
        ({"coerce": ["empty_to_null"]}, '" "', '" "'),
        ({"coerce": ["empty_to_null", "trim"]}, '" "', "null"),
        ({"coerce": ["empty_to_null"], "nullable": False}, '""', BLANK + "'')"),
        ({"type": "object", "coerce": ["empty_to_null"]}, '""', "null"),
        ({"type": "integer", "coerce": ["trim", "empty_to_null"]}, '" 5 "', "5"),
        ({"type": "integer", "coerce": ["trim", "empty_to_null"]}, '" "', "null"),
        ({"type": "integer"}, '" 5 "', "a valid integer (found ' 5 ')"),
        ({"type": "boolean", "coerce": ["from_string"]}, '" Yes"', "true"),
        ({"type": "boolean", "coerce": ["from_string"]}, '"0"', "false"),
        ({"type": "boolean", "coerce": ["from_string"]}, "0", "a valid boolean, true or false (found 0)"),
        ({"type": "integer", "coerce": ["from_string"]}, "true", "a valid integer (found true)"),
        ({"type": "integer", "coerce": ["from_string"], "bare_number": False}, '"5 kg"', "5"),
        ({"type": "date", "coerce": ["from_string"]}, '"2024-05-31 00:00"', '"2024-05-31"'),
        ({"type": "decimal", "coerce": ["from_string"], "decimal_char": ","}, '"12,50"', '"12.50"'),
        ({"type": "decimal", "coerce": ["from_string"], "decimal_char": ","}, "12.50", '"12.5"'),
        ({"type": "date", "format": "%d.%m.%Y"}, '"31.05.2024"', '"2024-05-31"'),
        ({"type": "date", "format": "%d.%m.%Y"}, "5", "a date written as %d.%m.%Y (found 5)"),
        ({"type": "date", "format": "%d.%m.%Y", "coerce": "trim"}, '" 31.05.2024"', '"2024-05-31"'),
        (
            {"type": "date", "format": "%d.%m.%Y", "constraints": {"minimum": "2024-06-01"}},
            '"31.05.2024"',
            "greater than or equal to 2024-06-01 (found 2024-05-31)",
        ),
        ({"type": "integer", "default": 7}, None, "7"),
        ({"type": "integer", "default": 7}, "null", "null"),
        ({"type": "integer", "default": 7, "nullable": False}, None, "7"),
        ({"type": "integer", "default": 7, "nullable": False}, "null", "7"),
        ({"type": "integer", "default": 7, "nullable": False}, '"x"', "a valid integer (found 'x')"),
        ({"type": "integer", "default": 7, "coerce": ["from_string"]}, '" "', "7"),
        ({"default": "d", "coerce": ["empty_to_null"]}, '""', "null"),
        ({"default": "d", "coerce": ["empty_to_null"], "nullable": False}, '""', '"d"'),
        ({"type": "boolean", "default": False}, None, "false"),
        ({"type": "array", "default": [1], "nullable": False}, "null", "[1]"),
        ({"type": "datetime", "default": "2024-01-01"}, None, '"2024-01-01T00:00:00"'),
        ({"type": "decimal", "write_as": "number"}, "0.1", "0.1"),
        ({"type": "decimal", "write_as": "number"}, "12.50", "12.50"),
        ({"type": "decimal", "write_as": "number"}, '"12.50"', "12.50"),
        ({"type": "decimal", "write_as": "number"}, "9" * 50 + "." + "1" * 50, "9" * 50 + "." + "1" * 50),
        (
            {"type": "decimal", "write_as": "number"},
            '"1E+400"',
            "less than or equal to 1.7976931348623157E+308 (found 1E+400)",
        ),
        ({"type": "decimal", "write_as": "number"}, "1e-400", "1E-400"),
        ({"type": "decimal", "write_as": "number"}, "null", "null"),
        ({"type": "decimal", "write_as": "number", "default": "12.50"}, None, "12.50"),
    ],
)
def test_values_of_json(field, text, expected):
    assert from_json(field, text) == expected


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (TO_STRING, True, '"true"'),
        (TO_STRING, 300.0, '"300.0"'),
        (TO_STRING, Decimal("1.50"), '"1.50"'),
        (TO_STRING, 10**30, '"1' + "0" * 30 + '"'),
        (TO_STRING, float("nan"), TEXT + "nan)"),
        (TO_STRING, date(2024, 1, 1), TEXT + "2024-01-01)"),
        ({"type": "date", "format": "%d.%m.%Y"}, date(2024, 5, 31), '"2024-05-31"'),
        ({"type": "date", "format": "%d.%m.%Y"}, datetime(2024, 5, 31, tzinfo=UTC), "a date without a time of day"),
        ({"type": "decimal", "write_as": "number"}, Decimal("12.50"), "12.50"),
    ],
)
def test_values_of_python(field, value, expected):
    assert from_row(field, {"a": value}).startswith(expected)


@pytest.mark.parametrize(
    ("field", "cell", "expected"),
    [
        (TO_STRING, 300.0, '"300"'),
        ({"type": "integer", "default": 7}, "", "7"),
        ({"type": "integer", "default": 7}, "NA", "7"),
        ({"type": "integer", "default": 7}, None, "7"),
        ({"type": "integer", "default": 7}, ..., "7"),
        ({"type": "integer", "default": 7, "nullable": False}, "", "7"),
        ({"type": "integer", "nullable": False}, "NA", BLANK + "'NA')"),
        ({"type": "date", "format": "%Y%m%d"}, 20240531.0, '"2024-05-31"'),
        ({"type": "date", "format": "%Y%m%d"}, " 20240531 ", '"2024-05-31"'),
        ({"type": "date", "format": "%Y%m%d"}, "", "null"),
        ({"type": "date", "format": "%d.%m.%Y"}, datetime(2024, 5, 31), '"2024-05-31"'),
        ({"type": "decimal", "write_as": "number"}, " 012.50", "12.50"),
    ],
)
def test_cells(field, cell, expected):
    row = {} if cell is ... else {"a": cell}
    assert from_row(field, row, textual=True, missing_values=("", "NA")) == expected


def test_an_empty_cell_is_null_where_no_missing_value_says_so():
    assert from_row({"coerce": "empty_to_null"}, {"a": " "}, textual=True, missing_values=("NA",)) == "null"


@pytest.mark.parametrize(("type_", "text"), [("integer", "-99"), ("date", "9999-12-31"), ("boolean", "no")])
@pytest.mark.parametrize("nullable", [True, False])
def test_a_missing_value_that_could_be_read_is_null_all_the_same(type_, text, nullable):
    found = from_row({"type": type_, "nullable": nullable}, {"a": text}, textual=True, missing_values=("", text))
    assert found == ("null" if nullable else f"{BLANK}{text!r})")


def test_a_record_among_many_has_its_own_digits():
    schema = schema_of({**TO_STRING, "constraints": {"max_length": 4}})
    lines = [b'{"a":"x"}', b'{"a":1.50}', b'{"a":1.5000}', b'{"a":true,"b":NaN}', b"{}"] * 3
    result = BulkValidator(schema).validate(JsonLines(b"\n".join(lines)))
    assert result.lines == b'{"a":"x"}\n{"a":"1.50"}\n{"a":"true"}\n{"a":null}\n' * 3
    assert [each.position for each in result.invalid] == [2, 7, 12]


def test_numbers_of_columns_that_msgspec_cannot_name_keep_their_digits():
    fields = [
        {"name": 'a"b', "type": "decimal"},
        {"name": "c", "type": "decimal", "source": "x"},
        {"name": "d", "source": "x", **TO_STRING},
    ]
    schema = DestinationSchema.load(fields)
    long = "0.12345678901234567890"
    result = BulkValidator(schema).validate(JsonLines(f'{{"a\\"b":{long},"x":{long}}}'.encode()))
    assert result.lines.decode() == f'{{"a\\"b":"{long}","c":"{long}","d":"{long}"}}\n'
