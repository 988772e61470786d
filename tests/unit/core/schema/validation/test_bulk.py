from __future__ import annotations

import json
import math
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from uuid import UUID

import pytest

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema, JsonElements, JsonLines, Rows

BOM = b"\xef\xbb\xbf"


def schema_of(type_, *, nullable=True, **constraints):
    return DestinationSchema.load([{"name": "a", "type": type_, "nullable": nullable, "constraints": constraints}])


def one(schema, block):
    """Return the only record's value of field ``a`` as it goes over the wire, or the error."""
    result = BulkValidator(schema).validate(block)
    assert result.count == 1
    if result.invalid:
        assert result.lines == b""
        assert result.invalid[0].position == 0
        return result.invalid[0]
    assert result.lines.endswith(b"\n")
    return json.loads(result.lines, parse_float=str)["a"]


def from_json(type_, text, **constraints):
    return one(schema_of(type_, **constraints), JsonLines(b'{"a":' + text.encode() + b"}"))


def from_row(type_, value, *, textual=False, **constraints):
    return one(schema_of(type_, **constraints), Rows([{"a": value}], textual=textual))


def taken(value):
    return not hasattr(value, "error")


@pytest.mark.parametrize(
    ("type_", "text", "wire"),
    [
        ("string", '"x"', "x"),
        ("string", '""', ""),
        ("integer", "5", 5),
        ("integer", "5.0", 5),
        ("integer", '"5"', 5),
        ("integer", '"-5.00"', -5),
        pytest.param("integer", "9" * 4000, int("9" * 4000), id="4000 digits"),
        ("integer", "18446744073709551617", 18446744073709551617),
        ("number", "5", 5),
        ("number", "5.5", "5.5"),
        ("number", '"5"', 5),
        ("number", '"-.5e1"', "-5.0"),
        ("number", "123456789012345678901234567890", 123456789012345678901234567890),
        ("decimal", "5", "5"),
        ("decimal", "1.5", "1.5"),
        ("decimal", '"1.50"', "1.50"),
        ("decimal", '"1e400"', "1E+400"),
        ("decimal", "0.1234567890123456789012345", "0.1234567890123456789012345"),
        ("decimal", "1e-400", "1E-400"),
        ("boolean", "true", True),
        ("boolean", '"false"', False),
        ("date", '"2024-02-29"', "2024-02-29"),
        ("time", '"13:45"', "13:45:00"),
        ("time", '"13:45:00.5"', "13:45:00.500000"),
        ("datetime", '"2024-05-31T13:45:00Z"', "2024-05-31T13:45:00Z"),
        ("datetime", '"2024-05-31 13:45+02:00"', "2024-05-31T13:45:00+02:00"),
        ("datetime", '"2024-05-31"', "2024-05-31T00:00:00"),
        ("object", '{"x":[1,{"y":null}]}', {"x": [1, {"y": None}]}),
        ("object", "{}", {}),
        ("array", "[1,[true]]", [1, [True]]),
        ("array", "[]", []),
    ],
)
def test_json_values_are_coerced_where_nothing_is_lost(type_, text, wire):
    assert from_json(type_, text) == wire


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("string", "5"),
        ("string", "true"),
        ("string", "[]"),
        ("integer", "5.5"),
        ("integer", "true"),
        ("integer", '"5_000"'),
        ("integer", '" 5"'),
        ("integer", '"\u0665"'),
        ("integer", '"5.5"'),
        ("integer", "1e20"),
        ("integer", "9007199254740993.0"),
        pytest.param("integer", '"%s"' % ("9" * 5000), id="5000 digits as text"),
        ("number", "true"),
        ("number", '"abc"'),
        ("number", '"NaN"'),
        ("number", '"1e999"'),
        ("number", '"1_0"'),
        ("number", "NaN"),
        ("number", "-Infinity"),
        ("number", "1e999"),
        ("decimal", "true"),
        ("decimal", '"NaN"'),
        ("decimal", '"1_0"'),
        ("decimal", '"\uff11"'),
        ("decimal", "NaN"),
        ("boolean", "1"),
        ("boolean", "0"),
        ("boolean", '"yes"'),
        ("boolean", '"True"'),
        ("date", "1705276800"),
        ("date", '"1705276800"'),
        ("date", '"20240115"'),
        ("date", '"2024-02-30"'),
        ("date", '"2024-01-01T00:00:00"'),
        ("date", '"2024-01-01T10:00:00"'),
        ("time", "3600"),
        ("time", '"3600"'),
        ("time", '"25:00"'),
        ("time", '"12:00:00.1234567"'),
        ("datetime", "1705276800"),
        ("datetime", '"1705276800"'),
        ("datetime", '"2024-05-31T13:45:00.1234567Z"'),
        ("datetime", '"2024-05-31T99:45:00Z"'),
        ("object", "[]"),
        ("object", '"{}"'),
        ("object", '{"x":NaN}'),
        ("object", '{"x":[{"y":1e999}]}'),
        ("array", "{}"),
        ("array", '"[]"'),
        ("array", "[Infinity]"),
    ],
)
def test_json_values_of_another_type_are_invalid(type_, text):
    refused = from_json(type_, text)
    assert not taken(refused)
    assert refused.error.startswith("a: Input should be")
    assert "(found " in refused.error
    json.loads(refused.record)


