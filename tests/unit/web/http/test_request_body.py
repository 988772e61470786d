"""Bodies: bounded in bytes and time, and parted from politely."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_osmosdest.web.http.problems import Problem
from airflow_provider_osmosdest.web.http.request_body import Incoming, Room


class Client:
    """Sends pieces; after the last of them it is silent, unless that is the end."""

    def __init__(self, *pieces, gone=False, ends=True):
        self.left = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        if gone:
            self.left.append({"type": "http.disconnect"})
        elif ends:
            self.left.append({"type": "http.request", "body": b"", "more_body": False})
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        if not self.left:
            await asyncio.Event().wait()
        return self.left.pop(0)

    def incoming(self, headers=(("transfer-encoding", "chunked"),), **options):
        raw = [(name.encode(), value.encode()) for name, value in headers]
        return Incoming(Request({"type": "http", "headers": raw}, self), **options)


class TooLargeError(Exception):
    pass


def read(incoming, limit=10, take=lambda _size: None):
    return asyncio.run(incoming.read(limit, lambda _limit: TooLargeError(), take))


def answered(incoming, after=lambda: None):
    """Return what is sent where an answer is given before the body's end."""
    sent = []

    async def send(message):
        sent.append(message)
        after()

    asyncio.run(incoming.part(Response(b"no", 413))({"type": "http"}, None, send))
    return sent


def test_a_body_within_its_bound():
    taken = []
    assert read(Client(b"01234", b"56789").incoming(), take=taken.append) == b"0123456789"
    assert sum(taken) == 10


def test_a_body_that_announces_too_much_is_not_read():
    client = Client(b"x")
    with pytest.raises(TooLargeError):
        read(client.incoming([("content-length", "11")]))
    assert client.asked == 0


def test_a_body_that_turns_out_too_large_is_read_no_further():
    client = Client(b"x" * 6, b"x" * 6, b"x" * 6)
    with pytest.raises(TooLargeError):
        read(client.incoming())
    assert client.asked == 2


@pytest.mark.parametrize("options", [{"idle": 0.01}, {"longest": 0.01}])
def test_a_silent_client_is_not_waited_for(options):
    with pytest.raises(Problem) as caught:
        read(Client(b"x", ends=False).incoming(**options))
    assert caught.value.status == 408


def test_a_client_that_leaves_has_sent_nothing():
    with pytest.raises(Problem) as caught:
        read(Client(b"x", gone=True).incoming())
    assert caught.value.status == 400


def test_an_answer_before_the_end_is_the_last_and_the_rest_is_dropped():
    client = Client(b"x" * 6, b"x" * 6, b"x" * 6)
    incoming = client.incoming()
    with pytest.raises(TooLargeError):
        read(incoming)
    start, body, end = answered(incoming)
    assert (b"connection", b"close") in start["headers"]
    assert (body["body"], body["more_body"]) == (b"no", True)
    assert (end["body"], end["more_body"]) == (b"", False)
    assert client.left == []


def test_dropping_has_an_end():
    async def endless():
        return {"type": "http.request", "body": bytes(2**20), "more_body": True}

    request = Request({"type": "http", "headers": [(b"transfer-encoding", b"chunked")]}, endless)
    assert len(answered(Incoming(request))) == 3


def test_a_client_that_waits_for_leave_is_not_given_it():
    client = Client(b"x")
    assert len(answered(client.incoming([("content-length", "11"), ("expect", "100-continue")]))) == 3
    assert client.asked == 0


@pytest.mark.parametrize("headers", [[], [("content-length", "0")]])
def test_where_nothing_comes_the_connection_stays(headers):
    response = Response(b"no", 401)
    assert Client().incoming(headers).part(response) is response
    assert "connection" not in response.headers


def test_where_all_has_come_the_connection_stays():
    incoming = Client(b"x").incoming()
    read(incoming)
    response = Response(b"no", 422)
    assert incoming.part(response) is response


def test_room_is_given_back():
    room = Room(10)
    with room.hold() as mine, room.hold() as another:
        mine(6)
        with pytest.raises(Problem) as caught:
            another(5)
        assert caught.value.status == 503
        assert int(caught.value.headers["Retry-After"]) > 0
        another(4)
    assert room.held == 0


def test_so_many_bodies_may_be_on_their_way():
    room = Room(100, 2)
    with room.hold(), room.hold():
        with pytest.raises(Problem) as raised, room.hold():
            pytest.fail("there was room")
        assert raised.value.status == 503
        assert int(raised.value.headers["Retry-After"]) > 0
    with room.hold() as take:
        take(100)
    assert (room.held, room.holders) == (0, 0)
