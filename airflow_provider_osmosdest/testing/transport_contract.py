# ruff: noqa: D102, PLR2004 - a test's name is its documentation, and its numbers are there to be read
"""
What every transport promises, as tests.

Subclass :class:`TransportContract` for a transport of your own::

    class TestMine(TransportContract):
        @pytest.fixture
        def make_transport(self):
            return MyTransport  # called as MyTransport(target, in_flight=..., headers=..., answer_bytes=...)

The class needs pytest, and ``cryptography`` for its certificates; it starts every server itself.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import time
from email.utils import formatdate
from typing import Any

import pytest

from airflow_provider_osmosdest.core.errors import AmbiguousError
from airflow_provider_osmosdest.core.http.transport import Body, Request
from airflow_provider_osmosdest.testing.exchanges import both_kinds, pieces_of, until
from airflow_provider_osmosdest.testing.servers import Conversation, ScriptedServer, answer
from airflow_provider_osmosdest.testing.transport_faults import FaultContract

__all__ = ["TransportContract"]


class TransportContract(FaultContract):
    """The promises of a transport; a subclass says how one is made."""

    # -- what goes out ------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", [0, 1], ids=["bytes", "pieces"])
    def test_a_request_goes_out_as_it_was_meant(self, start: Any, kind: int) -> None:
        with ScriptedServer(answer(201, b"done")) as server:
            transport = start(
                server.url + "/v1/items?a=b%20c",
                target_headers={"X-Key": "k", "content-type": "application/x-mine"},
                headers={"Content-Encoding": "gzip"},
            )
            came = until(transport, 1, [Request(both_kinds(b"[1,2]")[kind], "mark", headers={"X-One": "1"})])[0]
        assert (came.status, came.body, came.whole, came.error, came.request.key) == (201, b"done", True, None, "mark")
        (got,) = server.received
        assert (got.method, got.target, got.body) == ("POST", "/v1/items?a=b%20c", b"[1,2]")
        assert got.headers["content-length"] == b"5"
        assert got.headers["content-type"] == b"application/x-mine"
        assert (got.headers["x-key"], got.headers["x-one"], got.headers["content-encoding"]) == (b"k", b"1", b"gzip")
        assert got.headers["user-agent"].startswith(b"airflow-provider-osmosdest/")
        assert not {"expect", "transfer-encoding"} & set(got.headers)

    def test_the_headers_of_an_answer_are_kept(self, start: Any) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            talk.reply(422, b"no", headers={"X-Mine": "a: b", "X-Other": ""})

        with ScriptedServer(script) as server:
            came = until(start(server.url), 1, [Request(b"{}")])[0]
        headers = {name.lower(): value for name, value in came.headers}
        assert (headers["x-mine"], headers["x-other"], headers["content-length"]) == ("a: b", "", "2")

    def test_the_answer_to_a_head_has_no_body(self, start: Any) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")

        with ScriptedServer(script) as server:
            came = until(start(server.url, method="HEAD"), 1, [Request(b"")])[0]
        assert (came.status, came.body, came.error) == (200, b"", None)
        assert server.received[0].method == "HEAD"

    def test_headers_of_one_request_do_not_stay_for_the_next(self, start: Any) -> None:
        with ScriptedServer(answer()) as server:
            transport = start(server.url)
            for headers in ({"X-One": "1"}, None, {"X-Two": "2"}):
                until(transport, 1, [Request(b"[]", headers=headers)])
        assert [{"x-one", "x-two"} & set(got.headers) for got in server.received] == [{"x-one"}, set(), {"x-two"}]

    def test_pieces_of_many_megabytes_arrive_as_they_are(self, start: Any) -> None:
        block = bytes(range(256)) * 4096
        pieces: list[bytes | memoryview] = [
            b"[",
            *(memoryview(block)[at : at + 900_001] for at in range(12)),
            b"",
            block * 3,
            b"]",
        ]
        body = Body(pieces, sum(map(len, pieces)))
        with ScriptedServer(answer()) as server:
            transport = start(server.url)
            for _ in range(2):
                assert until(transport, 1, [Request(body)])[0].status == 200
        for got in server.received:
            assert got.length == len(got.body) == body.length
            assert hashlib.sha256(got.body).digest() == hashlib.sha256(b"".join(pieces)).digest()

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_methods_with_bodies_of_both_kinds_in_turn(self, start: Any, method: str) -> None:
        bodies: list[bytes | Body] = [b"[1]", pieces_of(), b"[22]", b"[1]", pieces_of(50_000), pieces_of(), b"[333]"]
        with ScriptedServer(answer()) as server:
            transport = start(server.url, method=method)
            for body in bodies:
                assert until(transport, 1, [Request(body)])[0].status == 200
        sent = [b"".join(body.pieces) if isinstance(body, Body) else body for body in bodies]
        assert [(got.method, got.body) for got in server.received] == [(method, body) for body in sent]
        assert [got.length for got in server.received] == [len(body) for body in sent]

    def test_a_request_may_have_a_url_of_its_own(self, start: Any) -> None:
        with ScriptedServer(answer()) as server:
            transport = start(server.url + "/all")
            for url in (None, server.url + "/one/a%2Fb", None, server.url + "/../two"):
                until(transport, 1, [Request(b"{}", url=url)])
        assert [got.target for got in server.received][:3] == ["/all", "/one/a%2Fb", "/all"]

    def test_letters_that_are_not_ascii_go_out_in_headers_and_url(self, ask: Any) -> None:
        with ScriptedServer(answer()) as server:
            came = ask(server.url + "/größe?q=東", target_headers={"X-Name": "Zoë", "X-Place": "東京"})
        assert came.status == 200
        (got,) = server.received
        assert (got.headers["x-name"], got.headers["x-place"]) == ("Zoë".encode(), "東京".encode())
        assert got.target == "/gr%C3%B6%C3%9Fe?q=%E6%9D%B1"

    # -- what comes back ----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("status", [200, 207, 299, 304, 400, 401, 404, 413, 422, 429, 500, 503, 599])
    def test_any_status_is_an_answer_and_is_not_sent_again(self, start: Any, status: int) -> None:
        with ScriptedServer(answer(status, b"" if status == 304 else b"said", {"WWW-Authenticate": "Basic"})) as server:
            transport = start(server.url)
            came = until(transport, 1, [Request(b"[]")])[0]
            assert transport.exchange((), 0.01) == []
        assert (came.status, came.error, came.whole) == (status, None, True)
        assert len(server.received) == 1

    def test_an_answer_without_content(self, ask: Any) -> None:
        with ScriptedServer(lambda talk: talk.send(b"HTTP/1.1 204 No Content\r\n\r\n")) as server:
            came = ask(server.url)
        assert (came.status, came.body, came.whole) == (204, b"", True)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_to_another_place_is_told_and_not_followed(self, ask: Any, status: int) -> None:
        with ScriptedServer(answer()) as other:
            there = other.url + "/new?x=1"
            with ScriptedServer(answer(status, b"over there", {"Location": there})) as server:
                came = ask(server.url)
            assert (came.status, came.location, came.body) == (status, there, b"over there")
            assert (len(server.received), other.received) == (1, [])

    @pytest.mark.parametrize(
        ("value", "least", "most"),
        [
            ("7", 7, 7),
            ("100000", 100_000, 100_000),
            (None, None, None),
            ("date", 95, 121),
            ("soon", None, None),
            ("0", 0, 0),
        ],
    )
    def test_retry_after_in_both_forms(self, ask: Any, value: str | None, least: Any, most: Any) -> None:
        if value == "date":
            value = formatdate(time.time() + 120, usegmt=True)
        with ScriptedServer(answer(429, b"", {"Retry-After": value} if value else {})) as server:
            came = ask(server.url)
        assert (came.retry_after or 0.0) >= (least or 0.0)
        assert (came.retry_after or 0.0) <= (most or 0.0)

    @pytest.mark.parametrize("status", [200, 500])
    def test_a_huge_answer_is_kept_up_to_the_bound(self, start: Any, status: int) -> None:
        with ScriptedServer(answer(status, b"x" * 5_000_000)) as server:
            transport = start(server.url, answer_bytes=1_000)
            for _ in range(2):
                came = until(transport, 1, [Request(b"[]")])[0]
                assert (came.status, came.body, came.whole) == (status, b"x" * 1_000, False)

    def test_an_answer_of_just_the_bound_is_whole(self, ask: Any) -> None:
        with ScriptedServer(answer(200, b"x" * 1_000)) as server:
            came = ask(server.url, answer_bytes=1_000)
        assert (len(came.body), came.whole) == (1_000, True)

    def test_a_chunked_answer(self, ask: Any) -> None:
        raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"
        with ScriptedServer(lambda talk: talk.send(raw)) as server:
            came = ask(server.url)
        assert (came.status, came.body) == (200, b"abcdefg")

    def test_a_compressed_answer_can_be_read(self, ask: Any) -> None:
        packed = gzip.compress(json.dumps({"errors": [1]}).encode())
        with ScriptedServer(answer(200, packed, {"Content-Encoding": "gzip"})) as server:
            came = ask(server.url)
        assert json.loads(came.body) == {"errors": [1]}

    @pytest.mark.parametrize("status", [200, 400])
    def test_an_answer_that_is_not_compressed_as_it_says_is_one_all_the_same(self, ask: Any, status: int) -> None:
        with ScriptedServer(answer(status, b"<html>", {"Content-Encoding": "gzip"})) as server:
            came = ask(server.url)
        assert (came.status, came.error, came.whole) == (status, None, False)
        assert len(server.received) == 1

    def test_an_interim_answer_is_passed_over(self, ask: Any) -> None:
        def script(talk: Conversation) -> None:
            talk.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            talk.read_body()
            talk.reply(201)

        with ScriptedServer(script) as server:
            assert ask(server.url).status == 201

    # -- connections --------------------------------------------------------------------------------------------

    def test_a_connection_is_kept(self, start: Any) -> None:
        with ScriptedServer(answer(200, b"{}")) as server:
            transport = start(server.url)
            for number in range(20):
                until(transport, 1, [Request(both_kinds(b"[%d]" % number)[number % 2])])
            assert server.connections == 1

    def test_requests_are_in_flight_together_and_answers_find_their_request(self, start: Any) -> None:
        together = threading.Barrier(8)

        def script(talk: Conversation) -> None:
            body = talk.read_body()
            together.wait(10)
            talk.reply(200, b"to " + body)

        with ScriptedServer(script) as server:
            transport = start(server.url, in_flight=8)
            for first in (0, 8, 16):
                requests = [Request(b"%d" % number, number) for number in range(first, first + 8)]
                answers = until(transport, 8, requests)
                assert {came.request.key: came.body for came in answers} == {
                    number: b"to %d" % number for number in range(first, first + 8)
                }
            assert server.connections == 8

    @pytest.mark.parametrize("kind", [0, 1], ids=["bytes", "pieces"])
    def test_a_kept_connection_that_was_closed_meanwhile_costs_nothing(self, start: Any, kind: int) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            talk.reply()
            talk.close()

        with ScriptedServer(script) as server:
            transport = start(server.url)
            assert until(transport, 1, [Request(both_kinds(b"[1]")[kind])])[0].status == 200
            time.sleep(1.1)  # libcurl looks whether a connection is still open only where it idled for a second
            assert until(transport, 1, [Request(both_kinds(b"[2]")[kind])])[0].status == 200
            assert len(server.received) == 2

    @pytest.mark.parametrize("kind", [0, 1], ids=["bytes", "pieces"])
    def test_what_went_out_on_a_kept_connection_is_not_sent_again_unasked(self, start: Any, kind: int) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            if talk.number:
                talk.close()
            else:
                talk.reply()

        with ScriptedServer(script) as server:
            transport = start(server.url)
            assert until(transport, 1, [Request(both_kinds(b"[1]")[kind])])[0].status == 200
            came = until(transport, 1, [Request(both_kinds(b"[2]")[kind])])[0]
            assert isinstance(came.error, AmbiguousError)
            assert [got.body for got in server.received] == [b"[1]", b"[2]"]
            assert until(transport, 1, [Request(both_kinds(b"[3]")[kind])])[0].status == 200

    def test_waiting_takes_no_longer_than_asked(self, start: Any) -> None:
        with ScriptedServer(Conversation.hang) as server:
            # What is not bounded by what was asked takes until the time-out: that is far off, as a machine may be busy.
            transport = start(server.url, timeout=300)
            started = time.monotonic()
            assert transport.exchange((), 0.05) == []
            assert 0.04 <= time.monotonic() - started < 60
            started = time.monotonic()
            assert transport.exchange([Request(b"[]")], 0.05) == []
            assert transport.exchange((), 0.05) == []
            assert transport.exchange((), 0) == []
            assert 0.08 <= time.monotonic() - started < 60
            before = time.process_time()
            transport.exchange((), 0.5)
            assert time.process_time() - before < 0.1, "to wait is not to ask again and again"

    def test_close_does_not_wait_for_what_is_in_flight(self, start: Any) -> None:
        with ScriptedServer(Conversation.hang) as server:
            transport = start(server.url, in_flight=4, timeout=300)
            transport.exchange([Request(b"[]") for _ in range(4)], 0.05)
            started = time.monotonic()
            transport.close()
            assert time.monotonic() - started < 60
