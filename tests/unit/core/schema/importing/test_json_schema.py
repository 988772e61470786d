from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic reads the annotations
import json
import re
from decimal import Decimal  # noqa: TC003 - pydantic reads the annotations
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict
from pydantic import Field as ModelField

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema import BulkValidator, Constraints, DestinationSchema, Field, JsonLines
from airflow_provider_osmosdest.core.schema.importing import schema_from_json_schema


def field_of(prop, *, required=True, **document):
    root = {"type": "object", "properties": {"a": prop}, "required": ["a"] if required else [], **document}
    return schema_from_json_schema(root).fields[0]


@pytest.mark.parametrize(
    ("prop", "field"),
    [
        ({"type": "string"}, Field("a", "string", False)),
        ({"type": ["string", "null"]}, Field("a", "string")),
        ({"type": "string", "nullable": True}, Field("a", "string")),
        ({"type": "integer", "format": "int32"}, Field("a", "integer", False)),
        ({"type": ["integer", "number"]}, Field("a", "number", False)),
        ({"type": "string", "format": "date"}, Field("a", "date", False)),
        ({"type": "string", "format": "time"}, Field("a", "time", False)),
        ({"type": "string", "format": "date-time"}, Field("a", "datetime", False)),
        ({"type": "string", "format": "email"}, Field("a", "string", False)),
        ({"type": "string", "format": "decimal", "pattern": "x"}, Field("a", "decimal", False)),
        (
            {"type": "string", "format": "date", "minLength": 3},
            Field("a", "string", False, None, Constraints(min_length=3)),
        ),
        ({"type": "boolean", "minimum": 3, "maxLength": 5}, Field("a", "boolean", False)),
        ({"properties": {"x": {}}}, Field("a", "object", False)),
        ({"items": {}}, Field("a", "array", False)),
        (
            {"type": "object", "required": ["x"], "additionalProperties": {"type": "string"}, "minProperties": 1},
            Field("a", "object", False, None, Constraints(min_length=1)),
        ),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 3},
            Field("a", "array", False, None, Constraints(max_length=3)),
        ),
        ({"type": "integer", "minimum": 1, "maximum": 5}, Field("a", "integer", False, None, Constraints(1, 5))),
        (
            {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 5},
            Field("a", "integer", False, None, Constraints(2, 4)),
        ),
        ({"type": "integer", "minimum": 5, "exclusiveMinimum": 1}, Field("a", "integer", False, None, Constraints(5))),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            Field("a", "integer", False, None, Constraints(2)),
        ),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": False},
            Field("a", "integer", False, None, Constraints(1)),
        ),
        ({"enum": ["x", None]}, Field("a", "string", True, None, Constraints(enum=("x",)))),
        ({"type": ["string", "null"], "enum": ["x"]}, Field("a", "string", False, None, Constraints(enum=("x",)))),
        ({"const": 5}, Field("a", "integer", False, None, Constraints(enum=(5,)))),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, Field("a", "integer")),
        (
            {"oneOf": [{"const": "x"}, {"const": "y"}, {"type": "null"}]},
            Field("a", "string", True, None, Constraints(enum=("x", "y"))),
        ),
        (
            {"allOf": [{"type": "integer", "minimum": 1}, {"minimum": 3, "maximum": 9}]},
            Field("a", "integer", False, None, Constraints(3, 9)),
        ),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, Field("a", "integer", False)),
        (
            {"allOf": [{"enum": ["x", "y"]}, {"enum": ["y", "z"]}]},
            Field("a", "string", False, None, Constraints(enum=("y",))),
        ),
        ({"$ref": "#/$defs/n", "description": "here"}, Field("a", "integer", False, "here")),
        ({"nullable": True, "allOf": [{"$ref": "#/$defs/n"}]}, Field("a", "integer", True, "there")),
        ({"$ref": "#/$defs/a~1b/0"}, Field("a", "boolean", False)),
        ({"type": "string", "x-internal": 1, "examples": ["b"]}, Field("a", "string", False)),
        ({"type": "string", "default": "c"}, Field("a", "string", False, default="c")),
        ({"type": ["integer", "null"], "default": None}, Field("a", "integer")),
        ({"type": "number", "format": "decimal"}, Field("a", "decimal", False, write_as="number")),
        ({"type": ["number", "string"], "format": "decimal"}, Field("a", "decimal", False)),
    ],
)
def test_a_property_becomes_a_field(prop, field):
    definitions = {"n": {"type": "integer", "description": "there"}, "a/b": [{"type": "boolean"}]}
    assert field_of(prop, **{"$defs": definitions}) == field


