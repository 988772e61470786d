from __future__ import annotations

import importlib.util
import json
import math
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from airflow_provider_osmosdest.core.schema import BulkValidator, JsonElements, JsonLines, Rows

# Test folders are no packages (importlib mode), so the shared strategies are loaded by their path.
_spec = importlib.util.spec_from_file_location("schema_strategies", Path(__file__).with_name("strategies.py"))
strategies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(strategies)

BOM = b"\xef\xbb\xbf"
WHITE_SPACE = b" \t\r\n"
slow_to_build = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def parsed(lines):
    return [json.loads(line) for line in lines.splitlines()]


def without_mark(line):
    return line.removeprefix(BOM)


def is_blank(line):
    return not without_mark(line).strip(WHITE_SPACE)


@slow_to_build
@given(st.data())
def test_a_block_of_lines_equals_its_lines_one_by_one_with_the_model(data):
    schema = data.draw(strategies.schemas())
    lines = data.draw(strategies.lines(schema))
    end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    model = schema.to_model()
    good, bad = [], []
    for position, line in enumerate(line for line in lines if not is_blank(line)):
        try:
            good.append(json.loads(model.model_validate_json(without_mark(line)).model_dump_json()))
        except ValidationError:
            bad.append((position, line))
    result = BulkValidator(schema, keep_records=True).validate(JsonLines(end.join(lines)))
    assert result.count == len(good) + len(bad)
    assert parsed(result.lines) == good
    assert [each.position for each in result.invalid] == [position for position, _ in bad]
    assert len(result.records) == len(good)
    for each, (_, line) in zip(result.invalid, bad, strict=True):
        assert each.error
        assert b"\n" not in each.record
        original = json.loads(each.record)
        try:
            expected = json.loads(without_mark(line))
        except (ValueError, RecursionError):
            expected = without_mark(line).strip(WHITE_SPACE).decode(errors="replace")
        same = original == expected or b"NaN" in line or b"Infinity" in line
        assert same or original == without_mark(line).strip(WHITE_SPACE).decode(errors="replace")


@slow_to_build
@given(st.data())
def test_where_a_block_is_cut_changes_nothing(data):
    schema = data.draw(strategies.schemas())
    lines = data.draw(strategies.lines(schema))
    cut = data.draw(st.integers(0, len(lines)))
    validator = BulkValidator(schema)
    whole = validator.validate(JsonLines(b"\n".join(lines)))
    first, second = (validator.validate(JsonLines(b"\n".join(part))) for part in (lines[:cut], lines[cut:]))
    assert whole.count == first.count + second.count
    assert whole.lines == first.lines + second.lines
    shifted = [(first.count + each.position, each.error, each.record) for each in second.invalid]
    assert [(each.position, each.error, each.record) for each in whole.invalid] == [
        *((each.position, each.error, each.record) for each in first.invalid),
        *shifted,
    ]


@slow_to_build
@given(st.data())
def test_lines_elements_and_rows_agree(data):
    schema = data.draw(strategies.schemas())
    records = data.draw(st.lists(strategies.records(schema), max_size=8))
    texts = [json.dumps(record).encode() for record in records]
    validator = BulkValidator(schema)
    lines = validator.validate(JsonLines(b"\n".join(texts)))
    elements = validator.validate(JsonElements(b" ,\n".join(texts)))
    rows = validator.validate(Rows(records))
    assert lines.count == elements.count == rows.count == len(records)
    assert parsed(lines.lines) == parsed(elements.lines) == parsed(rows.lines)
    assert [each.position for each in lines.invalid] == [each.position for each in elements.invalid]
    assert [each.position for each in lines.invalid] == [each.position for each in rows.invalid]


def plain_equal(one, other):
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


@slow_to_build
@given(st.data())
def test_valid_output_is_a_fixed_point(data):
    """What was delivered satisfies the schema and is not altered by validating it again as what it is."""
    schema = data.draw(strategies.schemas())
    records = data.draw(st.lists(strategies.records(schema), max_size=8))
    validator = BulkValidator(schema, keep_records=True)
    first = validator.validate(Rows(records))
    again = validator.validate(JsonLines(first.lines, as_sent=True))
    assert again.invalid == []
    assert again.lines == first.lines
    assert BulkValidator(schema.as_sent()).validate(Rows(first.records)).lines == first.lines


CELLS = strategies.TEXTS | strategies.NUMBERS | strategies.NOT_FINITE | st.none() | st.booleans()
OBJECTS = st.sampled_from([date(2024, 1, 1), datetime(2024, 1, 1), datetime(2024, 1, 1, 5), time(1), Decimal("1.10")])


@slow_to_build
@given(st.data())
def test_cells_come_out_valid_or_invalid_and_never_changed_by_their_neighbours(data):
    schema = data.draw(strategies.schemas())
    columns = [field.source or field.name for field in schema.fields]
    row = st.fixed_dictionaries({}, optional=dict.fromkeys(columns, CELLS | OBJECTS))
    rows = data.draw(st.lists(row, max_size=8))
    validator = BulkValidator(schema)
    whole = validator.validate(Rows(rows, textual=True))
    alone = [validator.validate(Rows([each], textual=True)) for each in rows]
    assert whole.lines == b"".join(each.lines for each in alone)
    assert [each.position for each in whole.invalid] == [n for n, each in enumerate(alone) if each.invalid]
    assert [each.error for each in whole.invalid] == [each.invalid[0].error for each in alone if each.invalid]
    # What a cell becomes satisfies the schema as JSON.
    assert validator.validate(JsonLines(whole.lines, as_sent=True)).lines == whole.lines


@slow_to_build
@given(st.data())
def test_the_json_schema_takes_what_is_delivered(data):
    jsonschema = __import__("jsonschema")
    schema = data.draw(strategies.schemas())
    records = data.draw(st.lists(strategies.records(schema), max_size=8))
    checker = jsonschema.Draft202012Validator(schema.to_json_schema())
    jsonschema.Draft202012Validator.check_schema(schema.to_json_schema())
    for record in parsed(BulkValidator(schema).validate(Rows(records)).lines):
        # An enum of decimals holds texts, one of which may be written otherwise: 1.5 for 1.50.
        decimals = {each.name for each in schema.fields if each.type == "decimal" and each.constraints.enum}
        problems = [error for error in checker.iter_errors(record) if not set(error.path) & decimals]
        assert problems == []
