"""Fixtures of the transport contract: transports that are closed again, and ways to send with them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Body, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_osmosdest.core.http.transport import Response, Transport

__all__ = ["Exchanges", "both_kinds", "pieces_of", "until"]


def pieces_of(length: int = 3) -> Body:
    """Return a body of 9 bytes for each of ``length``, in pieces of every kind."""
    pieces: list[bytes | memoryview] = [b"[", memoryview(b"xx1,2,3,4" * length)[2:], b"", b"]"]
    return Body(pieces, sum(map(len, pieces)))


def both_kinds(piece: bytes) -> list[bytes | Body]:
    """Return a body in its two kinds."""
    return [piece, Body([piece[:1], memoryview(piece)[1:]], len(piece))]


def until(transport: Transport, count: int, starting: Sequence[Request] = (), within: float = 15) -> list[Response]:
    """Start requests and collect ``count`` answers."""
    answers = transport.exchange(starting, 0.05)
    deadline = time.monotonic() + within
    while len(answers) < count:
        assert time.monotonic() < deadline, f"{count - len(answers)} of {count} answers are missing"
        answers += transport.exchange((), 0.05)
    assert len(answers) == count
    return answers


class Exchanges:
    """The fixtures of the contract."""

    @pytest.fixture
    def make_transport(self) -> Callable[..., Transport]:
        """Return the factory of transports, called with a target, ``in_flight``, ``headers`` and ``answer_bytes``."""
        raise TypeError(f"{type(self).__name__} must say how its transport is made")

    @pytest.fixture(autouse=True)
    def _plain_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)

    @pytest.fixture
    def start(self, make_transport: Callable[..., Transport]) -> Iterator[Callable[..., Transport]]:
        """Return the factory of transports to a URL, which are closed when the test ends."""
        made: list[Transport] = []

        def make(url: str, **more: Any) -> Transport:
            options = {name: more.pop(name) for name in ("in_flight", "headers", "answer_bytes") if name in more}
            headers = more.pop("target_headers", {})
            made.append(make_transport(Target(url, headers=headers, **{"timeout": 10.0, **more}), **options))
            return made[-1]

        yield make
        for each in made:
            each.close()

    @pytest.fixture
    def ask(self, start: Callable[..., Transport]) -> Callable[..., Response]:
        """Return a function that sends one request with a transport of its own and returns the response."""

        def once(url: str, body: bytes | Body = b"[1]", **more: Any) -> Response:
            return until(start(url, **more), 1, [Request(body)])[0]

        return once
