from __future__ import annotations

import jsonschema
import pytest
from fastapi.dependencies.utils import get_flat_dependant
from fastapi.routing import APIRoute

from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.web.openapi import problems
from tests.unit.web.conftest import SCHEMA


@pytest.fixture
def document(web):
    return web.get("/openapi.json").json()


def test_every_route_of_a_mailbox_is_described_and_nothing_else(web, document):
    prefix = "/v1/mailboxes/{mailbox_id}"
    routed = {
        (route.path.removeprefix(prefix), method.lower())
        for route in web.client.app.routes
        if isinstance(route, APIRoute) and route.path.startswith(prefix)
        for method in route.methods - {"HEAD"}
    }
    assert routed == {(path, method) for path, operations in document["paths"].items() for method in operations}


def test_the_framework_checks_no_parameter_of_its_own(web):
    """Whatever it rejects would be answered with no problem document."""
    for route in web.client.app.routes:
        read = get_flat_dependant(route.dependant)
        assert read.query_params + read.header_params + read.cookie_params + read.body_params == [], route.path
        assert {field.field_info.annotation for field in read.path_params} <= {str}, route.path


def test_the_server_is_the_mailbox(document):
    assert document["servers"] == [{"url": "/v1/mailboxes/box"}]
    assert document["info"]["title"] == "Mailbox box"


def test_records_are_described_by_the_mailboxs_schema(web, document):
    expected = dict(SCHEMA.to_json_schema())
    expected.pop("$schema")
    assert document["components"]["schemas"]["Record"] == expected
    for record in web.get("/records").json()["records"]:
        jsonschema.validate(record, document["components"]["schemas"]["Record"])


def test_what_is_posted_is_described_as_it_is_taken(make_web):
    fields = [
        {"name": "released", "type": "date", "source": "Release Date", "format": "%b %d %Y", "nullable": False},
        {"name": "rating", "type": "integer", "nullable": False, "default": 0},
    ]
    schemas = make_web(schema=DestinationSchema.load(fields)).get("/openapi.json").json()["components"]["schemas"]
    assert (schemas["Record"]["required"], schemas["PostedRecord"]["required"]) == (
        ["released", "rating"],
        ["Release Date"],
    )
    jsonschema.validate({"released": "1998-06-12", "rating": 0}, schemas["Record"])
    jsonschema.validate({"Release Date": "Jun 12 1998"}, schemas["PostedRecord"])
    assert "%b %d %Y" in schemas["PostedRecord"]["properties"]["Release Date"]["description"]


def test_a_mailbox_without_a_schema_holds_objects(make_web):
    document = make_web(schema=None).get("/openapi.json").json()
    assert document["components"]["schemas"]["Record"] == {"type": "object"}
    content = document["paths"]["/records"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "application/x-ndjson"}


def test_every_reference_leads_somewhere(document):
    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            for each in node.values():
                yield from walk(each)
        elif isinstance(node, list):
            for each in node:
                yield from walk(each)

    for reference in walk(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_operations_have_names_of_their_own(document):
    names = [each["operationId"] for operations in document["paths"].values() for each in operations.values()]
    assert len(names) == len(set(names))


def test_every_operation_says_what_any_may_answer(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert set(problems()) <= set(operation["responses"]), (method, path)


def test_the_limit_is_the_mailboxs(make_web):
    document = make_web(page_limit=42).get("/openapi.json").json()
    (limit,) = [each for each in document["paths"]["/records"]["get"]["parameters"] if each["name"] == "limit"]
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 42, "default": 42}