def test_a_property_that_may_be_missing_is_nullable():
    assert field_of({"type": "string"}, required=False) == Field("a", "string")


@pytest.mark.parametrize(
    ("pattern", "ours"),
    [("^[a-z]+$", "[a-z]+"), ("^(?:a|b)$", "a|b"), ("^a|b$", None), ("a", None), (r"^a\$", None), (r"^a\\$", None)],
)
def test_a_pattern_keeps_its_meaning(pattern, ours):
    field = field_of({"type": "string", "pattern": pattern})
    if ours is not None:
        assert field.constraints.pattern == ours
    validator = BulkValidator(DestinationSchema((field,)))
    for text in ("a", "b", "ab", "xa", "bx", "a$", "a\\", "xax", "x\na", ""):
        taken = not validator.validate(JsonLines(json.dumps({"a": text}).encode())).invalid
        assert taken == (re.search(pattern, text) is not None), text


@pytest.mark.parametrize(
    ("prop", "problem"),
    [
        ({}, "expected one type beside null, found none"),
        (True, "expected one type beside null, found none"),
        (5, "expected a JSON Schema object, found 5"),
        ({"type": "null"}, "expected one type beside null, found none"),
        ({"type": "text"}, "'text' is no type of JSON Schema"),
        ({"type": 5}, "type: expected the name of a type"),
        ({"type": ["string", "integer"]}, "expected one type beside null, found integer, string"),
        (
            {"oneOf": [{"type": "string"}, {"type": "boolean"}]},
            "oneOf has 2 alternatives beside null (string, boolean)",
        ),
        ({"anyOf": {}}, "anyOf: expected a list of schemas"),
        ({"type": "number", "exclusiveMinimum": 0}, "exclusiveMinimum of a number cannot be expressed"),
        ({"type": "integer", "exclusiveMinimum": "0"}, "exclusiveMinimum: expected a number"),
        ({"type": "integer", "multipleOf": 5}, "multipleOf cannot be expressed"),
        ({"type": "string", "not": {"const": "x"}}, "not cannot be expressed"),
        ({"type": "string", "pattern": 5}, "pattern: expected a regular expression"),
        ({"enum": "x"}, "enum: expected a list of values"),
        ({"$ref": "#/nowhere"}, "the reference '#/nowhere' leads nowhere: there is no 'nowhere'"),
        ({"$ref": "other.json#/x"}, "Bundle the document"),
        ({"$ref": 5}, "the reference 5 cannot be followed"),
        ({"$ref": "#/properties/a"}, "leads back to itself"),
        ({"allOf": [{"type": "string", "pattern": "a"}, {"pattern": "b"}]}, "allOf gives pattern as 'a' and as 'b'"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(prop, problem):
    with pytest.raises(SchemaError) as caught:
        field_of(prop)
    assert "property 'a': " in str(caught.value)
    assert problem in str(caught.value)


def test_a_pattern_of_another_dialect_is_refused_by_name():
    with pytest.raises(SchemaError, match=r"field 'a': pattern: .* no lookaround"):
        field_of({"type": "string", "pattern": "(?=a)"})


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "expected an object, found list"),
        ({"type": "string"}, "expected an object with properties, or an array of such, found string"),
        ({"type": "object"}, "found object without properties"),
        ({"type": "array"}, "an item of the record: expected an object with properties"),
        ({"properties": {"a": {"type": "string"}}, "patternProperties": {}}, "the record: patternProperties cannot"),
        (
            {"properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}},
            "additionalProperties with",
        ),
        ({"properties": {"a": {"type": "string"}}, "required": ["b"]}, "property 'b': required, but not among"),
    ],
)
def test_a_root_that_is_no_record_is_refused(document, problem):
    with pytest.raises(SchemaError) as caught:
        schema_from_json_schema(document)
    assert problem in str(caught.value)


def test_one_message_holds_all_problems():
    with pytest.raises(SchemaError, match=r"property 'a'.*property 'b'"):
        schema_from_json_schema({"properties": {"a": {}, "b": {"type": "integer", "multipleOf": 2}}})


@pytest.mark.parametrize(
    ("additional", "unknown_fields"), [(None, "drop"), (True, "keep"), ({}, "keep"), (False, "reject")]
)
def test_additional_properties(additional, unknown_fields):
    document = {"properties": {"a": {"type": "string"}}}
    if additional is not None:
        document["additionalProperties"] = additional
    assert schema_from_json_schema(document).unknown_fields == unknown_fields


def test_an_array_of_records_gives_its_items():
    document = {
        "type": "array",
        "items": {"$ref": "#/$defs/r"},
        "$defs": {"r": {"properties": {"a": {"type": "string"}}}},
    }
    assert schema_from_json_schema(document).fields == (Field("a", "string"),)


def test_parts_of_a_record_are_merged():
    document = {
        "allOf": [
            {"properties": {"id": {"type": "integer"}, "x": {"type": "string", "maxLength": 9}}, "required": ["id"]},
            {"properties": {"x": {"minLength": 2}}, "required": ["x"], "additionalProperties": False},
        ]
    }
    schema = schema_from_json_schema(document)
    assert schema.unknown_fields == "reject"
    assert schema.fields == (
        Field("id", "integer", False),
        Field("x", "string", False, None, Constraints(min_length=2, max_length=9)),
    )


def test_our_own_json_schema_comes_back():
    schema = DestinationSchema.load(
        {
            "fields": [
                {"name": "id", "type": "integer", "nullable": False, "constraints": {"minimum": 1}},
                {"name": "code", "constraints": {"pattern": "a|b", "maxLength": 2}, "description": "d"},
                {"name": "kind", "nullable": False, "constraints": {"enum": ["x", "y"]}},
                {"name": "price", "type": "decimal", "constraints": {"minimum": 0, "maximum": 2}},
                {"name": "day", "type": "date", "constraints": {"minimum": "2024-01-01"}},
                {"name": "at", "type": "datetime"},
                {"name": "clock", "type": "time"},
                {"name": "on", "type": "boolean", "constraints": {"enum": [True]}},
                {"name": "tags", "type": "array", "constraints": {"maxLength": 3}},
                {"name": "more", "type": "object", "constraints": {"minLength": 1}},
                {"name": "rate", "type": "number", "constraints": {"maximum": 1.5}},
            ],
            "unknown_fields": "reject",
        }
    )
    assert schema_from_json_schema(schema.to_json_schema()) == schema


class Address(BaseModel):
    street: str


class Sale(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: int = ModelField(ge=1)
    price: Decimal
    rebate: Decimal | None = None
    at: dt.datetime
    day: dt.date | None
    kind: Literal["a", "b"]
    address: Address
    other: Address | None = None
    tags: list[str]


def test_a_pydantic_models_json_schema():
    schema = schema_from_json_schema(Sale.model_json_schema())
    assert schema.unknown_fields == "reject"
    assert schema.fields == (
        Field("id", "integer", False, None, Constraints(minimum=1)),
        Field("price", "decimal", False),
        Field("rebate", "decimal"),
        Field("at", "datetime", False),
        Field("day", "date"),
        Field("kind", "string", False, None, Constraints(enum=("a", "b"))),
        Field("address", "object", False),
        Field("other", "object"),
        Field("tags", "array", False),
    )
