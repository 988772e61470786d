from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.web.formats import csv_columns, formats_of, to_csv, to_json

FIELDS = [{"name": "id", "type": "integer"}, {"name": "a,b", "type": "string"}, {"name": "x", "type": "object"}]
DROPS, KEEPS = (DestinationSchema.load({"fields": FIELDS, "unknown_fields": each}) for each in ("drop", "keep"))

values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
nested = st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3)
records = st.lists(st.dictionaries(st.text(), values | nested, max_size=3), max_size=4)


def ndjson(items):
    return b"".join(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for item in items)


def surrogate_free(items):
    try:
        ndjson(items)
    except UnicodeEncodeError:
        return False
    return True


@given(records.filter(surrogate_free), st.booleans())
def test_json_holds_the_records_as_they_are(items, up_to_date):
    document = json.loads(to_json(ndjson(items), "c-_1", up_to_date=up_to_date))
    assert document == {"records": items, "cursor": "c-_1", "up_to_date": up_to_date}


@given(st.lists(st.fixed_dictionaries({"id": st.integers(), "a,b": st.none() | st.text(), "x": st.none()})))
def test_csv_reads_back(items):
    if not surrogate_free(items):
        return
    text = to_csv(ndjson(items), DROPS).decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == ["id", "a,b", "x"]
    assert rows == [[str(item["id"]), item["a,b"] or "", ""] for item in items]


def test_csv_tells_null_from_empty_and_leaves_numbers_and_formulas_alone():
    lines = (
        b'{"id":1234567890123456789012345.10,"a,b":"","x":{"k":[1,"\xc3\xa4"]}}\n'
        b'{"id":null,"a,b":"=1+1"}\n'
        b'{"id":true,"a,b":"two\\nlines \\"q\\"","x":null}\n'
    )
    assert to_csv(lines, DROPS).decode() == (
        'id,"a,b",x\r\n1234567890123456789012345.10,"","{""k"":[1,""ä""]}"\r\n,=1+1,\r\ntrue,"two\nlines ""q""",\r\n'
    )


def test_csv_of_no_records_is_its_header():
    assert to_csv(b"", DROPS) == b'id,"a,b",x\r\n'


def test_what_a_schema_keeps_beside_its_fields_is_not_lost_in_csv():
    assert csv_columns(KEEPS)[-1] == "unknown_fields"
    lines = b'{"id":1,"more":[1,2]}\n{"id":2}\n'
    assert to_csv(lines, KEEPS) == b'id,"a,b",x,unknown_fields\r\n1,,,"{""more"":[1,2]}"\r\n2,,,\r\n'


def test_the_column_for_the_rest_takes_no_fields_name():
    fields = [{"name": "unknown_fields", "type": "string"}]
    assert csv_columns(DestinationSchema.load({"fields": fields, "unknown_fields": "keep"})) == [
        "unknown_fields",
        "unknown_fields_",
    ]


def test_without_a_schema_there_are_no_columns():
    assert "text/csv" not in formats_of(None)
    assert "text/csv" in formats_of(DROPS)
