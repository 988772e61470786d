from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.mailbox.cursor import Position
from tests.unit.web.conftest import lines


def ids(answer):
    return [record["id"] for record in answer.json()["records"]]


def commit(web, cursor, **kwargs):
    return web.post("/consumers/c1/commit", json={"cursor": cursor}, **kwargs)


def test_only_a_commit_moves_a_consumer(web):
    first = web.get("/consumers/c1/records?limit=4")
    assert ids(first) == ids(web.get("/consumers/c1/records?limit=4")) == [0, 1, 2, 3]
    answer = commit(web, first.json()["cursor"])
    assert answer.status_code == 204
    assert answer.content == b""
    second = web.get("/consumers/c1/records?limit=4")
    assert ids(second) == [4, 5, 6, 7]
    assert commit(web, second.json()["cursor"]).status_code == 204
    # An answer that was lost, and a reader that comes late: nothing changes.
    assert commit(web, second.json()["cursor"]).status_code == 204
    assert commit(web, first.json()["cursor"]).status_code == 204
    assert ids(web.get("/consumers/c1/records")) == [8, 9]
    assert ids(web.get("/consumers/c2/records?limit=1")) == [0]


def test_a_cursor_from_before_a_seek_is_stale(web):
    cursor = web.get("/consumers/c1/records?limit=9").json()["cursor"]
    web.mailbox.consumers.seek("c1", Position(2))
    assert commit(web, cursor).status_code == 204
    assert ids(web.get("/consumers/c1/records?limit=1")) == [3]


def test_the_status_tells_cursor_lag_and_last_poll(web):
    assert web.get("/consumers/c1").json() == {"consumer": "c1", "cursor": None, "lag": 10, "last_poll": None}
    cursor = web.get("/consumers/c1/records?limit=4").json()["cursor"]
    commit(web, cursor)
    assert web.get("/consumers/c1").json()["last_poll"] is None
    web.get("/consumers/c1/records?limit=4")
    status = web.get("/consumers/c1")
    assert status.headers["Cache-Control"] == "no-store"
    assert status.json()["lag"] == 6
    assert status.json()["cursor"] == cursor
    assert status.json()["last_poll"] is not None


def test_a_consumer_waits_too(web):
    web.hurry()
    commit(web, web.get("/consumers/c1/records").json()["cursor"])
    assert web.get("/consumers/c1/records?wait=1").status_code == 204
    web.mailbox.publish(lines(10, 11), batch_id="b3")
    assert ids(web.get("/consumers/c1/records?wait=1")) == [10]


@pytest.mark.parametrize("path", ["/consumers/.hidden", "/consumers/a%20b/records", f"/consumers/{'n' * 65}"])
def test_a_name_that_is_none_is_named(web, path):
    answer = web.get(path)
    assert answer.status_code == 400
    assert answer.json()["parameter"] == "name"


def test_a_consumer_has_its_own_cursor_and_takes_none(web):
    answer = web.get("/consumers/c1/records?cursor=abc")
    assert answer.status_code == 400
    assert answer.json()["parameter"] == "cursor"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"cursor": 1}', 400),
        (b'{"cursor": "abc"}', 400),
        (b'{"cursor": "abc", "more": 1}', 400),
        (b"\xff\xfe", 400),
        (b'{"cursor": "' + b"a" * 70_000 + b'"}', 413),
    ],
)
def test_a_commit_that_is_none(web, content, status):
    answer = web.post("/consumers/c1/commit", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_commit_that_comes_in_pieces_is_bounded_too(web):
    def pieces():
        for _ in range(100):
            yield b" " * 1024

    answer = web.post("/consumers/c1/commit", content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_a_commit_of_another_type_is_415(web):
    assert web.post("/consumers/c1/commit", content=b"cursor=a").status_code == 415


def test_a_commit_says_which_methods_there_are(web):
    answer = web.get("/consumers/c1/commit")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "body", [b'{"cursor":"\xff"}', b'{"cursor":"\\ud800"}', b"\xff", b"", b"[", b'{"cursor":"\xc3\xa9"}']
)
def test_a_commit_that_cannot_be_read_is_the_senders_fault(web, body):
    answer = web.post("/consumers/c1/commit", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert web.mailbox.consumers.committed("c1") is None


def test_a_commit_past_the_end_is_refused(web):
    answer = commit(web, web.mailbox.cursor_text(Position(5), 0))
    assert answer.status_code == 400
    assert "none there" in answer.json()["detail"]
    assert commit(web, web.mailbox.cursor_text(Position(4), 0)).status_code == 204


def test_reading_brings_no_consumer_into_being(web):
    assert web.get("/consumers/tried-out/records").status_code == 200
    assert web.mailbox.consumers.names() == []
