from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema, JsonElements, JsonLines, Rows

RENAMED = [
    {"name": "email", "source": "E-Mail", "nullable": False},
    {"name": "a", "source": "b"},
    {"name": "b", "source": "a", "type": "integer"},
]

TWICE = (
    "email (from 'E-Mail'): Input should not have a key of this name, as the field is read from 'E-Mail' (found 'yy')"
)


def outcome(schema, record, **more):
    """Return what is delivered for a record, or why nothing is, whichever way it is read."""
    text = json.dumps(record).encode()
    results = [
        BulkValidator(schema, **more).validate(each) for each in (JsonLines(text), JsonElements(text), Rows([record]))
    ]
    assert len({(each.lines, each.invalid[0].error if each.invalid else None) for each in results}) == 1
    return results[0].lines.decode().rstrip("\n") or results[0].invalid[0].error


@pytest.mark.parametrize(
    ("unknown_fields", "record", "expected"),
    [
        ("drop", {"E-Mail": "x", "a": 1, "b": "q"}, '{"email":"x","a":"q","b":1}'),
        ("drop", {"E-Mail": "x", "email": "y"}, '{"email":"x","a":null,"b":null}'),
        ("keep", {"E-Mail": "x", "more": 1}, '{"email":"x","a":null,"b":null,"more":1}'),
        ("drop", {"email": "x"}, "email (from 'E-Mail'): Field required"),
        ("drop", {"E-Mail": 5}, "email (from 'E-Mail'): Input should be a valid string (found 5)"),
        ("reject", {"E-Mail": "x", "email": "y"}, "email: Extra inputs are not permitted (found 'y')"),
        (
            "keep",
            {"E-Mail": "x", "email": "yy"},
            TWICE,
        ),
    ],
)
def test_a_field_is_read_from_its_source_and_the_model_does_alike(unknown_fields, record, expected):
    schema = DestinationSchema.load({"fields": RENAMED, "unknown_fields": unknown_fields})
    assert DestinationSchema.load(schema.to_dict()) == schema
    found = outcome(schema, record)
    assert found == expected
    model = schema.to_model()
    if found.startswith("{"):
        assert model.model_validate(record).model_dump_json() == found
        assert model.model_validate_json(json.dumps(record)).model_dump_json() == found
    else:
        with pytest.raises(ValidationError):
            model.model_validate(record)


def test_the_mapping_wins_over_the_source():
    schema = DestinationSchema.load([{"name": "a", "source": "b"}, {"name": "c", "source": "d"}])
    record = {"a": "own", "b": "source", "m": "mapping", "d": "kept"}
    assert outcome(schema, record, mapping={"a": "m"}) == '{"a":"mapping","c":"kept"}'
    assert outcome(schema, record, mapping={"a": "a"}) == '{"a":"own","c":"kept"}'
    assert outcome(schema, {"m": 1}, mapping={"a": "m"}).startswith("a (from 'm'):")


def test_two_fields_may_have_one_source():
    schema = DestinationSchema.load([{"name": "a", "source": "x"}, {"name": "b", "source": "x", "type": "integer"}])
    assert outcome(schema, {"x": "7"}) == '{"a":"7","b":7}'


def test_what_was_sent_is_read_as_it_stands():
    schema = DestinationSchema.load(RENAMED)
    for mapping in ({}, {"email": "m"}):
        validator = BulkValidator(schema, mapping=mapping)
        sent = b'{"email":"x","a":"q","b":1}\n'
        assert validator.validate(JsonLines(sent, as_sent=True)).lines == sent
        assert validator.validate(JsonLines(sent)).lines != sent