def test_a_lone_surrogate_is_invalid():
    assert from_json("string", r'"\ud800"').error.startswith("not JSON: ")
    assert "unicode" in from_row("string", "\ud800", max_length=5).error
    assert "cannot be written" in from_row("string", "\ud800").error
    assert "cannot be written" in from_row("object", {"\ud800": 1}).error


OFFSET = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("type_", "value", "wire"),
    [
        ("string", "x", "x"),
        ("integer", Decimal(5), 5),
        ("integer", 10**30, 10**30),
        ("number", Decimal("0.1"), "0.1"),
        ("number", 10**30, 10**30),
        ("decimal", Decimal("1.10"), "1.10"),
        ("decimal", 1.1, "1.1"),
        ("decimal", 5, "5"),
        ("date", date(2024, 1, 1), "2024-01-01"),
        ("date", datetime(2024, 1, 1), "2024-01-01"),
        ("date", "2024-01-01", "2024-01-01"),
        ("time", time(1, 2), "01:02:00"),
        ("datetime", datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00Z"),
        ("datetime", datetime(2024, 1, 1, 1, tzinfo=OFFSET), "2024-01-01T01:00:00+02:00"),
        ("datetime", date(2024, 1, 1), "2024-01-01T00:00:00"),
        ("object", OrderedDict(x=1), {"x": 1}),
        ("object", MappingProxyType({"x": (1, 2)}), {"x": [1, 2]}),
        ("object", {"d": date(2024, 1, 1), "n": Decimal("1.10")}, {"d": "2024-01-01", "n": "1.10"}),
        ("object", {"u": UUID(int=1)}, {"u": "00000000-0000-0000-0000-000000000001"}),
        ("array", (1, 2), [1, 2]),
        ("array", [{"x": time(1)}], [{"x": "01:00:00"}]),
        ("array", [float("1.5")], ["1.5"]),
    ],
)
def test_python_values_are_taken_in_the_wire_form(type_, value, wire):
    assert from_row(type_, value) == wire


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("string", 5),
        ("string", b"x"),
        ("integer", True),
        ("integer", Decimal("5.5")),
        ("integer", Decimal("1e999999999")),
        pytest.param("integer", 10**5000, id="5001 digits"),
        ("integer", math.nan),
        ("number", Decimal("0.12345678901234567890")),
        ("number", Decimal("NaN")),
        ("number", Decimal("1e999")),
        ("number", math.inf),
        ("number", True),
        ("decimal", math.nan),
        ("decimal", Decimal("sNaN")),
        ("decimal", "1e99999999999999999999"),
        ("date", datetime(2024, 1, 1, 1)),
        ("date", datetime(2024, 1, 1, tzinfo=UTC)),
        ("date", 1705276800),
        ("time", 3600),
        ("time", datetime(2024, 1, 1)),
        ("datetime", 1705276800),
        ("datetime", 1705276800.5),
        ("object", [("x", 1)]),
        ("object", {1: 2}),
        ("object", {"x": [math.nan]}),
        ("object", {"x": {1, 2}}),
        ("object", {"x": Decimal("Infinity")}),
        ("array", {1, 2}),
        ("array", [object()]),
        ("array", "[]"),
    ],
)
def test_python_values_that_would_change_are_invalid(type_, value):
    refused = from_row(type_, value)
    assert not taken(refused)
    json.loads(refused.record)


