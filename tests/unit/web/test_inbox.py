"""POST records: what is answered, in which order things are looked at, and to whom nothing is told."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.mailbox.tokens import Access, new_token
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.web.app import create_app
from airflow_provider_osmosdest.web.openapi import document
from airflow_provider_osmosdest.web.routes import inbox

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
WRITE, READ, OTHER = new_token("write"), new_token("read"), new_token("write")
MADE = datetime(2026, 1, 1, tzinfo=UTC)
ACCESS = (
    Access.of(WRITE, name="partner", direction="write", created_at=MADE),
    Access.of(READ, name="reader", direction="read", created_at=MADE),
)
SCHEMA = DestinationSchema.load([{"name": "id", "type": "integer", "nullable": False}])
SETTINGS = {
    "plain": MailboxSettings("plain", schema=SCHEMA, access=ACCESS, max_body_bytes=1000),
    "signed": MailboxSettings(
        "signed", schema=SCHEMA, access=ACCESS, signing_secrets=(OLD_SECRET, SECRET), max_body_bytes=1000
    ),
    "kept": MailboxSettings("kept", schema=SCHEMA, access=ACCESS, on_invalid="quarantine"),
}
JSON = {"Content-Type": "application/json"}


class NoDelay:
    """Counts failed attempts, and holds no answer back."""

    def __init__(self):
        self.count = 0

    def delay(self, address, now):
        self.count += 1
        return 0.0


@pytest.fixture
def mailboxes(tmp_path):
    return {name: Mailbox(Store(tmp_path / name), settings) for name, settings in SETTINGS.items()}


@pytest.fixture
def app(mailboxes):
    app = create_app(mailboxes.get)
    app.state.web = replace(app.state.web, failures=NoDelay())
    return app


@pytest.fixture
def post(app):
    def send(mailbox="plain", content=b'{"id":1}', headers=JSON, *, token=WRITE, query=""):
        async def request():
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                shown = [] if token is None else [("Authorization", f"Bearer {token}")]
                pairs = [*shown, *(headers if isinstance(headers, list) else headers.items())]
                return await client.post(f"/v1/mailboxes/{mailbox}/records{query}", content=content, headers=pairs)

        return asyncio.run(request())

    return send


def signed(content=b'{"id":1}', *, secret=SECRET, message_id="msg_1", at=None):
    sent = int(time.time() if at is None else at)
    entry = Webhook(secret).sign(message_id, datetime.fromtimestamp(sent, UTC), content.decode())
    return {**JSON, "webhook-id": message_id, "webhook-timestamp": str(sent), "webhook-signature": entry}


def ids(mailbox):
    page = mailbox.read(None, limit=100, max_bytes=10**9)
    return [json.loads(line)["id"] for line in page.lines.splitlines()]


def problem(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    return document


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("application/json", b'[{"id":1},{"id":2}]'),
        ("application/x-ndjson", b'{"id":1}\n{"id":2}\n'),
        ("text/csv", b"id\n1\n2\n"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_records_are_taken(post, mailboxes, media_type, content, packed):
    headers = {"Content-Type": media_type, **({"Content-Encoding": "gzip"} if packed else {})}
    response = post(content=gzip.compress(content) if packed else content, headers=headers)
    assert response.status_code == 202
    assert response.headers["content-type"] == "application/json"
    assert response.json()["accepted"] == 2
    assert ids(mailboxes["plain"]) == [1, 2]


def test_a_request_that_waits_is_woken(post, app, monkeypatch):
    woken = []
    monkeypatch.setattr(app.state.web.waiting, "wake", woken.append)
    post()
    post(content=b"[]")
    post(content=b"[5]")
    assert woken == ["plain"]


class TestOrder:
    """Each request is wrong in all that comes after what it is answered for."""

    def test_token_first(self, post):
        problem(post(content=b"x" * 5000, headers={"Content-Type": "x/y"}, token=OTHER, query="?a=1"), 401)

    def test_then_what_the_head_says(self, post):
        assert problem(post(content=b"x" * 5000, headers={"Content-Type": "x/y"}), 415)["title"]
        assert problem(post(content=b"x" * 5000, headers={**JSON, "Content-Encoding": "br"}), 415)["title"]
        problem(post(content=b"x" * 5000, headers={**JSON, "Idempotency-Key": "x" * 256}), 400)
        problem(post(content=b"x" * 5000, query="?a=1"), 400)

    def test_then_size(self, post):
        wrong = {**JSON, "webhook-id": "1", "webhook-timestamp": "0", "webhook-signature": "v1,AAAA"}
        for token in (WRITE, None):
            assert problem(post("signed", b"x" * 1001, wrong, token=token), 413)["limit"] == 1000
            bomb = gzip.compress(b"x" * 1001)
            problem(post("signed", bomb, {**wrong, "Content-Encoding": "gzip"}, token=token), 413)

    def test_then_the_signature(self, post):
        wrong = {**JSON, "webhook-id": "1", "webhook-timestamp": "0", "webhook-signature": "v1,AAAA"}
        for token in (WRITE, None):
            problem(post("signed", b"nope", wrong, token=token), 401)

    def test_then_the_records(self, post):
        assert post(headers={**JSON, "Idempotency-Key": "k"}).status_code == 202
        found = problem(post(content=b'[{"id":"x"}]', headers={**JSON, "Idempotency-Key": "k"}), 422)
        assert (found["title"], found["invalid"]) == ("Invalid records", 1)
        assert found["errors"][0]["field"] == "id"

    def test_then_the_key(self, post, mailboxes):
        assert post(headers={**JSON, "Idempotency-Key": "k"}).status_code == 202
        found = problem(post(content=b'[{"id":2}]', headers={**JSON, "Idempotency-Key": "k"}), 422)
        assert found["type"] == "urn:osmosdest:problem:idempotency-key-reused"
        assert ids(mailboxes["plain"]) == [1]

    def test_and_then_it_is_written(self, post, monkeypatch):
        def fail(*_arguments, **_options):
            raise StorageError("s3://bucket/secret is out of reach")

        monkeypatch.setattr(Mailbox, "publish", fail)
        response = post()
        assert "bucket" not in response.text
        assert problem(response, 503)
        assert "retry-after" in response.headers


def test_a_refused_body_leaves_the_connection_only_once_it_is_read(post):
    response = post(content=b"x" * 1001)
    assert response.headers["connection"] == "close"
    assert "connection" not in post(content=b"nope").headers


class TestIdempotency:
    @pytest.mark.parametrize("header", ["Idempotency-Key", "webhook-id"])
    def test_the_same_again_is_answered_alike(self, post, mailboxes, header):
        first = post(headers={**JSON, header: "k"})
        again = post(content=gzip.compress(b'{"id":1}'), headers={**JSON, header: "k", "Content-Encoding": "gzip"})
        assert (first.status_code, first.content) == (again.status_code, again.content)
        assert ids(mailboxes["plain"]) == [1]

    def test_in_flight(self, post, mailboxes, monkeypatch):
        inside = []

        def publish(self, lines, **options):
            monkeypatch.undo()
            inside.append(_other_loop(lambda: post(headers={**JSON, "Idempotency-Key": "k"})))
            return self.publish(lines, **options)

        monkeypatch.setattr(Mailbox, "publish", publish)
        assert post(headers={**JSON, "Idempotency-Key": "k"}).status_code == 202
        found = problem(inside[0], 409)
        assert found["type"] == "urn:osmosdest:problem:idempotency-key-in-progress"
        assert inside[0].headers["retry-after"] == "5"
        assert ids(mailboxes["plain"]) == [1]

    def test_a_key_given_twice(self, post):
        headers = [*JSON.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        problem(post(headers=headers), 400)


class TestSignatures:
    @pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
    def test_a_signature_takes_the_place_of_a_token(self, post, mailboxes, secret):
        assert post("signed", headers=signed(secret=secret), token=None).status_code == 202
        assert ids(mailboxes["signed"]) == [1]
        assert mailboxes["signed"].log.entry(1).producer == "inbox:signature"

    def test_it_is_over_the_bytes_that_came(self, post):
        packed = gzip.compress(b'{"id":1}')
        plain = signed()
        problem(post("signed", packed, {**plain, "Content-Encoding": "gzip"}, token=None), 401)

    def test_a_message_sent_again_is_the_same_message(self, post, mailboxes):
        headers = signed()
        first = post("signed", headers=headers, token=None)
        # An eavesdropper has no other key to send it with.
        again = post("signed", headers={**headers, "Idempotency-Key": "another"}, token=None)
        assert first.json() == again.json()
        assert ids(mailboxes["signed"]) == [1]

    @pytest.mark.parametrize(
        "headers",
        [
            signed(secret="whsec_AAAAAAAAAAAAAAAAAAAAAAAA"),
            signed(at=time.time() - 400),
            signed(b'{"id":2}'),
            {**signed(), "webhook-id": "msg_2"},
        ],
    )
    def test_what_does_not_hold_is_refused_with_a_token_or_without(self, post, app, headers):
        bodies = {problem_body(post("signed", headers=headers, token=token)) for token in (None, WRITE, OTHER)}
        assert len(bodies) == 1
        assert app.state.web.failures.count == 3

    def test_a_wrong_token_is_not_made_up_for(self, post):
        assert post("signed", headers=signed(), token=OTHER).status_code == 401

    def test_a_token_is_enough(self, post):
        assert post("signed").status_code == 202

    def test_where_none_can_be_good_it_is_not_looked_at_beside_a_token(self, post):
        assert post("plain", headers={**signed(at=0)}).status_code == 202

    def test_each_signed_message_counts_towards_the_rate(self, post, mailboxes):
        slow = replace(SETTINGS["signed"], requests_per_second=0.01)
        mailboxes["signed"].settings = slow
        assert post("signed", headers=signed(message_id="a"), token=None).status_code == 202
        response = post("signed", headers=signed(message_id="b"), token=None)
        problem(response, 429)
        assert "retry-after" in response.headers


def problem_body(response):
    assert response.status_code == 401
    return response.content


@pytest.mark.parametrize("shown", ["nothing", "signature", "half", "wrong"])
def test_strangers_learn_nothing(post, shown):
    headers = {
        "nothing": JSON,
        "signature": signed(),
        "half": {**JSON, "webhook-id": "a"},
        "wrong": JSON,
    }[shown]
    token = OTHER if shown == "wrong" else None
    answers = [post(name, headers=headers, token=token) for name in ("plain", "no-such-mailbox", "kept", "signed")]
    if shown == "signature":
        assert answers.pop().status_code == 202
    assert {(each.status_code, each.content) for each in answers} == {(401, answers[0].content)}


def test_the_decoy_s_key_opens_nothing(post):
    [secret] = inbox._DECOY.signing_secrets
    assert post("plain", headers=signed(secret=secret), token=None).status_code == 401


def test_a_reader_may_not_write(post):
    problem(post(token=READ), 403)


def test_quarantine_is_told_of(post):
    answer = post("kept", b'[{"id":1},{"id":"x"}]').json()
    assert (answer["accepted"], answer["quarantined"], answer["errors"][0]["index"]) == (1, 1, 1)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_answer_is_described(name):
    settings = SETTINGS[name]
    described = document(settings, "/v1", [inbox.describe(settings)])["paths"]["/records"]["post"]
    statuses = {"202", "400", "401", "403", "404", "408", "409", "413", "415", "422", "429", "503"}
    assert set(described["responses"]) == statuses
    assert ("security" in described) is bool(settings.signing_secrets)
    properties = described["responses"]["202"]["content"]["application/json"]["schema"]["properties"]
    assert ("quarantined" in properties) is (name == "kept")


def _other_loop(function):
    """Run what has an event loop of its own."""
    import threading

    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]
