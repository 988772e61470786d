from __future__ import annotations

import json

import jsonschema
import pytest

from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema, JsonLines
from airflow_provider_osmosdest.core.schema.importing import schema_from_json_schema
from airflow_provider_osmosdest.core.schema.json_schema import taken_json_schema


def test_every_type_and_constraint():
    schema = DestinationSchema.load(
        {
            "fields": [
                {"name": "id", "type": "integer", "nullable": False, "constraints": {"minimum": 1, "maximum": 9}},
                {"name": "code", "constraints": {"pattern": "a|b", "minLength": 1, "maxLength": 2}, "description": "d"},
                {"name": "kind", "nullable": False, "constraints": {"enum": ["x"]}},
                {"name": "size", "constraints": {"enum": ["s"]}},
                {"name": "price", "type": "decimal", "constraints": {"minimum": "0.5"}},
                {"name": "day", "type": "date", "constraints": {"minimum": "2024-01-01"}},
                {"name": "at", "type": "datetime"},
                {"name": "clock", "type": "time", "nullable": False},
                {"name": "on", "type": "boolean"},
                {"name": "tags", "type": "array", "constraints": {"maxLength": 3}},
                {"name": "more", "type": "object", "constraints": {"minLength": 1}},
                {"name": "rate", "type": "number"},
            ]
        }
    )
    assert schema.to_json_schema() == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "id": {"type": "integer", "minimum": 1, "maximum": 9},
            "code": {
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": 2,
                "pattern": "^(?:a|b)$",
                "description": "d",
            },
            "kind": {"type": "string", "enum": ["x"]},
            "size": {"type": ["string", "null"], "enum": ["s", None]},
            "price": {"type": ["string", "number", "null"], "format": "decimal", "minimum": 0.5},
            "day": {"type": ["string", "null"], "format": "date", "formatMinimum": "2024-01-01"},
            "at": {"type": ["string", "null"], "format": "date-time"},
            "clock": {"type": "string", "format": "time"},
            "on": {"type": ["boolean", "null"]},
            "tags": {"type": ["array", "null"], "maxItems": 3},
            "more": {"type": ["object", "null"], "minProperties": 1},
            "rate": {"type": ["number", "null"]},
        },
        "required": ["id", "kind", "clock"],
    }


def test_unknown_fields():
    documents = {
        each: DestinationSchema.load({"fields": [], "unknown_fields": each}).to_json_schema()
        for each in ("drop", "reject", "keep")
    }
    assert "additionalProperties" not in documents["drop"]
    assert documents["reject"]["additionalProperties"] is False
    assert documents["keep"]["additionalProperties"] is True


READ = {
    "fields": [
        {"name": "title", "source": "Title", "coerce": "to_string", "nullable": False},
        {"name": "day", "type": "date", "format": ["%b %d %Y", "iso"], "constraints": {"minimum": "1900-01-01"}},
        {"name": "count", "type": "integer", "nullable": False, "default": 1, "coerce": ["from_string"]},
        {"name": "price", "type": "decimal", "write_as": "number", "constraints": {"enum": ["1.50"]}},
        {"name": "more", "type": "object", "coerce": ["empty_to_null"]},
    ]
}


def test_what_is_delivered_and_what_is_taken_are_told_apart():
    schema = DestinationSchema.load(READ)
    delivered, taken = schema.to_json_schema(), taken_json_schema(schema)
    assert delivered["required"] == ["title", "count"]
    assert delivered["properties"] == {
        "title": {"type": "string"},
        "day": {"type": ["string", "null"], "format": "date", "formatMinimum": "1900-01-01"},
        "count": {"type": "integer", "default": 1},
        "price": {"type": ["number", "null"], "format": "decimal", "enum": [1.5, None]},
        "more": {"type": ["object", "null"]},
    }
    assert taken["required"] == ["Title"]
    assert taken["properties"] == {
        "Title": {"type": ["string", "number", "boolean"]},
        "day": {
            "type": ["string", "null"],
            "description": "Written as %b %d %Y or ISO 8601 (directives of strptime).",
        },
        "count": {"type": ["integer", "null", "string"], "default": 1},
        "price": {"type": ["string", "number", "null"], "format": "decimal", "enum": ["1.50", None]},
        "more": {"type": ["object", "null", "string"], "maxLength": 0},
    }


@pytest.mark.parametrize(
    "record",
    [
        {"Title": 1776, "day": "Jun 12 1998"},
        {"Title": "x", "count": None, "more": ""},
        {"Title": "x", "count": "2"},
        {"title": "x"},
        {"Title": "x", "more": "y"},
    ],
)
def test_what_is_described_as_taken_is_taken(record):
    schema = DestinationSchema.load(READ)
    described = jsonschema.Draft202012Validator(taken_json_schema(schema)).is_valid(record)
    assert described == (not BulkValidator(schema).validate(JsonLines(json.dumps(record).encode())).invalid)


def test_a_default_and_a_decimals_form_come_back():
    schema = DestinationSchema.load(
        [
            {"name": "a", "type": "integer", "default": 5},
            {"name": "b", "type": "decimal", "write_as": "number", "default": 1.5},
            {"name": "c", "type": "date", "default": "2024-05-31"},
            {"name": "d", "type": "decimal", "nullable": False},
        ]
    )
    assert schema_from_json_schema(schema.to_json_schema()) == schema


def test_two_fields_of_one_key_both_have_to_take_it():
    schema = DestinationSchema.load([{"name": "a", "source": "x"}, {"name": "b", "source": "x", "nullable": False}])
    taken = taken_json_schema(schema)
    assert taken["properties"] == {"x": {"allOf": [{"type": ["string", "null"]}, {"type": "string"}]}}
    assert taken["required"] == ["x"]