class Colour(str, Enum):  # noqa: UP042 - as in code older than StrEnum
    RED = "red"


class Metres(float):
    pass


class Opaque:
    def __repr__(self):
        return "<opaque>"


def test_subclasses_are_written_as_what_they_are():
    assert from_row("string", Colour.RED) == "red"
    assert from_row("number", Metres(1.5)) == "1.5"
    assert from_row("object", {"m": Metres(1.5)}) == {"m": "1.5"}


@pytest.mark.parametrize(
    ("type_", "cell", "wire"),
    [
        ("string", " x ", "x"),
        ("string", "5", "5"),
        ("string", 5, "5"),
        ("string", 5.0, "5"),
        ("string", 5.5, "5.5"),
        ("string", True, "true"),
        ("string", date(2024, 1, 1), "2024-01-01"),
        ("string", Decimal("1.10"), "1.10"),
        ("integer", " 5 ", 5),
        ("integer", "+5", 5),
        ("integer", "5.0", 5),
        ("integer", 5.0, 5),
        ("number", "5", 5),
        ("number", " 5.50 ", "5.5"),
        ("number", "1e3", "1000.0"),
        ("number", 5.5, "5.5"),
        ("decimal", "5.50", "5.50"),
        ("decimal", 5.5, "5.5"),
        ("boolean", "TRUE", True),
        ("boolean", " no ", False),
        ("boolean", "y", True),
        ("boolean", "0", False),
        ("boolean", 1.0, True),
        ("boolean", False, False),
        ("date", " 2024-01-01 ", "2024-01-01"),
        ("date", "2024-01-01 00:00:00", "2024-01-01"),
        ("date", datetime(2024, 1, 1), "2024-01-01"),
        ("time", " 13:45 ", "13:45:00"),
        ("datetime", " 2024-01-01 10:00 ", "2024-01-01T10:00:00"),
        ("object", ' {"x": 1} ', {"x": 1}),
        ("array", "[1, null]", [1, None]),
        ("integer", "", None),
        ("string", "", None),
        ("string", "   ", None),
        ("object", "", None),
        ("date", None, None),
    ],
)
def test_cells_are_stripped_and_coerced(type_, cell, wire):
    assert from_row(type_, cell, textual=True) == wire


@pytest.mark.parametrize(
    ("type_", "cell"),
    [
        ("string", math.nan),
        ("string", []),
        ("integer", "5_0"),
        ("integer", "abc"),
        ("integer", "5.5"),
        ("number", "1,5"),
        ("number", "nan"),
        ("number", "inf"),
        ("number", "1e999"),
        ("decimal", "nan"),
        ("boolean", "on"),
        ("boolean", "2"),
        ("boolean", 2),
        ("date", "01/02/2024"),
        ("date", "2024-01-01 10:00"),
        ("date", "2024-02-30 00:00"),
        ("date", "45292"),
        ("date", 45292.0),
        ("datetime", "1705276800"),
        ("object", "{x"),
        ("object", "[]"),
        ("object", '{"x": NaN}'),
        ("object", '{"x": 1e999}'),
        ("array", "{}"),
        pytest.param("array", "[" * 1000, id="depth"),
    ],
)
def test_cells_of_another_type_are_invalid(type_, cell):
    assert not taken(from_row(type_, cell, textual=True))


