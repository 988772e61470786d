"""Records of a posted body: all of them, each with its index, whatever its form."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.mailbox.inbox.rejection import RecordsRejection, SizeRejection, UnreadableRejection
from airflow_provider_osmosdest.core.mailbox.inbox.validate import LISTED, Checker
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.schema import DestinationSchema

JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"
SCHEMA = DestinationSchema.load(
    [{"name": "id", "type": "integer", "nullable": False}, {"name": "tags", "type": "array"}]
)


def checker(**options):
    return Checker(MailboxSettings("box", **options))


def taken(media_type, text, **options):
    found = checker(**options).check(media_type, text)
    return [json.loads(line) for line in b"".join(found.lines).splitlines()], found


def rejection(kind, media_type, text, **options):
    with pytest.raises(kind) as caught:
        checker(**options).check(media_type, text)
    return caught.value


@pytest.mark.parametrize(
    ("media_type", "text", "records"),
    [
        (JSON, b'{"id":1}', [{"id": 1}]),
        (JSON, b' [ {"id" : 1 } ,\n{"id":2}\n] ', [{"id": 1}, {"id": 2}]),
        (JSON, b"[]", []),
        (NDJSON, b'{"id":1}\r\n\n{"id":2}', [{"id": 1}, {"id": 2}]),
        (NDJSON, b"", []),
        (CSV, b"id,b\r\n1,x\r\n2,\r\n", [{"id": "1", "b": "x"}, {"id": "2", "b": ""}]),
        (CSV, b"id;b\n1;x", [{"id": "1", "b": "x"}]),
        (CSV, b"id,b\n", []),
        (CSV, b"", []),
    ],
)
def test_every_form(media_type, text, records):
    assert taken(media_type, text)[0] == records


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"5", b"null", b'"text"', b'{"a":1', b"[{}", b"[{},]", b"{} {}", b"{},{}", b"[]]", b"[{}] x", b"nope"],
)
def test_what_is_not_json_is_rejected_whole(text):
    rejection(UnreadableRejection, JSON, text, on_invalid="quarantine")


@pytest.mark.parametrize("text", [b"a,a\n1,2\n", b"a,\n1,2\n", b'a,b\n"1,2', b"a,b\n1", b'{"a":1}', b"a\n\0\n"])
def test_what_is_not_csv_is_rejected_whole(text):
    rejection(UnreadableRejection, CSV, text, on_invalid="quarantine")


@pytest.mark.parametrize(
    ("media_type", "text"),
    [
        (CSV, b"[null, null]"),
        (CSV, b"[]"),
        (CSV, b'[{"a":1},\n{"a":2}'),
        (CSV, b' {"a":1}\n{"a":2}'),
        (NDJSON, b'[{"a":1},{"a":2}]'),
        (NDJSON, b'\n[\n{"a":1},\n{"a":2}\n]'),
    ],
)
def test_what_is_of_another_type_than_it_says_is_rejected_whole(media_type, text):
    rejected = rejection(UnreadableRejection, media_type, text, on_invalid="quarantine")
    assert f"its Content-Type says {media_type}" in str(rejected)


def test_columns_may_have_brackets():
    assert taken(CSV, b"[a],[b]\n1,2\n")[0] == [{"[a]": "1", "[b]": "2"}]


@pytest.mark.parametrize(
    ("media_type", "text"),
    [
        (JSON, b'[{"id":0},{"id":"x"},{"id":1,"id":2},5,{"id":3,"tags":7}]'),
        (NDJSON, b'{"id":0}\n{"id":"x"}\n{"id":1,"id":2}\n5\n{"id":3,"tags":7}\n'),
    ],
)
def test_each_bad_record_is_told_with_index_field_and_reason(media_type, text):
    records, found = taken(media_type, text, schema=SCHEMA)
    assert records == [{"id": 0, "tags": None}]
    assert (found.valid, found.invalid) == (1, 4)
    assert [(each["index"], each["field"]) for each in found.errors] == [(1, "id"), (2, "id"), (3, None), (4, "tags")]
    assert found.errors[1]["reason"] == "the key 'id' is there more than once"
    assert found.failures == []


def test_a_line_that_is_not_json_costs_itself_only():
    records, found = taken(NDJSON, b'{"a":1\n"b":2}\n{"c":3}\n{"d":NaN}\n')
    assert records == [{"c": 3}]
    assert [each["index"] for each in found.errors] == [0, 1, 3]


def test_cells_that_hold_json_are_looked_into():
    text = b'id,tags\n1,"[1]"\n2,"[{""a"":1,""a"":2}]"\n3,' + b"[" * 40 + b"]" * 40 + b'\n4,"[NaN]"\nx,\n5,6,7\n'
    records, found = taken(CSV, text, schema=SCHEMA)
    assert records == [{"id": 1, "tags": [1]}]
    assert [(each["index"], each["field"]) for each in found.errors] == [
        *((number, "tags") for number in (1, 2, 3)),
        (4, "id"),
        (5, None),
    ]


def test_a_table_may_be_too_wide():
    _, found = taken(CSV, b"a,b,c\n1,2,3\n", max_fields=2)
    assert found.errors == [
        {"index": 0, "field": None, "reason": "the record has 3 fields, more than the 2 that are taken"}
    ]


def test_no_more_than_so_many_are_listed_but_all_are_counted():
    _, found = taken(NDJSON, b"5\n" * (LISTED + 50))
    assert (found.invalid, len(found.errors)) == (LISTED + 50, LISTED)
    assert [each["index"] for each in found.errors] == list(range(LISTED))


def test_a_reason_has_an_end():
    schema = DestinationSchema.load([{"name": "f" * 3000, "type": "integer"}])
    _, found = taken(JSON, json.dumps({"f" * 3000: "x"}).encode(), schema=schema)
    assert len(found.errors[0]["reason"]) == 1000


@pytest.mark.parametrize("media_type", [JSON, NDJSON, CSV])
def test_too_many_records_are_rejected(media_type):
    text = {JSON: b"[{},{},{}]", NDJSON: b"{}\n{}\n{}\n", CSV: b"a\n1\n2\n3\n"}[media_type]
    assert taken(media_type, text, max_body_records=3)[1].valid == 3
    assert rejection(SizeRejection, media_type, text, max_body_records=2).limit == 2


@pytest.mark.parametrize("deep", [b"[" * 5000 + b"]" * 5000, b"[" * 5000])
def test_a_body_too_deep_to_be_cut_is_rejected_with_the_record(deep):
    rejected = rejection(RecordsRejection, JSON, b'[{"a":"]["},{"a":' + deep + b"}]", on_invalid="quarantine")
    assert rejected.invalid == 1
    assert rejected.errors == [{"index": 1, "field": None, "reason": "the record is nested more than 32 deep"}]


def test_few_bytes_cannot_become_very_many():
    schema = DestinationSchema.load([{"name": f"field_{n}", "type": "string"} for n in range(100)])
    body = b"[" + b",".join([b"{}"] * 500) + b"]"
    assert rejection(SizeRejection, JSON, body, schema=schema, max_body_bytes=2000).limit == 16_000
    _, found = taken(JSON, b"[{},{}]", schema=schema, max_body_bytes=2000)
    assert found.valid == 2


def test_bad_records_are_kept_as_failure_records():
    _, found = taken(NDJSON, b'{"id":1}\n{"id":"x"}\nnope\n', schema=SCHEMA, on_invalid="quarantine")
    kept = [json.loads(line) for line in found.failures]
    assert [(each["index"], each["outcome"], each["record"]) for each in kept] == [
        (1, "invalid", {"id": "x"}),
        (2, "invalid", "nope"),
    ]
    assert all(line.endswith(b"}\n") and "textual" not in json.loads(line) for line in found.failures)


def test_bad_rows_are_kept_as_text():
    _, found = taken(CSV, b"id\nx\n1,2\n", schema=SCHEMA, on_invalid="quarantine")
    kept = [json.loads(line) for line in found.failures]
    assert [(each["record"], each["textual"]) for each in kept] == [({"id": "x"}, True), (["1", "2"], True)]


good = st.integers(0, 9).map(lambda number: (f'{{"id":{number}}}', {"id": number, "tags": None}))
bad = st.sampled_from(['{"id":"x"}', '{"id":1,"id":2}', "7", '{"id":null}', "{}", '{"id":1,"tags":{}}'])
mixed = st.lists(good | bad.map(lambda text: (text, None)), max_size=30)


@given(mixed, st.sampled_from([JSON, NDJSON]), st.sampled_from([1, 40, 100_000]))
@settings(deadline=None)
def test_every_record_comes_out_once_and_in_order(
    records,
    media_type,
    block,
):
    from airflow_provider_osmosdest.core.mailbox.inbox import parse

    texts = [text for text, _ in records]
    body = f"[{','.join(texts)}]" if media_type == JSON else "\n".join(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parse, "BLOCK_BYTES", block)
        found_records, found = taken(media_type, body.encode(), schema=SCHEMA, on_invalid="quarantine")
    assert found_records == [record for _, record in records if record is not None]
    wrong = [index for index, (_, record) in enumerate(records) if record is None]
    assert [json.loads(line)["index"] for line in found.failures] == wrong
    assert [each["index"] for each in found.errors] == wrong[:LISTED]


@given(st.lists(st.fixed_dictionaries({"a": st.text(min_size=1), "b": st.text()}), min_size=1))
@settings(deadline=None)
def test_tables_come_out_as_they_were_written(rows):
    rows = [{name: value.replace("\0", "") or "x" for name, value in row.items()} for row in rows]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["a", "b"])
    writer.writeheader()
    writer.writerows(rows)
    assert taken(CSV, table.getvalue().encode("utf-8", "replace"))[0] == [
        {name: value.encode("utf-8", "replace").decode() for name, value in row.items()} for row in rows
    ]


FILMS = DestinationSchema.load(
    [
        {"name": "title", "source": "Title", "coerce": "to_string", "nullable": False},
        {"name": "released", "type": "date", "format": "%b %d %Y"},
        {"name": "more", "type": "object", "source": "More", "default": {}, "nullable": False},
    ]
)


@pytest.mark.parametrize(
    ("media_type", "text"),
    [
        (JSON, b'[{"Title":300,"released":"Mar 09 2007"},{"title":"x"}]'),
        (NDJSON, b'{"Title":300,"released":"Mar 09 2007"}\n{"title":"x"}\n'),
        (CSV, b"Title,released,More\n300,Mar 09 2007,\n,,\n"),
    ],
)
def test_a_partners_records_are_read_as_the_schema_says(media_type, text):
    _, found = taken(media_type, text, schema=FILMS)
    assert b"".join(found.lines) == b'{"title":"300","released":"2007-03-09","more":{}}\n'
    assert [(each["index"], each["field"]) for each in found.errors] == [(1, "title")]


def test_a_cell_is_too_deep_under_the_name_of_its_column():
    _, found = taken(CSV, b'Title,More\nx,"{""a"":[[[]]]}"\n', schema=FILMS, max_depth=3)
    assert [(each["index"], each["field"]) for each in found.errors] == [(0, "more")]
