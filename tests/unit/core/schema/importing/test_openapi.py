from __future__ import annotations

import json

import pytest
import yaml

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema import Constraints, Field
from airflow_provider_osmosdest.core.schema.importing import schema_from_openapi

DOCUMENT = {
    "openapi": "3.0.3",
    "paths": {
        "/customers": {
            "summary": "customers",
            "get": {"responses": {}},
            "post": {"requestBody": {"$ref": "#/components/requestBodies/Customers"}},
        },
        "/customers/{id}": {"$ref": "#/components/pathItems/Customer"},
        "/upload": {"put": {"requestBody": {"content": {"text/csv": {"schema": {"type": "string"}}}}}},
    },
    "components": {
        "pathItems": {
            "Customer": {
                "patch": {
                    "requestBody": {
                        "content": {"application/merge-patch+json": {"schema": {"$ref": "#/components/schemas/Base"}}}
                    }
                }
            }
        },
        "requestBodies": {
            "Customers": {
                "content": {
                    "application/xml": {},
                    "application/json; charset=utf-8": {
                        "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Customer"}}
                    },
                }
            }
        },
        "schemas": {
            "Base": {
                "type": "object",
                "required": ["id", "created"],
                "properties": {
                    "id": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
                    "created": {"type": "string", "format": "date-time", "readOnly": True},
                },
            },
            "Kind": {"type": "string", "enum": ["new", "old"]},
            "Customer": {
                "allOf": [
                    {"$ref": "#/components/schemas/Base"},
                    {
                        "required": ["kind", "email"],
                        "properties": {
                            "kind": {"nullable": True, "allOf": [{"$ref": "#/components/schemas/Kind"}]},
                            "email": {"type": "string", "format": "email", "nullable": True},
                        },
                    },
                ]
            },
        },
    },
}
FIELDS = (
    Field("id", "integer", False, None, Constraints(minimum=1)),
    Field("kind", "string", True, None, Constraints(enum=("new", "old"))),
    Field("email", "string"),
)


def as_yaml(document):
    return yaml.safe_dump(document, sort_keys=False)


@pytest.mark.parametrize("form", [dict, json.dumps, as_yaml, lambda document: json.dumps(document).encode()])
@pytest.mark.parametrize("operation", ["POST /customers", " post  /customers "])
def test_the_items_of_an_operations_body(form, operation):
    assert schema_from_openapi(form(DOCUMENT), operation).fields == FIELDS


def test_a_body_behind_a_path_item_and_a_json_suffix():
    assert schema_from_openapi(DOCUMENT, "PATCH /customers/{id}").fields == FIELDS[:1]


def test_openapi_3_1():
    body = {"type": "object", "properties": {"a": {"type": ["integer", "null"], "exclusiveMinimum": 1}}}
    content = {"application/json": {"schema": body}}
    document = {"openapi": "3.1.0", "paths": {"/x": {"put": {"requestBody": {"content": content}}}}}
    assert schema_from_openapi(document, "PUT /x").fields == (
        Field("a", "integer", True, None, Constraints(minimum=2)),
    )


@pytest.mark.parametrize(
    ("document", "operation", "problem"),
    [
        (
            DOCUMENT,
            "POST /nothing",
            "no operation 'POST /nothing'; it has: GET /customers, POST /customers, PATCH /cust",
        ),
        (DOCUMENT, "", "no operation"),
        (DOCUMENT, "GET /customers", "GET /customers takes no request body; those that do: POST /customers, PATCH"),
        (DOCUMENT, "PUT /upload", "The body of PUT /upload has no JSON form with a schema; its forms: text/csv"),
        ({"swagger": "2.0"}, "POST /x", "Convert it to OpenAPI 3 first"),
        ({}, "POST /x", "its key openapi is None"),
        ("[]", "POST /x", "Expected an OpenAPI 3 document"),
        ("{", "POST /x", "cannot be read as JSON or YAML"),
        ("a: b: c", "POST /x", "cannot be read as JSON or YAML"),
        ({"openapi": "3.0.0"}, "POST /x", "it has: none"),
    ],
)
def test_what_is_not_there_is_named(document, operation, problem):
    with pytest.raises(SchemaError) as caught:
        schema_from_openapi(document, operation)
    assert problem in str(caught.value)


def test_yaml_runs_nothing():
    with pytest.raises(SchemaError, match="cannot be read"):
        schema_from_openapi("!!python/object/apply:os.getcwd []", "POST /x")


def bomb(form):
    lines = ["openapi: 3.0.0", "a0: &a0 {x: 1}"]
    lines += [form.format(n=level, before=level - 1) for level in range(1, 31)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "form",
    [
        "a{n}: &a{n} [*a{before}, *a{before}, *a{before}]",
        "a{n}: &a{n} {{p: *a{before}, q: *a{before}}}",
        "a{n}: &a{n} {{<<: [*a{before}, *a{before}]}}",
    ],
    ids=["lists", "objects", "merges"],
)
def test_yaml_whose_aliases_blow_it_up_is_refused_at_once(form):
    with pytest.raises(SchemaError, match=r"its aliases \(\*name\) would make more than 10\d,\d{3} of them"):
        schema_from_openapi(bomb(form), "POST /x")


def test_yaml_that_holds_itself_is_refused():
    with pytest.raises(SchemaError, match="an alias in line 2 stands for what it is a part of"):
        schema_from_openapi("openapi: 3.0.0\na: &a {b: [*a]}", "POST /x")


def test_yaml_with_aliases_as_people_use_them():
    text = """
openapi: 3.0.0
x-name: &name {type: string, maxLength: 5}
paths:
  /x:
    post:
      requestBody:
        content:
          application/json: {schema: {type: object, required: [a, b], properties: {a: *name, b: {<<: *name}}}}
"""
    constraints = Constraints(max_length=5)
    assert schema_from_openapi(text, "POST /x").fields == (
        Field("a", "string", False, None, constraints),
        Field("b", "string", False, None, constraints),
    )
