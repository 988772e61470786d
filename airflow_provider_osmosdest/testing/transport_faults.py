# ruff: noqa: D102, PLR2004 - a test's name is its documentation, and its numbers are there to be read
"""What every transport promises where something goes wrong: the half of the contract the verdict table needs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_osmosdest.core.delivery.transport import Body, Request
from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError
from airflow_provider_osmosdest.testing.exchanges import Exchanges, both_kinds, pieces_of, until
from airflow_provider_osmosdest.testing.servers import Conversation, ScriptedServer, answer, free_port, self_signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FaultContract"]

_LARGE = 24 * 1024 * 1024
"""More than two sockets' buffers hold, so that a server that does not read stops the sender."""


class FaultContract(Exchanges):
    """Which error each fault comes out as; part of :class:`~.transport_contract.TransportContract`."""

    # -- what goes wrong ----------------------------------------------------------------------------------------

    def test_nothing_listens(self, ask: Any) -> None:
        came = ask(f"http://127.0.0.1:{free_port()}/v1?key=s3cret")
        assert isinstance(came.error, NotSentError)
        assert came.status is None
        assert "s3cret" not in str(came.error), "what may be secret in a URL is not quoted"

    def test_a_host_that_does_not_exist(self, ask: Any) -> None:
        assert isinstance(ask("http://no-such-host.invalid").error, NotSentError)

    @pytest.mark.parametrize("end", [Conversation.close, Conversation.reset])
    def test_it_breaks_before_the_body_is_out(self, ask: Any, end: Callable[[Conversation], None]) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body(100_000)
            end(talk)

        with ScriptedServer(script) as server:
            came = ask(server.url, Body([b"x" * _LARGE], _LARGE))
        assert isinstance(came.error, NotSentError)

    @pytest.mark.parametrize("end", [Conversation.close, Conversation.reset])
    @pytest.mark.parametrize(
        "said",
        [
            b"",
            b"HTTP/1.1 2",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes!",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ],
    )
    @pytest.mark.parametrize("kind", [0, 1], ids=["bytes", "pieces"])
    def test_it_breaks_after_the_body_is_out(self, ask: Any, end: Any, said: bytes, kind: int) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            talk.send(said)
            end(talk)

        with ScriptedServer(script) as server:
            came = ask(server.url, both_kinds(b"[1,2]")[kind])
        assert isinstance(came.error, AmbiguousError)
        assert came.status is None
        assert len(server.received) == 1

    def test_a_refusal_stands_though_the_rest_of_it_never_comes(self, ask: Any) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            talk.send(b"HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\nten bytes!")
            end(talk)

        for end in (Conversation.close, Conversation.reset, Conversation.hang):  # noqa: B007 - the script looks at it
            with ScriptedServer(script) as server:
                came = ask(server.url, timeout=0.3)
            assert (came.status, came.error, came.whole) == (422, None, False)

    def test_what_is_not_http_is_no_answer(self, ask: Any) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            talk.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
            talk.close()

        with ScriptedServer(script) as server:
            assert isinstance(ask(server.url).error, AmbiguousError)

    @pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes!"])
    def test_it_says_nothing_more(self, start: Any, said: bytes) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            if talk.request.connection == 0:
                talk.send(said)
                talk.hang()
            else:
                talk.reply()

        with ScriptedServer(script) as server:
            transport = start(server.url, timeout=0.3)
            started = time.monotonic()
            came = until(transport, 1, [Request(b"[]")])[0]
            assert 0.25 < time.monotonic() - started < 5
            assert isinstance(came.error, AmbiguousError)
            assert until(transport, 1, [Request(b"[]")])[0].status == 200, "the next request goes out as if nothing was"

    @pytest.mark.parametrize(
        ("said", "status"),
        [
            (b"HTTP/1.1 200 OK\r\nX-Slow: ", None),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", None),
            (b"HTTP/1.1 200 OK\r\n\r\n", None),
            (b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 100000\r\n\r\n", 503),
        ],
        ids=["head", "body", "endless", "refusal"],
    )
    def test_it_drips_its_answer(self, start: Any, said: bytes, status: int | None) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            if talk.request.connection == 0:
                talk.send(said)
                talk.drip()
            else:
                talk.reply()

        with ScriptedServer(script) as server:
            transport = start(server.url, timeout=0.4)
            started = time.monotonic()
            came = until(transport, 1, [Request(b"[]")])[0]
            # However often something comes, the time for all of it is bounded.
            assert 0.3 < time.monotonic() - started < 5
            assert came.status == status
            if status is None:
                assert isinstance(came.error, AmbiguousError)
            else:
                assert (came.retry_after, came.whole) == (7, False)
            assert until(transport, 1, [Request(b"[]")])[0].status == 200, "the next request goes out as if nothing was"

    def test_it_drips_on_while_others_are_answered(self, start: Any) -> None:
        def script(talk: Conversation) -> None:
            if talk.read_body() == b"[0]":
                talk.send(b"HTTP/1.1 200 OK\r\n")
                talk.drip(b"X-Slow: 1\r\n")
            else:
                talk.reply()

        with ScriptedServer(script) as server:
            transport = start(server.url, timeout=0.5, in_flight=2)
            came = until(transport, 2, [Request(b"[0]", 0), Request(b"[1]", 1)])
            came += until(transport, 2, [Request(b"[0]", 2), Request(b"[1]", 3)])
        assert {each.request.key: each.status for each in came} == {0: None, 1: 200, 2: None, 3: 200}

    @pytest.mark.parametrize("close", [True, False])
    def test_a_refusal_before_the_body_is_out_is_an_answer(self, ask: Any, close: bool) -> None:  # noqa: FBT001
        def script(talk: Conversation) -> None:
            talk.read_body(100_000)
            talk.reply(413, b"at most 1 MB", {"Connection": "close"} if close else {})
            talk.close()

        with ScriptedServer(script) as server:
            answers = [ask(server.url, Body([b"x" * _LARGE], _LARGE)) for _ in range(5)]
        # Where the reset overtakes the answer, it cannot be had; that nothing was taken is certain all the same.
        assert all(came.status == 413 or isinstance(came.error, NotSentError) for came in answers)
        assert any(came.status == 413 for came in answers)

    # -- TLS ----------------------------------------------------------------------------------------------------

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_a_certificate_that_is_trusted(self, ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tls, certificate = self_signed(tmp_path, "127.0.0.1")
        with ScriptedServer(answer(200, b"{}"), tls=tls) as server:
            assert ask(server.url, verify=certificate).status == 200
            assert ask(server.url, pieces_of(100_000), verify=certificate).status == 200
            assert ask(server.url, verify=False).status == 200
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
            assert ask(server.url).status == 200
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
            assert ask(server.url, verify=certificate).status == 200
            assert ask(server.url, verify=False).status == 200

    def test_a_certificate_nobody_vouches_for(self, ask: Any, tmp_path: Path) -> None:
        tls, _ = self_signed(tmp_path, "127.0.0.1")
        with ScriptedServer(answer(), tls=tls) as server:
            assert isinstance(ask(server.url).error, TlsError)
        assert server.received == []

    def test_a_certificate_of_another_name(self, ask: Any, tmp_path: Path) -> None:
        tls, certificate = self_signed(tmp_path, "api.example.com")
        with ScriptedServer(answer(), tls=tls) as server:
            assert isinstance(ask(server.url, verify=certificate).error, TlsError)
        assert server.received == []

    def test_no_tls_where_tls_is_expected(self, ask: Any) -> None:
        with ScriptedServer(answer()) as server:
            assert isinstance(ask(server.url.replace("http:", "https:")).error, TlsError)
        assert server.received == []

    # -- proxies ------------------------------------------------------------------------------------------------

    def test_the_environments_proxy_is_asked(self, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedServer(answer(200, b"by proxy")) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            came = ask("http://api.invalid/v1")
            assert (came.status, came.body) == (200, b"by proxy")
            assert proxy.received[0].target == "http://api.invalid/v1"
            monkeypatch.setenv("no_proxy", "api.invalid,other.invalid")
            assert isinstance(ask("http://api.invalid/v1").error, NotSentError)

    def test_a_proxy_that_is_not_there(self, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        assert isinstance(ask("http://api.invalid/v1").error, NotSentError)
