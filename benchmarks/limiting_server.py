"""
A server that takes only so many requests a second, for benchmarks; prints its port.

``POST /KIND/RATE/RETRY_AFTER/MILLISECONDS/STATUS/NAME`` is limited by itself: a ``bucket`` that fills evenly and holds
a second's worth, or a ``window``, which is each second of the clock. It answers after so many milliseconds, and refuses
by that status, with ``Retry-After`` unless that is ``-``. ``GET /counts`` answers what each took and refused in the
first ``--seconds`` after its first request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time


class Limiter:
    """Count requests by the rule of a path, and say which are taken."""

    def __init__(self, path: str, seconds: float) -> None:
        kind, rate, retry_after, milliseconds, status, _ = path.strip("/").split("/")
        self.delay = int(milliseconds) / 1000
        header = "" if retry_after == "-" else f"Retry-After: {retry_after}\r\n"
        self.refusal = f"HTTP/1.1 {status} Slow down\r\n{header}Content-Length: 0\r\n\r\n".encode()
        self._is_bucket, self._rate = kind == "bucket", float(rate)
        self._tokens, self._at, self._second, self._count = self._rate, time.monotonic(), 0, 0
        self._until = time.monotonic() + seconds
        self.taken = self.refused = 0

    def takes(self) -> bool:
        now = time.monotonic()
        takes = self._bucket_takes(now) if self._is_bucket else self._window_takes(now)
        if now < self._until:
            self.taken += takes
            self.refused += not takes
        return takes

    def _bucket_takes(self, now: float) -> bool:
        self._tokens, self._at = min(self._rate, self._tokens + (now - self._at) * self._rate), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _window_takes(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        return self._count <= self._rate


class Server:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limiters: dict[str, Limiter] = {}

    def counts(self) -> bytes:
        found = {path: {"taken": each.taken, "refused": each.refused} for path, each in self._limiters.items()}
        return json.dumps(found).encode()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                _, path, _ = head.decode("latin-1").split(" ", 2)
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                writer.write(self._ok(self.counts()) if path == "/counts" else await self._limited(path))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _limited(self, path: str) -> bytes:
        limiter = self._limiters.get(path)
        if limiter is None:
            limiter = self._limiters[path] = Limiter(path, self._seconds)
        # There and back.
        await asyncio.sleep(limiter.delay / 2)
        takes = limiter.takes()
        await asyncio.sleep(limiter.delay / 2)
        return self._ok(b"{}") if takes else limiter.refusal

    @staticmethod
    def _ok(body: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def serve(seconds: float) -> None:
    listening = await asyncio.start_server(Server(seconds).talk, "127.0.0.1", 0, backlog=1024)
    print(listening.sockets[0].getsockname()[1], flush=True)
    async with listening:
        await listening.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.seconds))