@pytest.mark.parametrize("type_", ["string", "integer", "number", "decimal", "boolean", "date", "object"])
@pytest.mark.parametrize("cell", ["", "  ", "NA", " NA ", "-"])
def test_missing_values_are_null_and_so_invalid_where_null_is(type_, cell):
    document = {"fields": [{"name": "a", "type": type_}], "missing_values": ["", "NA", " - "]}
    assert one(DestinationSchema.load(document), Rows([{"a": cell}], textual=True)) is None
    document["fields"][0]["nullable"] = False
    refused = one(DestinationSchema.load(document), Rows([{"a": cell}], textual=True))
    assert "is blank or a missing value" in refused.error


def test_without_missing_values_an_empty_cell_is_an_empty_string():
    schema = DestinationSchema.load({"fields": [{"name": "a"}], "missing_values": []})
    assert one(schema, Rows([{"a": ""}], textual=True)) == ""


def test_missing_values_mean_nothing_in_json():
    assert from_json("string", '""') == ""
    assert from_json("string", '" x "') == " x "


@pytest.mark.parametrize(
    ("type_", "constraints", "good", "bad"),
    [
        ("integer", {"minimum": 1, "maximum": 5}, ["1", "5", '"5"', "5.0"], ["0", "6", '"6"', "6.0"]),
        ("integer", {"maximum": 10**30}, [str(10**30)], [str(10**30 + 1)]),
        ("number", {"minimum": 0.5, "maximum": 2.5}, ["1", "0.5", '"2.5"'], ["0", "3", "2.6", '"0.4"']),
        ("decimal", {"maximum": "1"}, ["1", '"1.0"'], ["1.00000000000000000001", '"1.1"', "2"]),
        ("date", {"minimum": "2024-01-01"}, ['"2024-01-01"'], ['"2023-12-31"']),
        ("time", {"maximum": "12:00"}, ['"12:00"'], ['"12:01"']),
        ("datetime", {"minimum": "2024-01-01T00:00Z"}, ['"2024-01-01T02:00+02:00"'], ['"2024-01-01T01:00+02:00"']),
        ("string", {"min_length": 2, "max_length": 3}, ['"ab"', '"äöü"'], ['"a"', '"abcd"']),
        ("string", {"pattern": "a|b+"}, ['"a"', '"bb"'], ['"ab"', '"ca"', r'"a\n"']),
        ("string", {"enum": ["x", "y"]}, ['"x"'], ['"z"']),
        ("string", {"enum": ["x", "yy"], "max_length": 1}, ['"x"'], ['"yy"']),
        ("integer", {"enum": [1, 2]}, ["1", "2.0", '"1"'], ["3", "true"]),
        ("integer", {"enum": [2**63, 2**70]}, [str(2**63), f'"{2**70}"'], [str(2**70 + 1), "1"]),
        ("number", {"enum": [1, 2.5]}, ["1", "1.0", '"2.5"'], ["2"]),
        ("decimal", {"enum": ["1.5"]}, ["1.5", '"1.50"'], ["1.6"]),
        ("boolean", {"enum": [True]}, ["true"], ["false"]),
        ("date", {"enum": ["2024-01-01"]}, ['"2024-01-01"'], ['"2024-01-02"']),
        ("object", {"min_length": 1, "max_length": 2}, ['{"x":1}'], ["{}", '{"x":1,"y":2,"z":3}']),
        ("object", {"enum": [{"x": 1, "y": 2}]}, ['{"y":2,"x":1}'], ['{"x":1}']),
        ("array", {"max_length": 1}, ["[]", "[1]"], ["[1,2]"]),
        ("array", {"enum": [[1]]}, ["[1]"], ["[2]"]),
    ],
)
def test_constraints(type_, constraints, good, bad):
    for text in good:
        assert taken(from_json(type_, text, **constraints)), text
    for text in bad:
        assert not taken(from_json(type_, text, **constraints)), text
    assert from_json(type_, "null", **constraints) is None
    for text in (*good, *bad):
        value = json.loads(text, parse_float=str)
        cell = text if isinstance(value, dict | list | bool) else str(value)
        if cell == cell.strip() and value is not True:
            assert taken(from_row(type_, cell, textual=True, **constraints)) == (text in good), cell


