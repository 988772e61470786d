from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema import Constraints, DestinationSchema, Field
from airflow_provider_osmosdest.core.schema.fields import FIELD_TYPES

NAMES = st.text(min_size=1, max_size=10).filter(lambda name: name.strip() and name.isprintable())
LENGTHS = st.tuples(st.none() | st.integers(0, 5), st.none() | st.integers(5, 9))


@st.composite
def fields(draw, name):
    type_ = draw(st.sampled_from(FIELD_TYPES))
    constraints = {}
    if type_ in ("string", "object", "array"):
        constraints["min_length"], constraints["max_length"] = draw(LENGTHS)
    if type_ in ("integer", "number"):
        constraints["minimum"] = draw(st.none() | st.integers(-5, 0))
        constraints["maximum"] = draw(st.none() | st.integers(0, 5))
        constraints["enum"] = draw(st.none() | st.lists(st.integers(), min_size=1, max_size=3).map(tuple))
    return Field(name, type_, draw(st.booleans()), draw(st.none() | st.text(max_size=5)), Constraints(**constraints))


@st.composite
def schemas(draw):
    names = draw(st.lists(NAMES, unique=True, max_size=5))
    return DestinationSchema(
        tuple(draw(fields(name)) for name in names),
        draw(st.sampled_from(["drop", "reject", "keep"])),
        tuple(draw(st.lists(st.text(max_size=3), max_size=3))),
    )


@given(schemas())
def test_what_to_dict_gives_load_takes(schema):
    document = schema.to_dict()
    assert DestinationSchema.load(document) == schema
    assert DestinationSchema.load(json.dumps(document)) == schema
    assert DestinationSchema.load(json.dumps(document).encode()) == schema


def test_every_form_of_a_schema_loads():
    fields = [{"name": "id", "type": "integer", "nullable": False}, {"name": "city"}]
    schema = DestinationSchema((Field("id", "integer", nullable=False), Field("city", "string")))
    assert DestinationSchema.load(fields) == schema
    assert DestinationSchema.load(json.dumps(fields)) == schema
    assert DestinationSchema.load({"fields": fields}) == schema
    assert DestinationSchema.load(list(schema.fields)) == schema
    assert DestinationSchema.load(schema) is schema


def test_a_python_constant_is_written_as_json():
    field = Field("day", "date", constraints=Constraints(minimum=date(2024, 1, 1), enum=(date(2024, 1, 2),)))
    document = DestinationSchema((field,)).to_dict()
    assert document["fields"][0]["constraints"] == {"minimum": "2024-01-01", "enum": ["2024-01-02"]}
    json.dumps(document)


