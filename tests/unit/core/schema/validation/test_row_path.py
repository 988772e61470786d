"""The fast path of rows may change nothing but the time: the same validator, made to keep records, does without it."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema, Rows
from airflow_provider_osmosdest.core.schema.fields import Field
from airflow_provider_osmosdest.core.schema.validation.row_path import RowPath
from airflow_provider_osmosdest.core.schema.validation.table import Table
from tests.thoroughness import each_way, examples

_spec = importlib.util.spec_from_file_location("schema_strategies", Path(__file__).parents[1] / "strategies.py")
strategies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(strategies)

TYPES = ["string", "integer", "number", "decimal", "boolean", "date", "time", "datetime", "object", "array"]

TEXTS = [
    *(
        "",
        " ",
        "a",
        "bb",
        "ccc",
        " a ",
        "\x1ca",
        "a\x1f",
        "\xa0a\u2003",
        "\ufeffa",
        "\u200ba",
        "é",
        "\x00",
        '"',
        "\\",
        ",",
    ),
    *(
        "null",
        "None",
        "NA",
        " NA",
        "true",
        "True",
        "TRUE",
        "tRuE",
        "yes",
        "No",
        "t",
        "F",
        "1",
        "0",
        "on",
        "\u017f",
        "\u212a",
    ),
    *(
        "5",
        " 5",
        "5 ",
        "5\n",
        "\t5",
        "\xa05",
        "+5",
        "-5",
        "05",
        "-05",
        "--5",
        "5.0",
        "5.",
        ".5",
        "5.5",
        "1_000",
        "1,000",
    ),
    *(
        "1.000",
        "1.234,50",
        "€ 5",
        "0x1",
        "\u0665",
        "-0",
        "-0.0",
        "0.0",
        "0.00",
        "1.50",
        "-1.50",
        "1e3",
        "1E5",
        "1e-5",
        "1e999",
    ),
    *(
        "1e-999",
        "0.0000001",
        "0.000001",
        "0.00000000",
        "10.0000000",
        "0.1234567890123456789012345",
        "1.0000000000000001",
    ),
    *("0.99999999999999999", "9007199254740993", "9007199254740993.0", "9223372036854775807", "9223372036854775808"),
    *(
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "9" * 30,
        "9" * 400,
        "9" * 4300,
        "9" * 4301,
    ),
    *(
        "4.9e-324",
        "2.2250738585072011e-308",
        "0.30000000000000004",
        "1e22",
        "1e23",
        "NaN",
        "Infinity",
        "-inf",
        "nan",
        "[1]",
    ),
    *("[]", "{}", '{"a": 1}', '{"a": NaN}', "[1", '["\\ud800"]', "\ud800", "😀", "e\u0301"),
    *(
        "2024-01-01",
        "2024-02-30",
        "2024-1-1",
        "20240101",
        "0000-01-01",
        "9999-12-31",
        " 2024-01-01",
        "2024-01-01 00:00",
    ),
    *(
        "2024-01-01T00:00:00",
        "2024-01-01T00:00:00.000",
        "2024-01-01T10:00:00Z",
        "2024-01-01t10:00:00z",
        "2024-01-01 10:00:00",
    ),
    *(
        "2024-01-01T10:00",
        "2024-01-01T10:00Z",
        "2024-01-01T10:00:00.5",
        "2024-01-01T10:00:00.123456Z",
        "2024-06-01T00:00:00Z",
    ),
    *("2024-01-01T10:00:00.1234567", "2024-01-01T10:00:00.1234567Z", "2024-01-01T10:00:00.123456789+02:00"),
    *(
        "2024-01-01T10:00:00+02:00",
        "2024-01-01T10:00:00-0530",
        "2024-01-01T10:00:00+00:00",
        "2024-01-01T10:00:00-00:00",
    ),
    *(
        "2024-01-01T24:00:00",
        "2024-01-01T23:59:60",
        "2024-01-01T10:00:00+24:00",
        "2024-01-01T10:00:00+23:59",
        "1705276800",
    ),
    *(
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "2024-01-01T10:00:00.123456+02:00",
        "2024-01-01T10:00:00,5",
    ),
    *(
        "12:00",
        "12:00:00",
        "12:00:00.5",
        "12:00:00.123456",
        "12:00:00.1234567",
        "12:00:00Z",
        "12:00:00+02:00",
        "25:00:00",
    ),
    *("12:00:00.123456+02:00", "12:00:00.1234567Z", "24:00:00", "12:00:60", "3600", "12:00:00-02", "12:00:00+02:00:30"),
]


class Newer(Field):
    """A field that is equal to none made of what is known of fields today."""


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


OTHERS = [
    *(None, True, False, 0, 1, -3, 5, 2**53, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**5000),
    *(0.0, -0.0, 5.0, 5.5, -0.5, 0.1, 1e20, 1e308, float("nan"), float("inf"), float("-inf")),
    *(
        Decimal(0),
        Decimal(5),
        Decimal("1.50"),
        Decimal("1E+5"),
        Decimal("1e-9"),
        Decimal("NaN"),
        Decimal("-Infinity"),
    ),
    *(
        date(2024, 1, 1),
        date(1, 1, 1),
        datetime(2024, 1, 1),
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, 10, 0, 0, 5),
    ),
    *(
        datetime(2024, 7, 1, 2, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")),
    ),
    *(datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))), datetime(2024, 10, 27, 2, 30, fold=1)),
    *(time(12), time(12, 0, 0, 5), time(12, tzinfo=UTC), b"5", (1, 2), {1}, [], [1, [2]], [float("nan")], {}, {"a": 1}),
    *(
        {"a": float("inf")},
        {1: 2},
        [Decimal("1.5")],
        {"a": {"b": date(2024, 1, 1)}},
        Text("a"),
        Text("5"),
        Whole(5),
        object,
    ),
]

LIMITS = {
    "string": [
        *({"min_length": 1}, {"max_length": 1}, {"min_length": 0}, {"min_length": 2, "max_length": 2}),
        *({"enum": ["a", "5"]}, {"enum": ["", "NA"]}, {"enum": ["bb"], "max_length": 2}, {"pattern": "a|b+|[0-9]*"}),
    ],
    "integer": [
        {"minimum": 1},
        {"maximum": 0},
        {"minimum": -5, "maximum": 2**53},
        {"maximum": 2**70},
        {"enum": [0, 5]},
    ],
    "number": [{"minimum": 0.5}, {"maximum": 5}, {"minimum": -0.5, "maximum": 2**53}, {"enum": [1, 5.5]}],
    "decimal": [
        {"minimum": 0},
        {"maximum": "1.50"},
        {"minimum": 1, "maximum": "5.5"},
        {"minimum": "0.1234567890123456"},
        {"enum": [5]},
    ],
    "boolean": [{"enum": [True]}],
    "date": [{"minimum": "2024-01-02"}, {"maximum": "2024-01-01"}, {"enum": ["2024-01-01"]}],
    "time": [{"minimum": "12:00"}],
    "datetime": [{"minimum": "2024-01-01T00:00:00"}, {"maximum": "2024-03-01T00:00:00Z"}],
    "object": [{"min_length": 1}],
    "array": [{"max_length": 1}],
}
FORMATS = [{"group_char": ","}, {"decimal_char": ",", "group_char": "."}, {"bare_number": False}]
CASES = [(type_, {"constraints": limits}) for type_ in TYPES for limits in [{}, *LIMITS[type_]]]
CASES += [(type_, given) for type_ in ("integer", "number", "decimal") for given in FORMATS]
CASES += [
    ("integer", {"default": 5}),
    ("string", {"default": "none"}),
    ("string", {"coerce": ["trim"]}),
    ("date", {"format": "%d.%m.%Y"}),
    ("decimal", {"write_as": "number"}),
]
MISSING = [[""], [], ["NA", ""], ["NA", "5", "a", "-0", "false", "2024-01-01"]]

GOOD = {
    "string": ["x", "yz"],
    "integer": ["1", "-2", 3],
    "number": ["1", "2.5", 2.5],
    "decimal": ["1", "2.50", Decimal("2.5")],
    "boolean": ["true", "no", True],
    "date": ["2024-01-01", date(2024, 1, 1)],
    "time": ["12:00:00", time(12)],
    "datetime": ["2024-01-01T10:00:00Z", datetime(2024, 1, 1)],
    "object": ['{"a":1}', {"a": 1}],
    "array": ["[1]", [1]],
}


def outcome(result):
    return result.count, result.lines, [(each.position, each.error, each.record, each.field) for each in result.invalid]


def same(schema, rows, *, mapping=None, textual=True):
    """Assert that rows come out alike on both paths, as dicts and, where they can be, as a table."""
    slow = outcome(BulkValidator(schema, mapping=mapping, keep_records=True).validate(Rows(rows, textual=textual)))
    fast = BulkValidator(schema, mapping=mapping)
    for each in (rows, tuple(rows), table_of(rows)):
        assert outcome(fast.validate(Rows(each, textual=textual))) == slow
    return slow


def table_of(rows):
    names = max((tuple(row) for row in rows if isinstance(row, dict)), key=len, default=())
    if not names or not all(isinstance(name, str) for name in names):
        return rows
    odd = {at: row for at, row in enumerate(rows) if not isinstance(row, dict) or tuple(row) != names}
    columns = [["" if at in odd else row[name] for at, row in enumerate(rows)] for name in names]
    return Table(names, columns, odd=odd)


def schema_of(type_, *, nullable=True, missing=("",), unknown="drop", **given):
    fields = [{"name": "a", "type": type_, "nullable": nullable, **given}]
    return DestinationSchema.load({"fields": fields, "unknown_fields": unknown, "missing_values": list(missing)})


@pytest.mark.parametrize(("type_", "given", "nullable"), each_way(CASES, [(True,), (False,)]))
def test_the_edges_of_every_type_come_out_alike(type_, given, nullable):
    good = GOOD[type_]
    for missing in MISSING if type_ == "string" else (MISSING[0], MISSING[-1]):
        schema = schema_of(type_, nullable=nullable, missing=missing, **given)
        for textual in (True, False):
            fast, slow = BulkValidator(schema), BulkValidator(schema, keep_records=True)
            for edge in [*TEXTS, *OTHERS]:
                for beside in (good, [good[-1], None, "", *good]):
                    rows = Rows([{"a": value} for value in [*beside, edge]], textual=textual)
                    assert outcome(fast.validate(rows)) == outcome(slow.validate(rows)), (edge, beside, textual)


CELLS = st.sampled_from([text for text in TEXTS if len(text) < 40])
# Hypothesis writes down what it draws, which no integer of more than 4,300 digits can be.
ANYTHING = CELLS | st.sampled_from([each for each in OTHERS if type(each) is not int or each.bit_length() < 10_000])


@st.composite
def schemas(draw):
    names = draw(st.lists(st.sampled_from([*strategies.NAMES, 'a"b', "a\\b"]), unique=True, min_size=1, max_size=4))
    fields = []
    for name in names:
        type_, given = draw(st.sampled_from(CASES))
        fields.append({"name": name, "type": type_, "nullable": draw(st.booleans()), **given})
    return DestinationSchema.load(
        {
            "fields": fields,
            "unknown_fields": draw(st.sampled_from(["drop", "reject", "keep"])),
            "missing_values": draw(st.sampled_from(MISSING)),
        }
    )


@st.composite
def tables(draw, schema, mapping):
    """Return rows that are mostly right, of one header, some of them shorter or no objects at all."""
    names = [mapping.get(field.name, field.name) for field in schema.fields]
    extra = draw(st.lists(st.sampled_from(["other", "x", names[0], schema.fields[0].name]), max_size=2))
    header = list(dict.fromkeys([*names, *extra]))
    types = {mapping.get(field.name, field.name): field.type for field in schema.fields}
    rows = []
    for _ in range(draw(st.integers(1, 70))):
        unusual = draw(st.integers(0, 30))
        cells = [
            draw(ANYTHING) if unusual == 0 else draw(st.sampled_from(GOOD[types.get(name, "string")]))
            for name in header
        ]
        row = dict(zip(header, cells, strict=True))
        if unusual == 1:
            row.pop(draw(st.sampled_from(header)))
        elif unusual == 2:
            row = draw(st.sampled_from([None, 5, "x", [], {}, cells]))
        elif unusual == 3:
            row[draw(st.sampled_from(["new", 5, None]))] = draw(ANYTHING)
        elif unusual == 4:
            row = dict(reversed(row.items()))
        rows.append(row)
    return rows


@settings(
    deadline=None, max_examples=examples(400), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.data())
def test_rows_of_any_schema_come_out_alike(data):
    schema = data.draw(schemas())
    columns = st.sampled_from([*(field.name for field in schema.fields), "other", "y"])
    names = [field.name for field in schema.fields] + (["z"] if schema.unknown_fields == "keep" else [])
    mapping = data.draw(st.dictionaries(st.sampled_from(names), columns, max_size=2))
    rows = data.draw(tables(schema, mapping))
    same(schema, rows, mapping=mapping, textual=data.draw(st.booleans()))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_records_come_out_alike(data):
    schema = data.draw(strategies.schemas())
    same(schema, data.draw(st.lists(strategies.records(schema), max_size=12)), textual=data.draw(st.booleans()))


@settings(deadline=None, max_examples=examples(400))
@given(st.lists(st.decimals(-1, 2, places=17) | st.decimals(-1, 2, places=2), min_size=1, max_size=4))
def test_decimals_near_a_bound_come_out_alike(values):
    for given_ in ({"minimum": 0}, {"maximum": 1}, {"minimum": "0.3", "maximum": "1.7"}):
        schema = schema_of("decimal", constraints=given_)
        same(schema, [{"a": str(value)} for value in values])
        same(schema, [{"a": str(value)} for value in values], textual=False)
        same(schema, [{"a": value} for value in values], textual=False)


@settings(deadline=None, max_examples=examples(400))
@given(st.lists(st.datetimes(timezones=st.none() | st.timezones()) | st.times() | st.dates(), max_size=4))
def test_dates_and_times_come_out_alike(values):
    for type_ in ("date", "time", "datetime"):
        same(schema_of(type_), [{"a": value.isoformat()} for value in values])
        same(schema_of(type_), [{"a": value} for value in values], textual=False)


@pytest.mark.parametrize("types", [None, [frozenset({int})]])
def test_a_table_is_a_sequence_of_what_its_rows_are(types):
    table = Table(["a"], [[1, 0, 3]], odd={1: None}, types=types)
    rows = [{"a": 1}, None, {"a": 3}]
    assert [*table] == rows
    assert table == rows
    assert table != rows[1:]
    assert table != tuple(rows)
    assert [table[at] for at in (0, 1, -1)] == [rows[at] for at in (0, 1, -1)]
    assert table[1:] == rows[1:]
    fresh = Table(["a"], [[1, 0, 3]], odd={1: None}, types=types)
    assert [fresh[at] for at in (-1, 1, 0)] == [rows[at] for at in (-1, 1, 0)]
    with pytest.raises(IndexError):
        fresh[3]


def test_rows_with_nothing_plain_in_them_are_read_by_pydantic_alone():
    schema = schema_of("integer", nullable=False)
    assert RowPath(schema, {}, textual=False).read([{}, 5]) is None
    assert RowPath(schema, {}, textual=False).read([]) is None
    assert RowPath(DestinationSchema.any_object(), {}, textual=False).read([{}]) is None
    records, refused = RowPath(schema, {}, textual=True).read([{"a": "1"}, {"a": "x"}, None, {"a": " 2"}])
    assert refused == [1, 2]
    assert [record.a0 for at, record in enumerate(records) if at not in refused] == [1, 2]


def test_a_property_of_fields_that_the_columns_do_not_know_is_left_to_the_records_schema():
    schema = schema_of("integer")
    unknown = replace(
        schema, fields=tuple(Newer(**{name: getattr(each, name) for name in each.__slots__}) for each in schema.fields)
    )
    same(unknown, [{"a": "1"}, {"a": ""}, {"a": "x"}, {}])


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize(
    ("type_", "text"),
    [("integer", "-99"), ("number", "-99.5"), ("decimal", "-99"), ("boolean", "no"), ("date", "9999-12-31")],
)
def test_a_missing_value_that_could_be_read_comes_out_alike(type_, text, nullable):
    schema = schema_of(type_, nullable=nullable, missing=("", text))
    rows = [{"a": cell} for cell in (text, f" {text}", f"{text} ", f"\t{text}\n", text + "0", "")]
    fast, slow = BulkValidator(schema), BulkValidator(schema, keep_records=True)
    for block in (*([row] for row in rows), rows, [row for row in rows for _ in range(40)]):
        assert outcome(fast.validate(Rows(block, textual=True))) == outcome(slow.validate(Rows(block, textual=True)))