def test_a_pattern_takes_linear_time():
    refused = from_json("string", '"' + "a" * 50_000 + '!"', pattern="(a+)+")
    assert not taken(refused)


def test_decimals_keep_their_digits_in_every_kind_of_block():
    schema = DestinationSchema.load([{"name": "a b", "type": "decimal"}, {"name": "c", "type": "decimal"}])
    validator = BulkValidator(schema, mapping={"c": "C"})
    digits = "0.12345678901234567890"
    objects = [
        f'{{"a b":{digits},"C":-{digits}}}',
        f'{{"a b":1,"a b":{digits},"C":null,"x":{{"a b":5}}}}',
        f'{{"C":"{digits}","x":[NaN,-Infinity]}}',
        f'{{"C":{digits},"x":NaN}}',
    ]
    wire = (
        f'{{"a b":"{digits}","c":"-{digits}"}}\n{{"a b":"{digits}","c":null}}\n'
        f'{{"a b":null,"c":"{digits}"}}\n{{"a b":null,"c":"{digits}"}}\n'
    ).encode()
    texts = [each.encode() for each in objects]
    assert validator.validate(JsonLines(b"\n".join(texts))).lines == wire
    assert validator.validate(JsonElements(b",".join(texts))).lines == wire
    result = validator.validate(JsonElements(b",".join([b"3", *texts, b'{"C":true}'])))
    assert (result.lines, [each.position for each in result.invalid]) == (wire, [0, 5])


def test_null_and_missing():
    schema = DestinationSchema.load([{"name": "a", "nullable": False}, {"name": "b", "type": "integer"}])
    result = BulkValidator(schema).validate(JsonLines(b'{"a":"x"}\n{"a":"x","b":null}\n{"b":1}\n{"a":null}'))
    assert result.lines == b'{"a":"x","b":null}\n' * 2
    assert [(each.position, each.error) for each in result.invalid] == [
        (2, "a: Field required"),
        (3, "a: Input should be a valid string (found null)"),
    ]


def test_fields_come_out_in_the_schemas_order_and_once():
    schema = DestinationSchema.load([{"name": "b", "type": "integer"}, {"name": "a", "type": "integer"}])
    result = BulkValidator(schema).validate(JsonLines(b'{"a":1,"b":2,"a":3,"c":4}'))
    assert result.lines == b'{"b":2,"a":3}\n'


def test_unknown_fields():
    fields = [{"name": "a", "type": "integer"}]
    data = b'{"a":1,"x":{"y":2},"z":null}\n{"a":1}\n{"x":NaN}'
    drop, reject, keep = (
        BulkValidator(DestinationSchema.load({"fields": fields, "unknown_fields": each})).validate(JsonLines(data))
        for each in ("drop", "reject", "keep")
    )
    assert drop.lines == b'{"a":1}\n{"a":1}\n{"a":null}\n'
    assert (reject.lines, [each.position for each in reject.invalid]) == (b'{"a":1}\n', [0, 2])
    assert reject.invalid[0].error.startswith("x: Extra inputs are not permitted (found {'y': 2}); z: ")
    assert keep.lines == b'{"a":1,"x":{"y":2},"z":null}\n{"a":1}\n'
    assert [(each.position, each.error) for each in keep.invalid] == [
        (2, "x: Input should be a finite number, not nan (found nan)")
    ]


