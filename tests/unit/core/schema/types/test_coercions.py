"""What each type makes of a value, told with its Python type, and how it refuses the others, word for word."""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from pydantic_core import PydanticCustomError

from airflow_provider_osmosdest.core.schema.fields import Field
from airflow_provider_osmosdest.core.schema.types.coercions import coerce
from airflow_provider_osmosdest.core.schema.types.number_text import PLAIN, NumberFormat
from airflow_provider_osmosdest.core.schema.types.reading import reading_of


def from_cell(type_, missing=(), written=PLAIN):
    return reading_of(Field("a", type_, written=written), textual=True, missing_values=missing).coercion(type_)


NO_DOUBLE = "a number that a double holds exactly; give the field the type decimal"
NO_WHOLE = "a valid integer, without a fractional part and known exactly"
NO_BOOLEAN = "a valid boolean: true/false, yes/no, t/f, y/n or 1/0"
NO_DATE = "a valid date in the form YYYY-MM-DD"
NO_TIME = "a valid ISO 8601 time, to the microsecond at most, such as 13:45:00"
NO_DATETIME = "a valid ISO 8601 datetime, to the microsecond at most, such as 2024-05-31T13:45:00Z"


class NotATime(datetime):
    """As pandas' NaT: of the type, and equal to nothing."""

    def __eq__(self, other):
        return False

    __hash__ = datetime.__hash__


NAT = NotATime(2024, 5, 31)


def outcome(convert, value):
    """Return what is made of a value, with its type, or the error's kind and text."""
    try:
        found = convert(value)
    except PydanticCustomError as error:
        return error.type, error.message()
    return found, type(found)


def refused(type_, expected):
    return f"{type_}_value", f"Input should be {expected}"


@pytest.mark.parametrize(
    ("type_", "value", "made"),
    [
        ("string", "x", "x"),
        ("integer", 5, 5),
        ("integer", 5.0, 5),
        ("integer", -(2.0**53) + 1, -(2**53) + 1),
        ("integer", Decimal("5.00"), 5),
        ("integer", Decimal("1E+4299"), 10**4299),
        ("integer", "-5.00", -5),
        ("integer", "+5", 5),
        ("integer", "9" * 4300, int("9" * 4300)),
        ("number", 5, 5),
        ("number", 10**400, 10**400),
        ("number", 5.5, 5.5),
        ("number", "5", 5),
        ("number", "5.0", 5.0),
        ("number", "-.5e1", -5.0),
        ("number", "9" * 4300, int("9" * 4300)),
        ("number", Decimal("0.1"), 0.1),
        ("decimal", 5, Decimal(5)),
        ("decimal", 0.1, Decimal("0.1")),
        ("decimal", "0.10", Decimal("0.10")),
        ("decimal", Decimal("0.10"), Decimal("0.10")),
        ("boolean", True, True),
        ("boolean", False, False),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("date", date(2024, 5, 31), date(2024, 5, 31)),
        ("date", datetime(2024, 5, 31), date(2024, 5, 31)),
        ("time", time(13, 45), time(13, 45)),
        ("datetime", datetime(2024, 5, 31, 13, 45, tzinfo=UTC), datetime(2024, 5, 31, 13, 45, tzinfo=UTC)),
        ("datetime", date(2024, 5, 31), datetime(2024, 5, 31)),
        ("object", OrderedDict(a=(1,)), {"a": [1]}),
        ("array", (1, 2), [1, 2]),
        ("array", [1, 2], [1, 2]),
    ],
)
def test_what_is_made_of_a_typed_value(type_, value, made):
    assert outcome(coerce(type_), value) == (made, type(made))


def test_a_subclass_of_a_number_becomes_the_number():
    class Count(int):
        pass

    class Share(float):
        pass

    assert [type(coerce(type_)(Count(5))) for type_ in ("integer", "number")] == [int, int]
    assert type(coerce("number")(Share(0.5))) is float
    assert outcome(coerce("decimal"), Share(0.5)) == (Decimal("0.5"), Decimal)


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("string", 5, "a valid string"),
        ("integer", True, "a valid integer"),
        ("integer", "5.5", "a valid integer"),
        ("integer", "five", "a valid integer"),
        ("integer", "9" * 4301, "a valid integer"),
        ("integer", [], "a valid integer"),
        ("integer", 5.5, NO_WHOLE),
        ("integer", 2.0**53, NO_WHOLE),
        ("integer", -(2.0**53), NO_WHOLE),
        ("integer", math.nan, NO_WHOLE),
        ("integer", Decimal("5.5"), NO_WHOLE),
        ("integer", Decimal("NaN"), NO_WHOLE),
        ("integer", Decimal("Infinity"), NO_WHOLE),
        ("integer", Decimal("1E+4300"), NO_WHOLE),
        ("number", True, "a valid number"),
        ("number", "five", "a valid number"),
        ("number", "9" * 4301, "a valid number"),
        ("number", [], "a valid number"),
        ("number", Decimal("NaN"), "a valid number"),
        ("number", Decimal("0.1000000000000000000000001"), NO_DOUBLE),
        ("number", Decimal("1E+400"), NO_DOUBLE),
        ("number", math.inf, "a finite number"),
        ("number", "1e999", "a finite number"),
        ("decimal", True, "a valid decimal"),
        ("decimal", "five", "a valid decimal"),
        ("decimal", [], "a valid decimal"),
        ("decimal", "1e9999999999999999999", "a decimal with a smaller exponent"),
        ("decimal", math.nan, "a finite decimal"),
        ("decimal", Decimal("Infinity"), "a finite decimal"),
        ("boolean", "True", "a valid boolean, true or false"),
        ("boolean", 1, "a valid boolean, true or false"),
        ("boolean", ["true"], "a valid boolean, true or false"),
        ("date", datetime(2024, 5, 31, 0, 0, 1), "a date without a time of day"),
        ("date", datetime(2024, 5, 31, tzinfo=UTC), "a date without a time of day"),
        ("date", NAT, "a date without a time of day"),
        ("date", "31.05.2024", NO_DATE),
        ("time", "soon", NO_TIME),
        ("datetime", "soon", NO_DATETIME),
        ("datetime", NAT, NO_DATETIME),
        ("object", [], "a valid JSON object"),
        ("array", {}, "a valid JSON array"),
        ("array", "[]", "a valid JSON array"),
    ],
)
def test_how_a_typed_value_is_refused(type_, value, expected):
    assert outcome(coerce(type_), value) == refused(type_, expected)


