from __future__ import annotations

import asyncio
import json

import pytest

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.web.blobs import packed
from airflow_provider_osmosdest.web.http.middleware import ProblemMiddleware


def call(app, method="GET", kind="http"):
    sent = []

    async def send(message):
        sent.append(message)

    async def run():
        await ProblemMiddleware(app)({"type": kind, "method": method, "headers": []}, None, send)

    asyncio.run(run())
    return sent


def start(**headers):
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": 200, "headers": encoded}


def test_what_no_handler_caught_is_a_problem_without_internals():
    async def app(scope, receive, send):
        raise RuntimeError("secret place")

    begun, body = call(app)
    assert begun["status"] == 500
    assert dict(begun["headers"])[b"content-type"] == b"application/problem+json"
    assert dict(begun["headers"])[b"cache-control"] == b"no-store"
    assert "secret" not in json.dumps(json.loads(body["body"]))


def test_an_answer_that_is_under_way_breaks_off():
    async def app(scope, receive, send):
        await send(start())
        raise StorageError("the disk is gone")

    with pytest.raises(StorageError):
        call(app)


def test_a_head_gets_no_body_and_a_route_keeps_its_own_headers():
    async def app(scope, receive, send):
        await send(start(**{"cache-control": "private"}))
        await send({"type": "http.response.body", "body": b"abc"})

    begun, body = call(app, "HEAD")
    assert dict(begun["headers"]) == {b"cache-control": b"private", b"x-content-type-options": b"nosniff"}
    assert body["body"] == b""


def test_what_is_no_http_passes():
    async def app(scope, receive, send):
        await send({"type": "lifespan.startup.complete"})

    assert call(app, kind="lifespan") == [{"type": "lifespan.startup.complete"}]


def test_a_file_that_became_shorter_is_not_sent_as_if_it_were_whole(web):
    name = web.mailbox.log.entry(1).data
    size = web.mailbox.store.size(name)
    request = type("Request", (), {"app": web.client.app})

    async def run():
        async for _ in packed(request, web.mailbox.store, name, 0, size + 1):
            pass

    with pytest.raises(StorageError, match="1 bytes early"):
        asyncio.run(run())
