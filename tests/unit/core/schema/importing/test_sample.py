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
    (field,) = infer_schema([{"a": value} for value in values], textual=textual).schema.fields
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
    schema = infer_schema([{"a": cell} for cell in cells], textual=True).schema
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
    schema = infer_schema([{"a": value} for value in values], textual=False).schema
    assert BulkValidator(schema).validate(Rows([{"a": value} for value in values])).invalid == []


@pytest.mark.parametrize("textual", [True, False])
def test_a_field_is_nullable_where_a_sample_lacks_it(textual):
    schema = infer_schema([{"a": 1, "b": "x"}, {"a": 2, "c": None}, {"a": 3, "b": None}], textual=textual).schema
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


def draft(values, *, textual=False):
    """Return the only field of a draft, and its warnings without the field's name."""
    found = infer_schema([{"a": value} for value in values], textual=textual)
    validated = BulkValidator(found.schema).validate(Rows([{"a": value} for value in values], textual=textual))
    assert validated.invalid == []
    (field,) = found.schema.fields
    return field, [warning.removeprefix("field 'a': ") for warning in found.warnings]


@pytest.mark.parametrize(
    ("values", "type_", "coerce", "warning"),
    [
        (
            ["x", "x", 1776],
            "string",
            ("to_string",),
            (
                "it has string (2, such as 'x') and integer (1, such as 1776); string takes all of them, with the "
                "coercion to_string: numbers and booleans are delivered as text"
            ),
        ),
        ([True, 1], "string", ("to_string",), "it has boolean (1, such as True) and integer (1, such as 1); string"),
        ([1, 2.5], "number", (), "it has integer (1, such as 1) and number (1, such as 2.5); number takes all of them"),
        (
            ["2024-01-01", "x"],
            "string",
            (),
            "it has date (1, such as '2024-01-01') and string (1, such as 'x'); string",
        ),
        (
            ["", 5],
            "integer",
            ("empty_to_null",),
            "it has empty texts (1), which are null by the coercion empty_to_null",
        ),
        ([None, ""], "string", (), "it has no value in the sample, so that string is a guess"),
        ([None, None], "string", (), "it has no value in the sample, so that string is a guess"),
    ],
)
def test_what_is_widened_or_guessed_is_said(values, type_, coerce, warning):
    field, (said,) = draft(values)
    assert (field.type, field.coerce) == (type_, coerce)
    assert said.startswith(warning)


def test_a_field_that_no_type_takes_is_passed_on():
    found = infer_schema([{"a": 1, "b": {"x": 1}}, {"a": 2, "b": "x"}], textual=False)
    assert [each.name for each in found.schema.fields] == ["a"]
    assert found.schema.unknown_fields == "keep"
    (warning,) = found.warnings
    assert warning.startswith(
        "field 'b': it has object (1, such as {'x': 1}) and string (1, such as 'x'); no type takes"
    )


@pytest.mark.parametrize(
    ("texts", "type_", "format_"),
    [
        (["Jun 12 1998", "Aug 07 1998"], "date", ("%b %d %Y",)),
        (["May 12 1998", None], "date", ("%b %d %Y", "%B %d %Y")),
        (["31.05.2024", "1.6.2024"], "date", ("%d.%m.%Y",)),
        (["12/31/2024", "01/02/2024"], "date", ("%m/%d/%Y",)),
        (["31/12/2024", "01/02/2024"], "date", ("%d/%m/%Y",)),
        (["31.05.2024 10:15", "1.6.2024 9:00"], "datetime", ("%d.%m.%Y %H:%M",)),
        (["12/31/2024, 1:05 PM"], "datetime", ("%m/%d/%Y, %I:%M %p",)),
        (["2024-01-01 10:00:00 UTC"], "datetime", ("%Y-%m-%d %H:%M:%S %Z",)),
        (["Mon, 03 Jun 2024 10:00:00 +0200"], "datetime", ("%a, %d %b %Y %H:%M:%S %z",)),
        (["10/Oct/2000:13:55:36 -0700"], "datetime", ("%d/%b/%Y:%H:%M:%S %z",)),
        (["1:05 PM"], "time", ("%I:%M %p",)),
        (["12-Jun-98"], "date", ("%d-%b-%y",)),
        (["Jun 12 1998", "unknown"], "string", ()),
        (["1.2.10", "1.3.0"], "string", ()),
    ],
)
@pytest.mark.parametrize("textual", [True, False])
def test_dates_as_people_write_them(texts, type_, format_, textual):
    field, warnings = draft(texts, textual=textual)
    assert (field.type, field.format) == (type_, format_)
    if format_:
        assert warnings == [f"texts like {texts[0]!r} are read as a {type_} by {' or '.join(format_)}"]


@pytest.mark.parametrize(
    ("texts", "formats"),
    [
        (["01/02/2024", "03/04/2024"], '"format": "%d/%m/%Y" or "format": "%m/%d/%Y"'),
        (["31.12.24"], '"format": "%d.%m.%y"'),
    ],
)
def test_a_date_that_could_be_read_otherwise_is_proposed_only(texts, formats):
    field, warnings = draft(texts)
    assert (field.type, field.format) == ("string", ())
    assert warnings == [
        f'it is taken as string; if texts like {texts[0]!r} are dates, write "type": "date" and {formats}'
    ]


def test_fields_are_renamed_when_asked_for():
    rows = [{"US_Gross": 1, "us gross": 2, "id": 3, "E-Mail": 4, "mixed": {}}, {"mixed": "x"}]
    found = infer_schema(rows, textual=False, rename=True)
    assert [each.name for each in found.schema.fields] == ["us_gross", "us_gross_2", "id", "e_mail"]
    assert found.mapping == {"us_gross": "US_Gross", "us_gross_2": "us gross", "e_mail": "E-Mail"}
    assert "field 'e_mail': renamed, its column is 'E-Mail'" in found.warnings
    result = BulkValidator(found.schema, mapping=found.mapping).validate(Rows(rows[:1]))
    assert result.lines == b'{"us_gross":1,"us_gross_2":2,"id":3,"e_mail":4,"mixed":{}}\n'
    assert infer_schema(rows, textual=False).mapping == {}


def test_a_key_without_a_name_is_no_field():
    found = infer_schema([{"": 1, "a": 2}], textual=False)
    assert [each.name for each in found.schema.fields] == ["a"]
    assert found.warnings == ("the key '' is left out, as a field needs a name",)
    with pytest.raises(SchemaError, match="no key with a name"):
        infer_schema([{}], textual=False)


CELLS = st.sampled_from(["", "1", "007", "1.50", "x", "true", "2024-01-01", "2024-01-01 10:00", "10:00:00", "-1e-05"])


@given(st.lists(st.fixed_dictionaries({}, optional={"a": CELLS, "b": CELLS}).filter(bool), min_size=1))
def test_the_samples_satisfy_the_inferred_schema(rows):
    schema = infer_schema(rows, textual=True).schema
    assert BulkValidator(schema).validate(Rows(rows, textual=True)).invalid == []


VALUES = st.sampled_from(
    [
        *(None, True, 0, 1.5, 10**30, "", " ", "x", "2024-01-01", "Jun 12 1998", "01/02/2024", "31.12.2024 10:00"),
        *({}, {"a": None}, [], [1]),
    ]
)


@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "B", "c d", "C_D"]), VALUES, min_size=1), min_size=1), st.booleans()
)
def test_a_draft_of_anything_takes_all_of_it(rows, rename):
    found = infer_schema(rows, textual=False, rename=rename)
    validated = BulkValidator(found.schema, mapping=found.mapping).validate(Rows(rows))
    assert validated.invalid == []
