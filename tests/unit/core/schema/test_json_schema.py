from __future__ import annotations

from airflow_provider_osmosdest.core.schema import DestinationSchema


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