@pytest.mark.parametrize(
    ("type_", "value", "made"),
    [
        ("string", " x ", "x"),
        ("string", True, "true"),
        ("string", False, "false"),
        ("string", 5, "5"),
        ("string", 5.0, "5"),
        ("string", 5.5, "5.5"),
        ("string", 2.0**53 - 1, "9007199254740991"),
        ("string", 2.0**53, "9007199254740992.0"),
        ("string", -(2.0**53), "-9007199254740992.0"),
        ("string", Decimal("5.50"), "5.50"),
        ("string", date(2024, 5, 31), "2024-05-31"),
        ("string", time(13, 45), "13:45:00"),
        ("integer", " 5 ", 5),
        ("integer", 5.0, 5),
        ("boolean", "YES", True),
        ("boolean", "t", True),
        ("boolean", "Y", True),
        ("boolean", "1", True),
        ("boolean", "no", False),
        ("boolean", "False", False),
        ("boolean", "f", False),
        ("boolean", "n", False),
        ("boolean", "0", False),
        ("boolean", True, True),
        ("boolean", 1, True),
        ("boolean", 0.0, False),
        ("date", "2024-05-31T00:00:00.000", date(2024, 5, 31)),
        ("date", "2024-05-31 00:00", date(2024, 5, 31)),
        ("date", date(2024, 5, 31), date(2024, 5, 31)),
        ("object", ' {"a": 1}', {"a": 1}),
        ("object", {"a": 1}, {"a": 1}),
        ("array", "[1, 2]", [1, 2]),
        ("array", (1, 2), [1, 2]),
    ],
)
def test_what_is_made_of_a_cell(type_, value, made):
    assert outcome(from_cell(type_, ("", "NA")), value) == (made, type(made))


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("string", math.nan, "a valid string"),
        ("string", math.inf, "a valid string"),
        ("string", [], "a valid string"),
        ("string", NAT, "a valid string"),
        ("string", 1 << 12_899, "a valid string"),
        ("boolean", "maybe", NO_BOOLEAN),
        ("boolean", 2, NO_BOOLEAN),
        ("boolean", [], NO_BOOLEAN),
        ("date", "2024-05-31T00:01", NO_DATE),
        ("date", "2024-02-30T00:00", NO_DATE),
        ("date", 5, NO_DATE),
        ("object", "[]", "a valid JSON object"),
        ("array", "{}", "a valid JSON array"),
    ],
)
def test_how_a_cell_is_refused(type_, value, expected):
    assert outcome(from_cell(type_, ("", "NA")), value) == refused(type_, expected)


def test_an_integer_of_a_cell_is_written_as_far_as_python_writes_it():
    widest = (1 << 12_899) - 1
    assert from_cell("string")(widest) == str(widest)


@pytest.mark.parametrize(
    ("type_", "text", "expected"),
    [
        ("object", "{", "the text of a JSON object: EOF while parsing an object at line 1 column 1"),
        ("array", "[", "the text of a JSON array: EOF while parsing a list at line 1 column 1"),
        ("array", "[NaN]", "the text of a JSON array: expected value at line 1 column 2"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(type_, text, expected):
    found = outcome(from_cell(type_), text)
    assert found == ("json_text", f"Input should be {expected}")


@pytest.mark.parametrize("value", ["NA", " NA ", "", " "])
def test_a_missing_value_is_refused_where_null_is_not_allowed(value):
    assert outcome(from_cell("integer", ("", "NA")), value) == (
        "missing_value",
        "Input is blank or a missing value, and the schema does not allow null",
    )


def test_a_number_is_read_as_it_is_written():
    convert = from_cell("number", ("-",), NumberFormat(decimal_char=",", group_char="."))
    assert convert(" 1.234,5 ") == 1234.5
    assert convert(7) == 7
    assert outcome(convert, "-")[0] == "missing_value"
