"""Which tokens open a mailbox; and that a 401 reveals nothing, by its response or by its time."""

from __future__ import annotations

import hmac

import pytest
from fastapi.routing import APIRoute

from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.tokens import new_token
from airflow_provider_osmosdest.web import auth
from airflow_provider_osmosdest.web.rate_limits import Failures
from tests.unit.web.conftest import EXPIRED, OTHER, READ, SCHEMA, WRITE

WRONG = {
    "none": None,
    "empty": "",
    "malformed": "letmein",
    "not ascii": "ä",
    "wrong": new_token("read"),
    "expired": EXPIRED,
    "of another mailbox": OTHER,
    "almost right": READ[:-1] + ("0" if READ[-1] != "0" else "1"),
    "twice": f"{READ}, Bearer {READ}",
}


def attempts(web):
    """Yield every failed attempt as a name, a mailbox and headers."""
    for box in ("box", "no-such-mailbox", "..", "a" * 300):
        for name, token in WRONG.items():
            headers = {} if token is None else {"Authorization": b"Bearer " + token.encode()}
            yield f"{name} token for {box}", box, headers
    yield "another scheme", "box", {"Authorization": f"Basic {READ}"}
    yield "a good token for no mailbox", "no-such-mailbox", {"Authorization": f"Bearer {READ}"}


def test_every_401_is_the_same_answer(web):
    answers = {}
    for name, box, headers in attempts(web):
        if box == "..":
            continue
        answer = web.client.get(f"/v1/mailboxes/{box}/records", headers=headers)
        answers[name] = (answer.status_code, answer.content, sorted(answer.headers.items()))
    assert len({str(each) for each in answers.values()}) == 1
    status, _, headers = next(iter(answers.values()))
    assert status == 401
    assert dict(headers)["www-authenticate"] == "Bearer"
    assert dict(headers)["content-type"] == "application/problem+json"


def test_every_401_is_the_same_work(web, monkeypatch):
    """Counted, not timed: as many digests are compared for each, and each answer is held until the same moment."""
    compared, held = [], []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(1) or compare(a, b))

    async def sleep(seconds):
        held.append(seconds)

    monkeypatch.setattr(auth.asyncio, "sleep", sleep)
    monkeypatch.setattr(Failures, "delay", lambda *_: 100.0)
    work = {}
    for name, box, headers in attempts(web):
        if box == "..":
            continue
        compared.clear()
        web.client.get(f"/v1/mailboxes/{box}/records", headers=headers)
        work[name] = len(compared)
    assert set(work.values()) == {8}
    assert len(held) == len(work)
    assert all(99.0 < seconds <= 100.0 for seconds in held)


def test_a_token_opens_one_direction(web):
    answer = web.get("/records", token=WRITE)
    assert answer.status_code == 403
    assert answer.json()["title"] == "Forbidden"
    assert web.get("/records", token=READ).status_code == 200
    # Both may read what the mailbox says of itself.
    assert web.get("/openapi.json", token=READ).status_code == web.get("/openapi.json", token=WRITE).status_code == 200


def test_every_route_but_one_asks_for_a_token(web):
    web.mailbox.store.probe()
    routes = list(web.client.app.routes)
    assert len(routes) >= 9
    assert [route for route in routes if not isinstance(route, APIRoute)] == []
    opened = set()
    for route in routes:
        path = route.path.format(mailbox_id="box", name="c1", seq="1")
        for method in route.methods:
            status = web.client.request(method, path).status_code
            if status != 401:
                opened.add((method, path, status))
    assert opened == {("GET", "/v1/health", 200), ("HEAD", "/v1/health", 200)}


def revoked_meanwhile(web):
    """Let the mailbox be looked up each time, and the second time its token be revoked."""
    web.state.mailboxes._ttl = 0.0
    after = Mailbox(web.mailbox.store, MailboxSettings("box", schema=SCHEMA))
    found = [web.mailbox, after]
    web.state.mailboxes._load = lambda _: found.pop(0)


def test_a_token_that_is_revoked_while_its_poll_waits(web):
    web.hurry()
    path = f"/records?cursor={web.mailbox.cursor_text(Position(4))}&wait=1"
    assert web.get(path).status_code == 204
    revoked_meanwhile(web)
    assert web.get(path).status_code == 401


@pytest.mark.parametrize("path", ["/records?cursor={}&wait=30", "/consumers/c1/records?wait=30"])
def test_a_revoked_token_gets_none_of_the_records_it_waited_for(web, path):
    web.hurry()
    cursor = web.mailbox.cursor_text(Position(4))
    web.mailbox.commit("c1", cursor)

    def publish(_):
        web.mailbox.publish([b'{"id":10}\n'], batch_id="late")
        return True

    web.mailbox.has_new = publish
    revoked_meanwhile(web)
    answer = web.get(path.format(cursor))
    assert answer.status_code == 401
    assert answer.json()["title"] == "Unauthorized"
    assert "Mailbox-Next-Cursor" not in answer.headers


def test_a_wait_counts_as_one_request(make_web):
    web = make_web(requests_per_second=0.01)
    web.hurry()
    assert web.get("/records?wait=1").status_code == 204


def test_failures_are_slowed_by_address_and_a_good_token_is_not(web, monkeypatch):
    delays = []
    delay = Failures.delay
    monkeypatch.setattr(Failures, "delay", lambda *args: delays.append(delay(*args)) or 0.0)
    monkeypatch.setattr("airflow_provider_osmosdest.web.rate_limits._FIRST_DELAY", 0.25)
    for _ in range(3):
        web.get("/records", token="wrong")
        web.get("/records")
    assert delays == [0.25, 0.5, 1.0]


def test_a_token_has_its_rate(make_web):
    web = make_web(requests_per_second=0.01)
    assert web.get("/records").status_code == 200
    answer = web.get("/records")
    assert answer.status_code == 429
    assert 90 <= int(answer.headers["Retry-After"]) <= 100
    # Each token has its own.
    assert web.get("/openapi.json", token=WRITE).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/mailboxes/box", "/v1/mailboxes/box/records/", "/docs", "/openapi.json"]
)
def test_what_is_no_path_is_a_problem_too(web, path):
    answer = web.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["status"] == 404


def test_a_method_that_is_none_is_told_those_there_are(web):
    answer = web.client.delete("/v1/mailboxes/box/records")
    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {each.strip() for each in answer.headers["Allow"].split(",")} == {"GET", "HEAD", "POST"}
