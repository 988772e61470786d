from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from pydantic import BaseModel, ValidationError

from airflow_provider_osmosdest.core.schema import DestinationSchema

AWKWARD = [
    "json",
    "copy",
    "schema",
    "model_config",
    "model_fields",
    "_id",
    "__id",
    "class",
    "first name",
    "1st",
    "é",
    "-",
]


def test_field_names_that_cannot_be_attributes():
    model = DestinationSchema.load([{"name": name, "type": "integer"} for name in AWKWARD]).to_model()
    values = {name: number for number, name in enumerate(AWKWARD)}
    record = model.model_validate_json(json.dumps(values))
    assert json.loads(record.model_dump_json()) == values
    assert record.model_dump() == values
    assert callable(record.json)
    assert record.field_class == AWKWARD.index("class")


def test_attributes_do_not_collide():
    names = ["a b", "a-b", "field_a_b", "field_a_b_2"]
    model = DestinationSchema.load([{"name": name} for name in names]).to_model()
    values = {name: name for name in names}
    assert model.model_validate(values).model_dump() == values
    assert set(model.model_fields) == {"field_a_b", "field_a_b_2", "field_a_b_3", "field_a_b_4"}


def test_usable_names_are_attributes_of_the_fields_type():
    schema = DestinationSchema.load(
        [{"name": "day", "type": "date"}, {"name": "price", "type": "decimal", "description": "in euro"}]
    )
    model = schema.to_model("Sale")
    assert (model.__name__, issubclass(model, BaseModel)) == ("Sale", True)
    sale = model.model_validate_json('{"day":"2024-01-01","price":1.5}')
    assert (sale.day, sale.price) == (date(2024, 1, 1), Decimal("1.5"))
    assert model.model_fields["price"].description == "in euro"


@pytest.mark.parametrize(
    ("unknown_fields", "dumped"), [("drop", {"a": "x"}), ("reject", None), ("keep", {"a": "x", "b": {"c": 1}})]
)
def test_unknown_fields(unknown_fields, dumped):
    model = DestinationSchema.load({"fields": [{"name": "a"}], "unknown_fields": unknown_fields}).to_model()
    text = '{"a":"x","b":{"c":1}}'
    if dumped is None:
        with pytest.raises(ValidationError, match="Extra inputs"):
            model.model_validate_json(text)
    else:
        assert model.model_validate_json(text).model_dump() == dumped


def test_kept_fields_hold_no_nan():
    model = DestinationSchema.any_object().to_model()
    assert model.model_validate_json('{"a":[1]}').model_dump() == {"a": [1]}
    with pytest.raises(ValidationError, match="finite"):
        model.model_validate_json('{"a":[NaN]}')


def test_its_json_schema_has_the_fields_rules():
    schema = DestinationSchema.load(
        [
            {"name": "id", "type": "integer", "nullable": False, "constraints": {"minimum": 1}},
            {"name": "class", "constraints": {"enum": ["a"]}},
        ]
    )
    document = schema.to_model().model_json_schema()
    ours = schema.to_json_schema()
    assert document["required"] == ours["required"] == ["id"]
    for name, expected in ours["properties"].items():
        assert expected.items() <= document["properties"][name].items()


def test_decimals_that_are_numbers_keep_their_digits():
    fields = [{"name": "first price", "type": "decimal", "write_as": "number"}, {"name": "b", "type": "decimal"}]
    model = DestinationSchema.load({"fields": fields, "unknown_fields": "keep"}).to_model()
    record = model.model_validate({"first price": "12.50", "b": "1.0", "c": None})
    assert record.model_dump_json() == '{"first price":12.50,"b":"1.0","c":null}'
    assert record.model_dump_json(exclude={"b", "c"}, by_alias=False) == '{"field_first_price":12.50}'
    assert record.model_dump_json(include={"field_first_price"}, indent=2) == '{\n  "first price": 12.50\n}'
    assert record.model_dump()["first price"] == Decimal("12.50")


def test_its_json_schema_tells_what_is_taken_from_what_is_written():
    model = DestinationSchema.load([{"name": "day", "type": "date", "format": "%d.%m.%Y", "source": "Day"}]).to_model()
    assert "format" not in model.model_json_schema()["properties"]["Day"]
    assert model.model_json_schema(mode="serialization")["properties"]["day"]["format"] == "date"