def test_any_object_passes_every_object_unchanged():
    validator = BulkValidator(DestinationSchema.any_object(), keep_records=True)
    data = b'{}\n{"a":{"b":[1,2.5,null,true,"\xc3\xa9"]}}\n{"big":123456789012345678901234567890}\n'
    result = validator.validate(JsonLines(data))
    assert (result.count, result.lines, result.invalid) == (3, data, [])
    assert result.records == [json.loads(line) for line in data.splitlines()]
    assert [each.position for each in validator.validate(JsonLines(b"{}\n[]\n3\n{}")).invalid] == [1, 2]
    assert validator.validate(Rows([{}, {"a": 1}, None])).lines == b'{}\n{"a":1}\n'


def test_mapping_reads_a_field_from_its_source_column():
    schema = DestinationSchema.load([{"name": "id", "type": "integer"}, {"name": "city"}])
    validator = BulkValidator(schema, mapping={"id": "ID", "city": "id"})
    result = validator.validate(JsonLines(b'{"ID":1,"id":"Utrecht"}\n{"ID":"x"}'))
    assert result.lines == b'{"id":1,"city":"Utrecht"}\n'
    assert result.invalid[0].error == "id (from 'ID'): Input should be a valid integer (found 'x')"
    assert validator.validate(Rows([{"ID": "1", "id": ""}], textual=True)).lines == b'{"id":1,"city":null}\n'


def test_a_mapping_must_name_fields():
    schema = DestinationSchema.load([{"name": "id"}])
    with pytest.raises(SchemaError, match="'nr', which the schema does not have; expected a key among 'id'"):
        BulkValidator(schema, mapping={"nr": "ID"})
    with pytest.raises(SchemaError, match="no source column for 'id'"):
        BulkValidator(schema, mapping={"id": ""})


def test_a_mapping_renames_unknown_fields_that_are_kept():
    validator = BulkValidator(DestinationSchema.any_object(), mapping={"id": "ID"})
    result = validator.validate(JsonLines(b'{"x":1,"ID":2}\n{"x":1}\n{"ID":1,"id":2}'))
    assert result.lines == b'{"id":2,"x":1}\n{"x":1}\n'
    assert "id (from 'ID'): Input should not have a key of this name" in result.invalid[0].error


def test_blank_lines_are_no_records():
    validator = BulkValidator(schema_of("integer"))
    result = validator.validate(JsonLines(b'\n\r\n{"a":1}\r\n \t\n{"a":"x"}\n\n{"a":2}\r\n\r\n'))
    assert (result.count, result.lines) == (3, b'{"a":1}\n{"a":2}\n')
    assert [(each.position, each.record) for each in result.invalid] == [(1, b'{"a":"x"}')]
    for blank in (b"", b"\n", b" \r\n\n", BOM, BOM + b"\n"):
        empty = validator.validate(JsonLines(blank))
        assert (empty.count, empty.lines, empty.invalid, empty.records) == (0, b"", [], None)
    assert validator.validate(JsonElements(b" ")).count == 0
    assert validator.validate(Rows([])).count == 0


def test_a_byte_order_mark_is_taken_off_every_line():
    result = BulkValidator(schema_of("integer")).validate(JsonLines(BOM + b'{"a":1}\n' + BOM + b'{"a":2}\n{"a":3}'))
    assert (result.count, result.lines) == (3, b'{"a":1}\n{"a":2}\n{"a":3}\n')


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":1',
        b"{",
        b'{"a":1}{"a":2}',
        b'{"a":1} {"a":2}',
        b'{"a":1},{"a":2}',
        b'{"a":1},',
        b",",
        b'"a":1}',
        pytest.param(b"[" * 100_000, id="depth of arrays"),
        pytest.param(b'{"a":' * 100_000, id="depth of objects"),
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"x\ty"}',
        pytest.param(b"9" * 5000, id="5000 digits"),
        b"\x00",
        b"\x0c",
        b'{"a":1}\x0b',
        b"id;name",
    ],
)
def test_a_line_that_is_not_json_costs_only_itself(line):
    data = b'{"a":1}\n' + line + b'\n{"a":2}\n[1]\n{"a":"x"}\n'
    result = BulkValidator(schema_of("integer")).validate(JsonLines(data))
    assert (result.count, result.lines) == (5, b'{"a":1}\n{"a":2}\n')
    assert [each.position for each in result.invalid] == [1, 3, 4]
    assert result.invalid[0].error.startswith("not JSON: ")
    assert json.loads(result.invalid[0].record) == line.decode(errors="replace")
    assert result.invalid[1].error == "the record should be a JSON object (found [1])"


