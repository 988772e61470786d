from __future__ import annotations

import gzip
import json
import threading

import pytest
from zstandard import ZstdDecompressor

from tests.unit.web.conftest import lines

UNPACK = {"identity": bytes, "gzip": gzip.decompress, "zstd": lambda packed: ZstdDecompressor().decompress(packed)}


def ids(answer):
    return [record["id"] for record in answer.json()["records"]]


def test_all_records_in_order_page_by_page(web):
    found, query = [], ""
    while True:
        answer = web.get(f"/records?limit=4{query}")
        assert answer.status_code == 200
        found += ids(answer)
        document = answer.json()
        assert answer.headers["Mailbox-Next-Cursor"] == document["cursor"]
        assert answer.headers["Mailbox-Up-To-Date"] == json.dumps(document["up_to_date"])
        query = f"&cursor={document['cursor']}"
        if document["up_to_date"]:
            break
    assert found == list(range(10))


def test_reading_moves_nothing(web):
    assert web.get("/records?limit=2").content == web.get("/records?limit=2").content


def test_ndjson_and_csv_carry_the_cursor_in_a_header(web):
    answer = web.get("/records?limit=2", Accept="application/x-ndjson")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.content == b"".join(lines(0, 2))
    after = answer.headers["Mailbox-Next-Cursor"]
    answer = web.get(f"/records?limit=2&cursor={after}", Accept="text/csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.text == "id,name\r\n2,n2\r\n3,n3\r\n"
    assert answer.headers["Mailbox-Up-To-Date"] == "false"


def test_a_mailbox_without_a_schema_has_no_csv(make_web):
    answer = make_web(schema=None).get("/records", Accept="text/csv")
    assert answer.status_code == 406
    assert answer.json()["available"] == ["application/json", "application/x-ndjson"]


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson", "text/csv"])
def test_each_coding_has_an_etag_of_its_own_bytes(web, accept):
    etags = set()
    plain = web.raw("/records", Accept=accept, Accept_Encoding="identity")[1]
    for coding, unpack in UNPACK.items():
        answer, packed = web.raw("/records", Accept=accept, Accept_Encoding=coding)
        assert answer.headers.get("Content-Encoding", "identity") == coding
        assert answer.headers["Content-Length"] == str(len(packed))
        assert unpack(packed) == plain
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"
        assert answer.headers["Cache-Control"] == "private, no-cache"
        etag = answer.headers["ETag"]
        assert etag.startswith('"')
        again, nothing = web.raw("/records", Accept=accept, Accept_Encoding=coding, If_None_Match=f'W/"x", {etag}')
        assert (again.status_code, nothing) == (304, b"")
        assert again.headers["ETag"] == etag
        assert again.headers["Mailbox-Next-Cursor"] == answer.headers["Mailbox-Next-Cursor"]
        other, _ = web.raw("/records", Accept=accept, Accept_Encoding=coding, If_None_Match=", ".join(etags) or '"x"')
        assert other.status_code == 200
        etags.add(etag)
    assert len(etags) == 3


def test_an_etag_changes_when_something_is_published(web):
    etag = web.get("/records").headers["ETag"]
    web.mailbox.publish(lines(10, 11), batch_id="b3")
    assert web.get("/records", If_None_Match=etag).status_code == 200


def test_head_is_get_without_the_body(web):
    got = web.get("/records?limit=2")
    head = web.get("/records?limit=2", method="HEAD")
    assert head.content == b""
    assert head.headers == got.headers


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=5001", "limit"),
        ("limit=5&limit=5", "limit"),
        ("wait=31", "wait"),
        ("wait=1.5", "wait"),
        ("cursor=abc", "cursor"),
        ("cursor=", "cursor"),
        ("offset=3", "offset"),
    ],
)
def test_a_bad_parameter_is_named(web, query, parameter):
    answer = web.get(f"/records?{query}")
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["parameter"] == parameter
    assert answer.json()["detail"].startswith(f"{parameter}: ")


def test_an_expired_cursor_is_410_with_the_earliest(web):
    cursor = web.get("/records?limit=2").json()["cursor"]
    web.mailbox.store.put("earliest.json", b'{"seq": 3, "delete_below": 0, "at": "2026-01-01T00:00:00+00:00"}')
    web.mailbox.store.delete(["log/00000000000000000001.json", "log/00000000000000000002.json"])
    web.mailbox.log.__init__(web.mailbox.store)
    answer = web.get(f"/records?cursor={cursor}")
    assert answer.status_code == 410
    assert ids(web.get(f"/records?cursor={answer.json()['earliest']}")) == [5, 6, 7, 8, 9]


def test_nothing_new_is_an_empty_page_at_once_and_204_after_a_wait(web):
    web.hurry()
    cursor = web.get("/records").json()["cursor"]
    answer = web.get(f"/records?cursor={cursor}")
    assert answer.json() == {"records": [], "cursor": cursor, "up_to_date": True}
    answer = web.get(f"/records?cursor={cursor}&wait=1")
    assert answer.status_code == 204
    assert answer.content == b""
    assert answer.headers["Mailbox-Next-Cursor"] == cursor
    assert answer.headers["Mailbox-Up-To-Date"] == "true"
    assert len(web.state.waiting) == 0


def test_a_wait_ends_when_something_comes(web):
    web.hurry()
    cursor = web.get("/records").json()["cursor"]
    publishing = threading.Timer(0.1, web.mailbox.publish, [lines(10, 12)], {"batch_id": "b3"})
    publishing.start()
    answer = web.get(f"/records?cursor={cursor}&wait=30")
    publishing.join()
    assert answer.status_code == 200
    assert ids(answer) == [10, 11]


def test_a_store_that_fails_is_503_without_a_word_of_it(web, monkeypatch, caplog):
    from airflow_provider_osmosdest.core.errors import StorageError

    def fail(*_, **__):
        raise StorageError("/secret/place: disk on fire")

    monkeypatch.setattr(web.mailbox, "read", fail)
    answer = web.get("/records")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "secret" not in answer.text
    assert "disk on fire" in caplog.text


def test_an_unexpected_error_is_500_without_a_word_of_it(web, monkeypatch, caplog):
    monkeypatch.setattr(web.mailbox, "read", lambda *_, **__: 1 / 0)
    answer = web.get("/records")
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "division" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_a_wait_ends_with_204_when_the_server_does(web):
    cursor = web.get("/records").json()["cursor"]
    web.state.waiting.end()
    answer = web.get(f"/records?cursor={cursor}&wait=30")
    assert (answer.status_code, answer.headers["Mailbox-Next-Cursor"]) == (204, cursor)
    # What is there is still handed out.
    assert len(web.get("/records?wait=30").json()["records"]) == 10
