"""The field an invalid record is blamed on, for answers that name it apart from the text."""

from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema, JsonElements, JsonLines, Rows

SCHEMA = DestinationSchema.load(
    {
        "fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "at", "type": "object"}],
        "unknown_fields": "reject",
    }
)


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (b'{"id":"x"}', "id"),
        (b'{"id":1,"at":{"deep":[NaN]}}', "at"),
        (b'{"id":1,"b":2}', "b"),
        (b"{}", "id"),
        (b"[1]", None),
        (b"{broken", None),
    ],
)
@pytest.mark.parametrize("block", [JsonLines, JsonElements])
def test_the_first_wrong_field_is_named(block, record, field):
    [found] = BulkValidator(SCHEMA).validate(block(record)).invalid
    assert found.field == field


def test_a_row_of_text_is_blamed_alike():
    [found] = BulkValidator(SCHEMA).validate(Rows([{"id": "x"}], textual=True)).invalid
    assert found.field == "id"