@pytest.mark.parametrize(
    "lines",
    [
        # With commas for newlines each of these is as many values as it has lines.
        [b'{"a":[1', b'2]},{"a":[3]}'],
        [b'{"a":[1],"b":1', b'"c":2},{"a":[]}'],
        [b'{"a":null', b'"b":2},{"a":null}'],
        [b'{"a":[{"b":1}', b'{"b":2}]},{"a":[]}'],
        [b"1,2", b'{"a":[1]}', b'{"a":[1', b"2]}"],
        [b'{"a":null},{"a":null}', b'{"a":[[', b"[]]]}"],
    ],
)
def test_values_that_go_on_over_a_line_end_are_not_joined(lines):
    validator = BulkValidator(schema_of("array"))
    result = validator.validate(JsonLines(b"\n".join(lines)))
    assert result.count == len(lines)
    alone = [validator.validate(JsonLines(line)) for line in lines]
    assert result.lines == b"".join(each.lines for each in alone)
    assert [each.position for each in result.invalid] == [n for n, each in enumerate(alone) if each.invalid]


@pytest.mark.parametrize("keep_records", [False, True])
def test_a_string_that_goes_on_over_a_line_end_is_not_joined(keep_records):
    # With a comma for each newline these are three records of strings.
    data = b'{"a":"x\n{","b":"y"}\n{"a":"1"},{"a":"2"}'
    validator = BulkValidator(DestinationSchema.load([{"name": "a"}, {"name": "b"}]), keep_records=keep_records)
    result = validator.validate(JsonLines(data))
    assert (result.count, result.lines) == (3, b"")
    assert [json.loads(each.record) for each in result.invalid] == data.decode().split("\n")


def test_blank_lines_in_block_after_block_are_no_records():
    validator = BulkValidator(schema_of("integer"))
    for first in range(0, 200, 50):
        lines = [b'{"a":%d}\n \r\n' % number for number in range(first, first + 50)]
        lines[30] = BOM + b'{"a":"x"}\n\n'
        result = validator.validate(JsonLines(b"\n" + b"".join(lines)))
        assert result.count == 50
        assert [(each.position, each.record) for each in result.invalid] == [(30, b'{"a":"x"}')]
        assert result.lines.count(b"\n") == 49


@pytest.mark.parametrize(
    "text", [rb'{"a":"x","b":"\ud800"}', b'{"a":"x","b":"\xff"}', b'{"a":"x","b":1', b'{"a":"x"} {}']
)
def test_what_is_not_json_behind_a_wrong_field_is_not_json(text):
    result = BulkValidator(schema_of("integer")).validate(JsonLines(text))
    assert result.invalid[0].error.startswith("not JSON: ")
    assert result.invalid[0].field is None
    assert json.loads(result.invalid[0].record) == text.decode(errors="replace")


def test_elements_of_an_array():
    validator = BulkValidator(schema_of("integer"))
    result = validator.validate(JsonElements(b' {"a":1} , {"a":\n"x"},[{"a":[1]}],{"a":NaN},{"a":4}\n'))
    assert (result.count, result.lines) == (5, b'{"a":1}\n{"a":4}\n')
    assert [(each.position, each.record) for each in result.invalid] == [
        (1, b'{"a": "x"}'),
        (2, b'[{"a":[1]}]'),
        (3, b'{"a":"NaN"}'),
    ]


