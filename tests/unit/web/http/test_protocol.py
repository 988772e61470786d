"""What a client may send, keep open and leave unread: over real connections, and with bounds that are soon reached."""

from __future__ import annotations

import asyncio
import json
import pickle
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from uvicorn.server import ServerState

from airflow_provider_osmosdest.web.http.protocol import Bounds, Protocols
from airflow_provider_osmosdest.web.long_poll import ON_SHUTDOWN

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = 3600.0
SOON = 0.05
TIMEOUT = 20


async def answer(scope, receive, send):
    """Answer at once, without reading the body."""
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Listening:
    def __init__(self, app, state, bounds):
        self.config = uvicorn.Config(app, log_config=None, ws="none", timeout_keep_alive=int(LONG))
        self.config.load()
        self.server_state = ServerState()
        self.app_state = state
        self.protocols = Protocols(bounds)
        self.clients = []

    def protocol(self):
        return self.protocols(config=self.config, server_state=self.server_state, app_state=self.app_state)

    async def connect(self, sent=b""):
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        client.writer.write(sent)
        return client


class Client:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def head(self):
        """Return an answer's status, headers and body."""
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), TIMEOUT)
        line, *fields = raw.decode().rstrip().split("\r\n")
        return int(line.split()[1]), {name.lower(): value for name, value in (each.split(": ", 1) for each in fields)}

    async def answer(self):
        status, headers = await self.head()
        return (
            status,
            headers,
            await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), TIMEOUT),
        )

    async def end(self):
        """Wait for the end of the connection, and return what came before it."""
        with suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), TIMEOUT)
        return b""


@asynccontextmanager
async def listening(app=answer, state=None, **bounds):
    given = {"header_seconds": LONG, "idle_seconds": LONG, "unread_seconds": LONG, **bounds}
    made = Listening(app, state or {}, Bounds(**given))
    server = await asyncio.get_running_loop().create_server(made.protocol, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for client in made.clients:
            client.writer.close()
            with suppress(ConnectionError):
                await client.writer.wait_closed()
        for connection in list(made.server_state.connections):
            connection.transport.abort()
        await until(lambda: not (made.server_state.connections or made.server_state.tasks))
        assert made.protocols.unasked == {}


async def until(probe):
    async with asyncio.timeout(TIMEOUT):
        while not probe():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


def run(test):
    asyncio.run(test())


def problem(status, answered):
    found, headers, body = answered
    document = json.loads(body)
    assert (found, document["status"]) == (status, status)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert document["detail"]
    return document


@pytest.mark.parametrize("end", [b"\r\n\r\n", b""], ids=["whole", "endless"])
@pytest.mark.parametrize("header", [b"X: " + b"x" * 40_000, b"".join(b"X-%d: x\r\n" % n for n in range(5000))])
def test_a_header_that_is_too_large(header, end):
    async def test():
        async with listening(header_bytes=1000) as server:
            client = await server.connect(b"GET / HTTP/1.1\r\nHost: x\r\n" + header + end)
            assert "1,000 bytes" in problem(431, await client.answer())["detail"]
            assert await client.end() == b""

    run(test)


def test_an_endless_header_is_answered_and_ended_however_it_comes():
    async def test():
        async with listening(header_bytes=1000) as server:
            client = await server.connect(b"GET / HTTP/1.1\r\nX: ")
            answered = asyncio.create_task(client.answer())
            # It goes on after its answer, and is not reset before it could read that.
            with suppress(ConnectionError):
                for _ in range(2000):
                    client.writer.write(b"x" * 1000)
                    await client.writer.drain()
            problem(431, await answered)
            await client.end()

    run(test)


def test_a_header_of_just_the_size():
    async def test():
        async with listening(header_bytes=1000) as server:
            start = b"GET / HTTP/1.1\r\nHost: x\r\nX: "
            fits = start + b"x" * (1000 - len(start) - 2) + b"\r\n\r\n"
            client = await server.connect(fits)
            assert (await client.answer())[0] == 200
            client.writer.write(fits.replace(b"xx", b"xxx", 1))
            problem(431, await client.answer())

    run(test)


def test_an_error_for_a_head_has_no_body():
    async def test():
        async with listening(header_bytes=1000) as server:
            client = await server.connect(b"HEAD / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 2000 + b"\r\n\r\n")
            assert (await client.head())[0] == 431
            assert await client.end() == b""

    run(test)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"what is this?\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
def test_what_is_not_http(sent, status):
    async def test():
        async with listening() as server:
            client = await server.connect(sent)
            problem(status, await client.answer())
            assert await client.end() == b""

    run(test)


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "second"])
def test_a_header_that_stalls(before):
    async def test():
        async with listening(header_seconds=SOON) as server:
            client = await server.connect(before + b"GET / HTTP/1.1\r\nHost:")
            if before:
                assert (await client.answer())[0] == 200
            problem(408, await client.answer())
            assert await client.end() == b""

    run(test)