def test_any_object_has_no_fields_and_keeps_all():
    schema = DestinationSchema.any_object()
    assert (schema.fields, schema.unknown_fields) == ((), "keep")


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ({"name": ""}, "field 0: the name is empty"),
        ({"name": " "}, "field 0: the name is empty"),
        ({"name": 5}, "field 0: expected a name, found 5"),
        ({"type": "string"}, "field 0: the name is empty"),
        ({"name": "\ud800"}, "is not valid Unicode"),
        ("id", "field 0: expected an object with name and type, found str"),
        ({"name": "a", "type": "text"}, "field 'a': unknown type \"text\", expected one of string, integer"),
        ({"name": "a", "type": "any"}, "field 'a': unknown type \"any\""),
        ({"name": "a", "type": ["string"]}, "field 'a': unknown type [\"string\"]"),
        ({"name": "a", "nulable": False}, "field 'a': no such key 'nulable'"),
        ({"name": "a", "nullable": "no"}, "field 'a': nullable: expected true or false, found \"no\""),
        ({"name": "a", "description": 5}, "field 'a': description: expected text, found 5"),
        ({"name": "a", "constraints": []}, "field 'a': constraints: expected an object, found list"),
        ({"name": "a", "constraints": {"min": 1}}, "field 'a': constraints: no such constraint 'min'"),
        (
            {"name": "a", "type": "boolean", "constraints": {"minimum": 1}},
            "field 'a': minimum does not apply to boolean",
        ),
        ({"name": "a", "type": "integer", "constraints": {"pattern": "x"}}, "field 'a': pattern does not apply"),
        ({"name": "a", "type": "date", "constraints": {"maxLength": 1}}, "field 'a': max_length does not apply"),
        ({"name": "a", "constraints": {"pattern": "("}}, "field 'a': pattern: \"(\" is no regular expression"),
        ({"name": "a", "constraints": {"pattern": "a)(b"}}, "field 'a': pattern:"),
        ({"name": "a", "constraints": {"pattern": "(?=a)"}}, "no lookaround"),
        ({"name": "a", "constraints": {"pattern": 5}}, "field 'a': pattern: expected a regular expression, found 5"),
        ({"name": "a", "constraints": {"min_length": -1}}, "field 'a': min_length: expected a whole number"),
        ({"name": "a", "constraints": {"min_length": True}}, "field 'a': min_length: expected a whole number"),
        ({"name": "a", "constraints": {"minLength": 3, "maxLength": 2}}, "field 'a': min_length 3 is more than"),
        (
            {"name": "a", "constraints": {"minLength": 3, "min_length": 2}},
            "field 'a': constraints: min_length is given twice",
        ),
        (
            {"name": "a", "type": "integer", "constraints": {"minimum": 5, "maximum": 1}},
            "minimum 5 is more than maximum 1",
        ),
        (
            {"name": "a", "type": "integer", "constraints": {"minimum": 0.5}},
            "field 'a': minimum: expected a value of type integer",
        ),
        (
            {"name": "a", "type": "number", "constraints": {"minimum": 2**53 + 1}},
            "field 'a': minimum: 9007199254740993 is not held",
        ),
        ({"name": "a", "type": "number", "constraints": {"minimum": 10**400}}, "field 'a': minimum: expected a value"),
        (
            {"name": "a", "type": "date", "constraints": {"maximum": "tomorrow"}},
            "field 'a': maximum: expected a value of type date",
        ),
        (
            {
                "name": "a",
                "type": "datetime",
                "constraints": {"minimum": "2024-01-01T00:00Z", "maximum": "2024-01-02T00:00"},
            },
            "field 'a': minimum and maximum cannot be compared",
        ),
        ({"name": "a", "constraints": {"enum": []}}, "field 'a': enum: expected a list of at least one value"),
        ({"name": "a", "constraints": {"enum": "x"}}, "field 'a': enum: expected a list of at least one value"),
        ({"name": "a", "constraints": {"enum": ["x", 5]}}, "field 'a': enum: expected values of type string, found 5"),
        (
            {"name": "a", "nullable": True, "constraints": {"required": True}},
            "field 'a': nullable and constraints.required",
        ),
        ({"name": "a", "constraints": {"required": "yes"}}, "field 'a': constraints: required: expected true or false"),
        (
            {"name": "a", "format": "%d/%m/%Y"},
            "field 'a': format: '%d/%m/%Y' is the pattern of a date, time or datetime",
        ),
        ({"name": "a", "type": "date", "format": "any"}, "field 'a': format: 'any': a date needs its year"),
        (
            {"name": "a", "type": "geojson", "format": "topojson"},
            "field 'a': format applies only to date, time, datetime",
        ),
        (
            {"name": "a", "nullable": False, "default": None},
            "field 'a': default: found null, and the field is not nullable",
        ),
        ({"name": "a", "type": "date", "format": "%d/%q/%Y"}, "field 'a': format: '%d/%q/%Y': no such directive %q"),
    ],
)
def test_a_bad_field_is_refused_by_name(field, problem):
    with pytest.raises(SchemaError) as caught:
        DestinationSchema.load([field])
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "found no such key"),
        ({"fields": "id"}, "fields: expected a list of fields"),
        ({"fields": [], "unknown": "drop"}, "unknown: no such key"),
        ({"fields": [], "unknown_fields": "ignore"}, 'expected one of drop, reject, keep, found "ignore"'),
        ({"fields": [], "unknown_fields": []}, "expected one of drop, reject, keep, found []"),
        ({"fields": [], "missing_values": "NA"}, 'missing_values: expected a list of texts, found "NA"'),
        ({"fields": [], "missing_values": [5]}, "missing_values: expected a list of texts"),
        ({"fields": [], "missing_values": [], "missingValues": []}, "give one of them"),
        ({"fields": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}, "field 'a': 2 fields have this name"),
        (5, "found int"),
        ("5", "found int"),
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_a_bad_document_is_refused(document, problem):
    with pytest.raises(SchemaError) as caught:
        DestinationSchema.load(document)
    assert problem in str(caught.value)


def test_one_message_holds_all_problems():
    document = [{"name": "a", "type": "x"}, {"name": "b", "constraints": {"minimum": 1}}, {"name": ""}, {"name": "b"}]
    with pytest.raises(SchemaError) as caught:
        DestinationSchema.load(document)
    for part in ("field 'a': unknown type", "field 'b': minimum", "field 2: the name is empty", "field 'b': 2 fields"):
        assert part in str(caught.value)


def test_a_schema_made_in_python_is_checked_too():
    with pytest.raises(SchemaError, match="field 'a': 2 fields have this name"):
        DestinationSchema((Field("a", "string"), Field("a", "string")))
    with pytest.raises(SchemaError, match="field 0: expected a Field"):
        DestinationSchema(({"name": "a"},))  # type: ignore[arg-type]


def test_a_table_schema_document_loads_as_it_is():
    document = {
        "$schema": "https://datapackage.org/profiles/2.0/tableschema.json",
        "fields": [
            {
                "name": "id",
                "type": "integer",
                "title": "Identifier",
                "description": "the customer's number",
                "constraints": {"required": True, "unique": True, "minimum": 1},
            },
            {"name": "email", "type": "string", "format": "email", "constraints": {"maxLength": 254}},
            {"name": "born", "type": "year"},
            {"name": "month", "type": "yearmonth"},
            {"name": "shape", "type": "geojson"},
            {"name": "note", "rdfType": "https://schema.org/comment", "example": "n/a"},
        ],
        "missingValues": ["", "NA", {"value": "-99", "label": "refused"}],
        "primaryKey": "id",
        "foreignKeys": [],
    }
    schema = DestinationSchema.load(document)
    assert schema.missing_values == ("", "NA", "-99")
    assert schema.fields == (
        Field("id", "integer", False, "the customer's number", Constraints(minimum=1)),
        Field("email", "string", constraints=Constraints(max_length=254)),
        Field("born", "integer"),
        Field("month", "string", constraints=Constraints(pattern=r"-?[0-9]{4}-[0-9]{2}")),
        Field("shape", "object"),
        Field("note", "string"),
    )