def test_an_element_that_is_not_json_costs_only_itself():
    validator = BulkValidator(schema_of("integer"))
    for bad in (b'{"a":"\\ud800,\\""}', b'{"a":"\xff"}', b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", b'{"a":1]'):
        result = validator.validate(JsonElements(b'{"a":1},' + bad + b',{"a":3}'))
        if bad.endswith(b"]"):
            continue
        assert (result.count, result.lines) == (3, b'{"a":1}\n{"a":3}\n')
        assert [each.position for each in result.invalid] == [1]
        assert json.loads(result.invalid[0].record) == bad.decode(errors="replace")


def test_anything_may_stand_in_a_list_of_rows():
    loop: list[object] = []
    loop.append(loop)
    deep: object = 1
    for _ in range(1000):
        deep = [deep]
    rows = [{"a": 1}, 5, None, "x", [1], Opaque(), {"a": loop}, {"a": deep}, {"a": 10**5000}, {1: Opaque()}, {"a": {2}}]
    for schema in (schema_of("array", nullable=False), DestinationSchema.any_object()):
        result = BulkValidator(schema).validate(Rows(rows))
        good = [0] if not schema.fields else []
        assert result.count == len(rows)
        assert {each.position for each in result.invalid} >= set(range(1, 8))
        for each in result.invalid:
            json.loads(each.record)
            assert each.error
        assert result.lines.startswith(b'{"a":1}\n') == bool(good)


def test_originals_of_rows_keep_what_json_cannot_hold_as_text():
    row = {
        "a": math.nan,
        "b": [math.inf, -math.inf, {1, 2}],
        "c": Opaque(),
        None: 1,
        "d": Decimal("1.10"),
        "e": b"x",
        "f": date(2024, 1, 1),
        "g": "\ud800",
    }
    result = BulkValidator(schema_of("integer")).validate(Rows([row]))
    assert json.loads(result.invalid[0].record) == {
        "a": "NaN",
        "b": ["Infinity", "-Infinity", "{1, 2}"],
        "c": "<opaque>",
        "None": 1,
        "d": "1.10",
        "e": "b'x'",
        "f": "2024-01-01",
        "g": "\\ud800",
    }


def test_keep_records_gives_the_valid_records_as_dicts():
    validator = BulkValidator(schema_of("date"), keep_records=True)
    for block in (
        JsonLines(b'{"a":"2024-01-01"}\n{"a":1}\n{}'),
        JsonElements(b'{"a":"2024-01-01"},{"a":1},{}'),
        Rows([{"a": date(2024, 1, 1)}, {"a": 1}, {}]),
        Rows(({"a": "2024-01-01"}, {"a": "1"}, {"a": ""}), textual=True),
    ):
        result = validator.validate(block)
        assert result.records == [{"a": date(2024, 1, 1)}, {"a": None}]
        assert result.lines == b'{"a":"2024-01-01"}\n{"a":null}\n'


def test_records_and_lines_stay_aligned_where_one_cannot_be_written():
    validator = BulkValidator(DestinationSchema.any_object(), keep_records=True)
    result = validator.validate(Rows([{"a": 1}, 5, {"a": 10**5000}, {"a": 2}]))
    assert (result.lines, result.records) == (b'{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}])
    assert [each.position for each in result.invalid] == [1, 2]


def test_errors_are_cut_to_a_line():
    fields = [{"name": f"f{n}", "type": "integer", "nullable": False} for n in range(50)]
    result = BulkValidator(DestinationSchema.load(fields)).validate(JsonLines(b"{}"))
    assert result.invalid[0].error.endswith("f19: Field required; and 30 more")
    assert len(from_json("integer", '"' + "x" * 1_000_000 + '"').error) < 200
    assert len(from_json("integer", json.dumps([list(range(1000))] * 1000)).error) < 250


def test_a_readers_own_problem_is_the_error():
    from airflow_provider_osmosdest.core.records.rows import RaggedRow

    schema = DestinationSchema.load([{"name": "id", "type": "integer"}])
    validated = BulkValidator(schema).validate(Rows([{"id": "1"}, RaggedRow(["2", "x"], "line 3", 1)], textual=True))
    assert [record.error for record in validated.invalid] == [
        "line 3 has 2 cells, but the header names 1 columns: is a delimiter inside a cell not quoted?"
    ]
