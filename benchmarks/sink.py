"""
The other end of every benchmark: a server that reads requests, counts them, and says yes.

One thread over epoll (or kqueue) with a buffer that all connections share, because whatever the sink spends per request
is missing from what is measured. It counts records by a text that every record holds once, however it was serialised.

``python sink.py --marker '"order_id":'`` prints the port it listens on. ``GET /counts`` answers what came in since the
last such question, as JSON, with the processor time it took.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import signal
import socket
import time

BUFFER_BYTES = 1024 * 1024
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Counts:
    """What came in."""

    def __init__(self) -> None:
        self.requests = self.connections = self.body_bytes = self.records = 0
        self.processor = time.process_time()

    def take(self) -> dict[str, float]:
        """Return the counts as a document, and begin anew."""
        document = {
            "requests": self.requests,
            "connections": self.connections,
            "body_bytes": self.body_bytes,
            "records": self.records,
            "processor_seconds": time.process_time() - self.processor,
        }
        self.__init__()  # type: ignore[misc]
        return document


class Connection:
    """One connection: where it stands between head and body, and what of either it has kept."""

    __slots__ = ("body", "chunked", "head", "left", "socket", "tail")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.head = b""
        self.left = 0
        self.tail = b""
        self.chunked = False
        self.body = bytearray()


class Sink:
    """
    Serve on a port of its own choosing.

    :param marker: the text that stands in each record exactly once
    """

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        # A marker may be cut in two by two reads: that many bytes of one are looked at again with the next.
        self._overlap = len(marker) - 1
        self._buffer = bytearray(self._overlap + BUFFER_BYTES)
        self._view = memoryview(self._buffer)[self._overlap :]
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)  # noqa: FBT003 - socket's own
        self._counts = Counts()
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Serve until the process is ended."""
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        select = self._selector.select
        while True:
            for key, _ in select():
                if key.data is None:
                    self._accept()
                else:
                    self._read(key.data)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)  # noqa: FBT003 - socket's own
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._counts.connections += 1
        self._selector.register(sock, selectors.EVENT_READ, Connection(sock))

    def _read(self, connection: Connection) -> None:
        try:
            size = connection.socket.recv_into(self._view)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._selector.unregister(connection.socket)
            connection.socket.close()
            return
        start, stop = self._overlap, self._overlap + size
        if connection.left:
            start = self._body(connection, start, stop)
        if connection.chunked:
            connection.body += self._view[:size]
            self._chunks(connection)
        elif start < stop:
            self._heads(connection, bytes(self._buffer[start:stop]))

    def _heads(self, connection: Connection, data: bytes) -> None:
        """Take what begins with a request's head, or goes on with one."""
        data = connection.head + data
        connection.head = b""
        counts = self._counts
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                connection.head = data
                return
            if data.startswith(b"GET "):
                self._answer_counts(connection)
                return
            lower = data[:end].lower()
            at = lower.find(b"\r\ncontent-length:")
            if lower.find(b"\r\nexpect: 100") >= 0:
                connection.socket.send(CONTINUE)
            end += 4
            if at < 0:
                connection.chunked = lower.find(b"\r\ntransfer-encoding: chunked") >= 0
                if connection.chunked:
                    connection.body = bytearray(data[end:])
                    self._chunks(connection)
                    return
                length = 0
            else:
                line = lower.find(b"\r\n", at + 2)
                length = int(lower[at + 17 : line if line >= 0 else None])
            here = len(data) - end
            if here < length:
                connection.left = length - here
                counts.records += data.count(self._marker, end)
                connection.tail = data[max(end, len(data) - self._overlap) :]
                counts.body_bytes += here
                return
            counts.records += data.count(self._marker, end, end + length)
            counts.body_bytes += length
            counts.requests += 1
            connection.socket.send(ANSWER)
            data = data[end + length :]

    def _body(self, connection: Connection, start: int, stop: int) -> int:
        """Take the next part of a body, which lies in the shared buffer; return where it ends."""
        end = min(stop, start + connection.left)
        tail = connection.tail
        begin = start - len(tail)
        self._buffer[begin:start] = tail
        counts = self._counts
        counts.records += self._buffer.count(self._marker, begin, end)
        counts.body_bytes += end - start
        connection.left -= end - start
        if connection.left:
            connection.tail = bytes(self._buffer[max(begin, end - self._overlap) : end])
        else:
            connection.tail = b""
            counts.requests += 1
            connection.socket.send(ANSWER)
        return end

    def _chunks(self, connection: Connection) -> None:
        """Take the whole chunks of a chunked body (RFC 9112, section 7.1); what is left waits for more."""
        body, counts = connection.body, self._counts
        while (line := body.find(b"\r\n")) >= 0:
            size = int(body[:line].split(b";")[0], 16)
            begin, end = line + 2, line + 2 + size
            if len(body) < end + 2:
                return
            part = connection.tail + body[begin:end]
            counts.records += part.count(self._marker)
            counts.body_bytes += size
            connection.tail = bytes(part[-self._overlap :])
            del body[: end + 2]
            if not size:
                connection.chunked = False
                connection.tail = b""
                counts.requests += 1
                connection.socket.send(ANSWER)
                self._heads(connection, bytes(body))
                return

    def _answer_counts(self, connection: Connection) -> None:
        document = json.dumps(self._counts.take()).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(document)
        connection.socket.send(head + document)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marker", default='"order_id":', help="the text that stands in each record exactly once")
    parser.add_argument("--cores", default="", help="run on these processors only, such as 1 or 1,2")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if arguments.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in arguments.cores.split(",")})
    sink = Sink(arguments.marker.encode())
    print(sink.port, flush=True)
    sink.serve()


if __name__ == "__main__":
    main()
