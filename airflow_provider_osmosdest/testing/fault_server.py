"""
A real HTTP server that takes records, misbehaves as it is told, and keeps a log of every record it took.

::

    with FaultServer(first(3, reset_after_body)) as server:
        ...  # deliver to server.url
        assert set(server.taken) == set(range(1_000))

A fault is called with the conversation and a function that reads the body and logs its records as taken; it answers
what it likes, or nothing. :func:`well` takes the records and answers with success.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.testing.servers import Conversation, ScriptedServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    _Fault = Callable[[Conversation, Callable[[], Any]], None]

__all__ = [
    "FaultServer",
    "answering",
    "close_after_answer",
    "first",
    "half_an_answer",
    "only_after",
    "refuse_over",
    "reset_after_body",
    "reset_before_body",
    "reset_during_body",
    "silence_after_body",
    "silence_before_body",
    "sometimes",
    "too_long_an_answer",
    "well",
]


class FaultServer(ScriptedServer):
    """
    Take records that have an ``id``, as one object, an array or NDJSON.

    :param fault: what to do with each request
    :param tls: the server's side of TLS, ``None`` for plain HTTP
    """

    def __init__(self, fault: _Fault | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._handle, tls=tls)
        self._fault = fault or well
        self._log = threading.Lock()
        self.taken: Counter[Any] = Counter()
        """How often each record was taken, by its id."""
        self.takings: list[tuple[str, tuple[Any, ...]]] = []
        """The idempotency key and the ids of each request that was taken, in order."""

    def _handle(self, talk: Conversation) -> None:
        def take() -> None:
            ids = _ids_in(talk.read_body())
            key = talk.request.headers.get("idempotency-key", b"").decode()
            with self._log:
                self.taken.update(ids)
                self.takings.append((key, ids))

        self._fault(talk, take)

    @property
    def once_by_key(self) -> Counter[Any]:
        """How often each record would have been taken by a server that detects a repeated key."""
        with self._log:
            return Counter(id_ for _, ids in dict(self.takings).items() for id_ in ids)


def _ids_in(body: bytes) -> tuple[Any, ...]:
    try:
        document = json.loads(body)
    except ValueError:
        document = [json.loads(line) for line in body.splitlines()]
    return tuple(record["id"] for record in (document if isinstance(document, list) else [document]))


def well(talk: Conversation, take: Callable[[], Any]) -> None:
    """Take the records and answer with success."""
    take()
    talk.reply(200, b"{}")


def answering(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, *, taking: bool = False
) -> _Fault:
    """Return a fault that answers this, by default without taking anything."""

    def fault(talk: Conversation, take: Callable[[], Any]) -> None:
        if taking:
            take()
        else:
            talk.read_body()
        talk.reply(status, body, headers)

    return fault


def reset_before_body(talk: Conversation, take: Callable[[], Any]) -> None:  # noqa: ARG001 - takes nothing
    """Reset the connection when the headers are in."""
    talk.reset()


def reset_during_body(talk: Conversation, take: Callable[[], Any]) -> None:  # noqa: ARG001 - takes nothing
    """Reset the connection when half of the body is in."""
    talk.read_body(talk.request.length // 2)
    talk.reset()


def reset_after_body(talk: Conversation, take: Callable[[], Any]) -> None:
    """Take the records, and reset the connection instead of answering."""
    take()
    talk.reset()


def silence_before_body(talk: Conversation, take: Callable[[], Any]) -> None:  # noqa: ARG001 - takes nothing
    """Read the body, take nothing of it, and never answer."""
    talk.read_body()
    talk.hang()


def silence_after_body(talk: Conversation, take: Callable[[], Any]) -> None:
    """Take the records, and never answer."""
    take()
    talk.hang()


def half_an_answer(talk: Conversation, take: Callable[[], Any]) -> None:
    """Take the records, and close the connection in the middle of the answer."""
    take()
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    talk.close()


def too_long_an_answer(talk: Conversation, take: Callable[[], Any]) -> None:
    """Take the records, and send more than ``Content-Length`` announces, in the form of another answer."""
    take()
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n")


def close_after_answer(talk: Conversation, take: Callable[[], Any]) -> None:
    """Take the records, answer, and close the connection without having said that it will be."""
    well(talk, take)
    talk.close()


def refuse_over(size: int) -> _Fault:
    """Return a fault that answers 413 to a body over ``size`` bytes, without reading it."""

    def fault(talk: Conversation, take: Callable[[], Any]) -> None:
        if talk.request.length <= size:
            well(talk, take)
            return
        talk.reply(413, b"too large")
        talk.close()

    return fault


def first(count: int, fault: _Fault, then: _Fault = well) -> _Fault:
    """Return a fault that befalls the first ``count`` requests."""
    lock = threading.Lock()
    seen = 0

    def either(talk: Conversation, take: Callable[[], Any]) -> None:
        nonlocal seen
        with lock:
            seen += 1
            early = seen <= count
        (fault if early else then)(talk, take)

    return either


def only_after(count: int, fault: _Fault) -> _Fault:
    """Return a fault that befalls all but the first ``count`` requests."""
    return first(count, well, fault)


def sometimes(share: float, faults: Sequence[_Fault], seed: int = 1) -> _Fault:
    """Return a fault that befalls a share of all requests, drawn evenly from several."""
    draw = random.Random(seed)  # noqa: S311 - faults need not be secret
    lock = threading.Lock()

    def fault(talk: Conversation, take: Callable[[], Any]) -> None:
        with lock:
            chosen = draw.choice(faults) if draw.random() < share else well
        chosen(talk, take)

    return fault
