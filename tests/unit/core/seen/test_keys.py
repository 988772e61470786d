from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema, Rows
from airflow_provider_osmosdest.core.seen.keys import KEY_BYTES, RecordKeys, key_fields
from airflow_provider_osmosdest.core.seen.paths import fields_of_scope, scope_of_endpoint, scope_of_keys

SCHEMA = DestinationSchema.load(
    [{"name": "id", "type": "integer"}, {"name": "name", "type": "string"}, {"name": "more", "type": "object"}]
)
CLOSED = DestinationSchema.load([{"name": "id", "type": "integer"}, {"name": "name", "type": "string"}])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def keys(schema, rows, *fields):
    validated = BulkValidator(schema).validate(Rows(rows))
    assert not validated.invalid
    return RecordKeys(schema, fields).of(validated.lines)


def test_no_records_have_no_keys():
    assert RecordKeys(CLOSED).of(b"") == []
    assert RecordKeys(CLOSED, ["id"]).of(b"") == []


def test_a_key_is_the_hash_of_the_line_and_the_same_on_every_machine():
    (key,) = keys(CLOSED, [{"id": 1, "name": "é"}])
    assert len(key) == KEY_BYTES
    assert key == blake2b('{"id":1,"name":"é"}\n'.encode(), digest_size=16).digest()


@given(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from("abc")), max_size=20))
def test_whole_records_are_equal_where_their_content_is(rows):
    found = keys(CLOSED, [{"id": number, "name": name} for number, name in rows])
    assert len(found) == len(rows)
    for one, key in zip(rows, found, strict=True):
        for other, other_key in zip(rows, found, strict=True):
            assert (one == other) is (key == other_key)


@given(st.dictionaries(st.text(), JSON, max_size=5), st.randoms())
def test_the_order_of_an_objects_keys_does_not_count(record, rng):
    names = list(record)
    rng.shuffle(names)
    one, other = keys(DestinationSchema.any_object(), [record, {name: record[name] for name in names}])
    assert one == other
    turned = {name: record[name] for name in names}
    assert keys(SCHEMA, [{"id": 1, "more": record}]) == keys(SCHEMA, [{"id": 1, "more": turned}])


def test_numbers_beyond_64_bits_have_keys():
    one, other = keys(DestinationSchema.any_object(), [{"n": 10**30}, {"n": 10**30 + 1}])
    assert one != other


def test_by_fields_nothing_else_counts():
    one, edited, other = keys(CLOSED, [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}, {"id": 2, "name": "a"}], "id")
    assert one == edited != other
    both = keys(CLOSED, [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}, {"id": 1, "name": "a"}], "id", "name")
    assert both[0] == both[2] != both[1]


def test_values_of_two_fields_are_not_run_together():
    schema = DestinationSchema.load([{"name": "a", "type": "string"}, {"name": "b", "type": "string"}])
    one, other = keys(schema, [{"a": 'x","y', "b": "z"}, {"a": "x", "b": 'y","z'}], "a", "b")
    assert one != other


def test_a_text_is_not_the_number_it_shows():
    one, other = keys(DestinationSchema.any_object(), [{"id": "1"}, {"id": 1}], "id")
    assert one != other


@pytest.mark.parametrize("schema", [SCHEMA, CLOSED, DestinationSchema.any_object()])
def test_records_without_a_key_are_known_by_their_content(schema):
    rows = [{"name": "a"}, {"name": "b"}, {"id": None, "name": "c"}, {"id": 1, "name": "d"}, {"id": 1, "name": "e"}]
    found = keys(schema, rows, "id")
    assert len(set(found)) == 4
    assert found[3] == found[4]
    assert found[:3] == keys(schema, rows)[:3]


def test_a_key_has_to_be_a_field_of_the_schema():
    with pytest.raises(OptionsError, match="record_key: found 'nr', expected a field of the schema: id, name"):
        RecordKeys(CLOSED, ["id", "nr"])
    RecordKeys(DestinationSchema.any_object(), ["nr"])


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (None, ()),
        ("id", ("id",)),
        ("id, id", ("id",)),
        (" id , day ", ("id", "day")),
        (["id", "day"], ("id", "day")),
        ('["id", "the, day"]', ("id", "the, day")),
    ],
)
def test_a_record_key_is_a_name_or_several(value, fields):
    assert key_fields(value) == fields


@pytest.mark.parametrize("value", ["", "id,,day", [""], [1], 7, '["id"', {"id": 1}, "[1]"])
def test_a_record_key_that_is_none(value):
    with pytest.raises(OptionsError, match=r"record_key: found .*, expected the name of a field, or a list of names"):
        key_fields(value)


@given(st.lists(st.text(min_size=1), max_size=3))
def test_each_key_has_a_folder_of_its_own(fields):
    name = scope_of_keys(fields)
    assert fields_of_scope(name) == tuple(fields)
    assert "/" not in name


def test_other_folders_are_no_keys_and_slashes_make_no_endpoint():
    assert fields_of_scope("files") is None
    assert {scope_of_endpoint(each) for each in ("a/b", "/a/b", "a/b/")} == {"/a/b"}
    assert scope_of_endpoint("") == scope_of_endpoint("/") == "/"


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("fields", [(), ("price",)])
def test_decimals_that_are_numbers_are_told_apart_by_all_their_digits(free, fields):
    price = {"name": "price", "type": "decimal", "write_as": "number"}
    schema = DestinationSchema.load({"fields": [price], "unknown_fields": "keep" if free else "drop"})
    long = "0.1234567890123456789"
    found = keys(schema, [{"price": long + "1"}, {"price": long + "2"}, {"price": long + "1"}], *fields)
    assert found[0] == found[2] != found[1]
