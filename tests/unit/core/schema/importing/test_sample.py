from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema import BulkValidator, Rows
from airflow_provider_osmosdest.core.schema.importing import infer_schema


def inferred(values, *, textual):
    (field,) = infer_schema([{"a": value} for value in values], textual=textual).fields
    return field.type, field.nullable


@pytest.mark.parametrize(
    ("cells", "type_"),
    [
        (["1", "-20", "0"], "integer"),
        ([" 1 ", "2"], "integer"),
        (["1", "2.5"], "number"),
        (["1e-05", "1.5e3"], "number"),
        (["0.12345678901234567890", "1.5"], "decimal"),
        (["00123", "1"], "string"),
        (["+31612345678"], "string"),
        (["12E5"], "string"),
        (["1234567890123456789012"], "string"),
        (["1,5"], "string"),
        (["true", "FALSE"], "boolean"),
        (["true", "1"], "string"),
        (["yes", "no"], "string"),
        (["2024-01-01"], "date"),
        (["2024-01-01", "2024-01-01 10:00"], "datetime"),
        (["2024-01-01T10:00:00Z"], "datetime"),
        (["2024-02-30"], "string"),
        (["10:00:00"], "time"),
        (["10:00"], "string"),
        (["2024-01-01", "n/a"], "string"),
        (["NaN"], "string"),
        ([5.0, 6.0], "integer"),
        ([5.0, 6.5], "number"),
        ([True, False], "boolean"),
        ([datetime(2024, 1, 1), datetime(2024, 1, 2)], "date"),
        ([datetime(2024, 1, 1), datetime(2024, 1, 2, 3)], "datetime"),
        ([5.0, "x"], "string"),
    ],
)
def test_cells(cells, type_):
    assert inferred(cells, textual=True) == (type_, False)
    schema = infer_schema([{"a": cell} for cell in cells], textual=True)
    assert BulkValidator(schema).validate(Rows([{"a": cell} for cell in cells], textual=True)).invalid == []


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([1, 2], "integer"),
        ([1, 2.5], "number"),
        ([1.0], "number"),
        ([1, Decimal("1.5"), 2.5], "decimal"),
        ([True], "boolean"),
        (["1", "2"], "string"),
        (["true"], "string"),
        (["2024-01-01"], "date"),
        (["2024-01-01", "2024-01-01T10:00Z"], "datetime"),
        (["2024-01-01", "x"], "string"),
        ([date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)], "datetime"),
        ([time(1)], "time"),
        ([{"x": 1}, OrderedDict()], "object"),
        ([[1], (2,)], "array"),
    ],
)
def test_typed_values(values, type_):
    assert inferred(values, textual=False) == (type_, False)
    schema = infer_schema([{"a": value} for value in values], textual=False)
    assert BulkValidator(schema).validate(Rows([{"a": value} for value in values])).invalid == []


@pytest.mark.parametrize("textual", [True, False])
def test_a_field_is_nullable_where_a_sample_lacks_it(textual):
    schema = infer_schema([{"a": 1, "b": "x"}, {"a": 2, "c": None}, {"a": 3, "b": None}], textual=textual)
    assert [(each.name, each.type, each.nullable) for each in schema.fields] == [
        ("a", "integer", False),
        ("b", "string", True),
        ("c", "string", True),
    ]


def test_blank_cells_are_null():
    assert inferred(["", " ", "5"], textual=True) == ("integer", True)
    assert inferred(["", " "], textual=True) == ("string", True)
    assert inferred([""], textual=False) == ("string", False)


def test_without_a_record_there_is_no_schema():
    with pytest.raises(SchemaError, match="at least one sample record"):
        infer_schema([], textual=True)


def test_values_that_no_type_takes_are_refused_by_name():
    with pytest.raises(SchemaError, match=r"field 'a' has values of several types: integer \(such as '1'\), string"):
        inferred([1, "x"], textual=False)


def test_what_is_no_record_is_refused():
    with pytest.raises(SchemaError, match="sample record 1 is no object but list"):
        infer_schema([{"a": 1}, [1]], textual=False)
    with pytest.raises(SchemaError, match=r"sample record 0 has a value under None.*more cells"):
        infer_schema([{"a": "1", None: ["2"]}], textual=True)


CELLS = st.sampled_from(["", "1", "007", "1.50", "x", "true", "2024-01-01", "2024-01-01 10:00", "10:00:00", "-1e-05"])


@given(st.lists(st.fixed_dictionaries({}, optional={"a": CELLS, "b": CELLS}), min_size=1))
def test_the_samples_satisfy_the_inferred_schema(rows):
    schema = infer_schema(rows, textual=True)
    assert BulkValidator(schema).validate(Rows(rows, textual=True)).invalid == []
