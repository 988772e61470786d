from __future__ import annotations

import json

from airflow_provider_osmosdest.core.delivery.ledger.first_failures import FIRST, first_failures


def write(folder, name, *failures):
    lines = []
    for failure in failures:
        whole = {"outcome": "rejected", "status": 422, "error": "422: no", "attempts": 1, "record": {}, **failure}
        lines.append(json.dumps({"index": whole.pop("index"), **whole}, separators=(",", ":")))
    (folder / name).write_text("".join(f"{line}\n" for line in lines))


def test_the_smallest_indexes_of_all_parts_in_order(tmp_path):
    write(tmp_path, "failures-00000.ndjson", *({"index": index} for index in (400, 3, 90)))
    write(tmp_path, "failures-open-00000.ndjson", *({"index": index} for index in range(5, 50)))
    found = first_failures(tmp_path, str(tmp_path / "failures-*.ndjson"))
    assert [each.index for each in found] == [3, *range(5, 14)]
    assert len(found) == FIRST
    assert first_failures(tmp_path, None) == ()


def test_a_record_is_named_by_its_key_in_the_names_of_the_source(tmp_path):
    write(
        tmp_path,
        "failures-00000.ndjson",
        {"index": 0, "outcome": "invalid", "status": None, "error": "id: no", "record": {"Order No": "x", "id": "y"}},
        {"index": 1, "record": {"id": 7, "region": {"a": 1}}},
        {"index": 2, "record": {"id": "long " * 100}},
        {"index": 3, "record": '{"id": torn'},
    )
    keys = {"key_fields": ("id", "region"), "mapping": {"id": "Order No"}}
    first, second, third, fourth = first_failures(tmp_path, "/f/failures-00000.ndjson", **keys)
    assert (first.key, first.status) == ({"id": "x"}, None)
    assert second.key == {"id": 7, "region": '{"a": 1}'}
    assert len(third.key["id"]) == 80
    assert fourth.key == {}


def test_secrets_are_taken_out_and_errors_are_bounded(tmp_path):
    write(tmp_path, "failures-00000.ndjson", {"index": 0, "error": "sesame " * 1000, "record": {"id": "sesame"}})
    (found,) = first_failures(
        tmp_path, "/f/failures-00000.ndjson", key_fields=("id",), redact=lambda text: text.replace("sesame", "***")
    )
    assert found.key == {"id": "***"}
    assert "sesame" not in found.error
    assert len(found.error) == 500


def test_where_a_record_failed_first_is_what_is_told(tmp_path):
    write(tmp_path, "failures-00000.ndjson", {"index": 0, "first_index": 17, "first_error": "no"})
    assert first_failures(tmp_path, "/f/failures-00000.ndjson")[0].index == 17


def test_a_file_that_cannot_be_read_costs_only_these_lines(tmp_path):
    (tmp_path / "failures-00000.ndjson").write_text("no failure record\n")
    assert first_failures(tmp_path, "/f/failures-00000.ndjson") == ()
    assert first_failures(tmp_path, "/f/failures-00001.ndjson") == ()