def test_no_byte_of_a_header_buys_more_time():
    async def test():
        async with listening(header_seconds=SOON) as server:
            client = await server.connect(b"GET / HTTP/1.1\r\nX: ")
            answered = asyncio.create_task(client.answer())
            with suppress(ConnectionError):
                while not answered.done():
                    client.writer.write(b"x")
                    await asyncio.sleep(SOON / 10)
            problem(408, await answered)

    run(test)


def test_a_connection_that_asks_for_nothing():
    async def test():
        async with listening(header_seconds=SOON) as server:
            assert await (await server.connect()).end() == b""

    run(test)


def test_a_connection_that_asks_for_nothing_more():
    async def test():
        async with listening(idle_seconds=SOON) as server:
            client = await server.connect(GET)
            assert (await client.answer())[0] == 200
            assert await client.end() == b""

    run(test)


def test_a_request_is_answered_however_long_it_takes():
    async def slow(scope, receive, send):
        await asyncio.sleep(SOON * 4)
        await answer(scope, receive, send)

    async def test():
        async with listening(slow, header_seconds=SOON, idle_seconds=LONG) as server:
            client = await server.connect(GET + GET)
            assert [(await client.answer())[0] for _ in range(2)] == [200, 200]

    run(test)


def test_the_rest_of_a_body_that_is_not_read():
    async def test():
        async with listening(header_seconds=SOON) as server:
            client = await server.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nab")
            assert (await client.answer())[0] == 200
            # One more byte takes away uvicorn's own time limit.
            client.writer.write(b"c")
            assert await client.end() == b""

    run(test)


def test_a_connection_is_idle_again_after_the_rest_of_a_body():
    async def test():
        async with listening(header_seconds=LONG, idle_seconds=SOON) as server:
            client = await server.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
            assert (await client.answer())[0] == 200
            client.writer.write(b"bc" + GET)
            assert (await client.answer())[0] == 200
            assert await client.end() == b""

    run(test)


def test_who_has_waited_longest_makes_room():
    async def test():
        async with listening(unasked=2) as server:
            idle = await server.connect(GET)
            assert (await idle.answer())[0] == 200
            half = await server.connect(b"GET / ")
            third = await server.connect(b"GET / HTTP/1.1\r\n")
            assert await idle.end() == b""
            fourth = await server.connect(GET)
            assert (await fourth.answer())[0] == 200
            assert await half.end() == b""
            third.writer.write(b"Host: x\r\n\r\n")
            assert (await third.answer())[0] == 200

    run(test)


def test_too_many_connections():
    async def test():
        async with listening(connections=1) as server:
            first = await server.connect(GET)
            assert (await first.answer())[0] == 200
            second = await server.connect(GET)
            answered = await second.answer()
            problem(503, answered)
            assert int(answered[1]["retry-after"]) > 0
            assert await second.end() == b""
            await until(lambda: len(server.server_state.connections) == 1)
            first.writer.write(GET)
            assert (await first.answer())[0] == 200

    run(test)


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
def test_an_answer_that_is_not_read(connection):
    size = 64 * 2**20

    async def large(scope, receive, send):
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})

    async def test():
        async with listening(large, unread_seconds=SOON) as server:
            client = await server.connect(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: " + connection + b"\r\n\r\n")
            assert (await client.head())[0] == 200
            await until(lambda: not server.server_state.connections)
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await client.reader.readexactly(size)
                pytest.fail("the answer came whole")

    run(test)


def test_an_answer_that_is_read_slowly():
    size = 32 * 2**20

    async def large(scope, receive, send):
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})

    async def test():
        # Neither limit ends it: it is idle as far as requests go, and something of it is read in each second.
        async with listening(large, unread_seconds=1.0, idle_seconds=SOON) as server:
            client = await server.connect(GET)
            assert (await client.head())[0] == 200
            for _ in range(32):
                await client.reader.readexactly(2**20)
                await asyncio.sleep(SOON)
            assert await client.end() == b""

    run(test)


def test_a_body_that_turns_out_not_to_be_http():
    seen = []

    async def reading(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            pass
        seen.append(message)
        await answer(scope, receive, send)

    async def test():
        async with listening(reading) as server:
            client = await server.connect(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            client.writer.write(b"no chunk\r\n\r\n")
            problem(400, await client.answer())
            assert await client.end() == b""
        assert seen == [{"type": "http.disconnect"}]

    run(test)


def test_the_app_is_told_that_the_server_ends():
    told = []

    async def test():
        async with listening(state={ON_SHUTDOWN: lambda: told.append(1)}) as server:
            client = await server.connect(GET)
            assert (await client.answer())[0] == 200
            half = await server.connect(b"GET")
            rejected = await server.connect(b"?\r\n\r\n")
            problem(400, await rejected.answer())
            for connection in list(server.server_state.connections):
                connection.shutdown()
            assert [await each.end() for each in (client, half, rejected)] == [b"", b"", b""]
        assert told

    run(test)


def test_workers_can_be_started_with_it():
    assert pickle.loads(pickle.dumps(Protocols(Bounds(unasked=7)))).bounds == Bounds(unasked=7)
