# ruff: noqa: D102, PLR2004 - a test's name is its documentation, and its numbers are there to be read
"""What every transport promises where something goes wrong: the half of the contract the verdict table needs."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError
from airflow_provider_osmosdest.core.http.transport import Body, Request
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
    @pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
    def test_a_part_of_the_body_is_out_when_it_breaks(self, ask: Any, end: Any, secure: bool, tmp_path: Path) -> None:  # noqa: FBT001
        def script(talk: Conversation) -> None:
            talk.read_body(100_000)
            end(talk)

        tls, certificate = self_signed(tmp_path, "127.0.0.1") if secure else (None, True)
        with ScriptedServer(script, tls=tls) as server:
            came = ask(server.url, Body([b"x" * _LARGE], _LARGE), verify=certificate)
        # What an API makes of a half body is its own business: it may have taken the records in it.
        assert isinstance(came.error, AmbiguousError)
        assert came.status is None
        if not secure:
            assert f" of {_LARGE:,} bytes)" in str(came.error)
        assert len(server.received) == 1

    @pytest.mark.parametrize("end", [Conversation.close, Conversation.reset])
    def test_it_breaks_where_there_is_no_body(self, ask: Any, end: Callable[[Conversation], None]) -> None:
        with ScriptedServer(end) as server:
            assert isinstance(ask(server.url, b"", method="DELETE").error, AmbiguousError)
        assert len(server.received) == 1

    @pytest.mark.parametrize("end", [Conversation.close, Conversation.reset])
    @pytest.mark.parametrize(
        "said",
        [
            b"",
            b"HTTP/1.1 2",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Ty",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-",
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

    def test_it_breaks_after_the_body_is_out_under_tls(self, ask: Any, tmp_path: Path) -> None:
        tls, certificate = self_signed(tmp_path, "127.0.0.1")
        for end in (Conversation.close, Conversation.reset):

            def script(talk: Conversation, end: Callable[[Conversation], None] = end) -> None:
                talk.read_body()
                end(talk)

            with ScriptedServer(script, tls=tls) as server:
                assert isinstance(ask(server.url, verify=certificate).error, AmbiguousError)
            assert len(server.received) == 1

    def test_a_success_longer_than_is_kept_breaks_off(self, ask: Any) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 300_000)
            talk.close()

        with ScriptedServer(script) as server:
            assert isinstance(ask(server.url, answer_bytes=1_000).error, AmbiguousError)

    def test_a_refusal_stands_though_the_rest_of_it_never_comes(self, ask: Any) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            talk.send(b"HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\nten bytes!")
            end(talk)

        for end in (Conversation.close, Conversation.reset, Conversation.hang):  # noqa: B007 - the script looks at it
            with ScriptedServer(script) as server:
                came = ask(server.url, timeout=0.3)
            assert (came.status, came.error, came.whole) == (422, None, False)

    @pytest.mark.parametrize(
        "said",
        [
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            b"<html>served by HTTP/0.9</html>",
            b"\x00\x01\x02\r\n\r\n",
            b"HTTP/1.1 yes OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
        ],
    )
    def test_what_is_garbled_is_no_answer(self, ask: Any, said: bytes) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            talk.send(said)
            talk.close()

        with ScriptedServer(script) as server:
            came = ask(server.url)
        assert isinstance(came.error, AmbiguousError)
        assert (came.status, len(server.received)) == (None, 1)

    @pytest.mark.parametrize(
        "rest",
        [
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc",
            b"Content-Length: 100\r\nContent-Encoding: gzip\r\n\r\nplain",
            b"X-",
        ],
    )
    def test_a_refusal_stands_though_the_rest_of_it_is_garbled(self, ask: Any, rest: bytes) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            talk.send(b"HTTP/1.1 422 No\r\n" + rest)
            talk.close()

        with ScriptedServer(script) as server:
            came = ask(server.url)
        assert (came.status, came.error) == (422, None)

    @pytest.mark.parametrize("kind", [0, 1], ids=["bytes", "pieces"])
    def test_the_api_takes_a_request_on_a_kept_connection_and_is_gone(self, start: Any, kind: int) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            if talk.number:
                server.stop_listening()
                talk.close()
            else:
                talk.reply()

        with ScriptedServer(script) as server:
            transport = start(server.url)
            assert until(transport, 1, [Request(both_kinds(b"[1]")[kind])])[0].status == 200
            came = until(transport, 1, [Request(both_kinds(b"[2]")[kind])])[0]
            # That there is no other connection to be had says nothing of the one that took the body.
            assert isinstance(came.error, AmbiguousError)
            assert len(server.received) == 2
            assert isinstance(until(transport, 1, [Request(b"[3]")])[0].error, NotSentError)

    def test_a_kept_connection_that_breaks_half_way_is_not_used_up_silently(self, start: Any) -> None:
        def script(talk: Conversation) -> None:
            if talk.number:
                talk.read_body(100_000)
                talk.reset()
            else:
                talk.read_body()
                talk.reply()

        with ScriptedServer(script) as server:
            transport = start(server.url)
            assert until(transport, 1, [Request(pieces_of())])[0].status == 200
            came = until(transport, 1, [Request(Body([b"x" * _LARGE], _LARGE))])[0]
            assert isinstance(came.error, AmbiguousError)
            assert len(server.received) == 2

    # -- redirects ----------------------------------------------------------------------------------------------

    def test_what_left_before_a_redirect_was_answered_by_it(self, ask: Any) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            server.stop_listening()
            talk.reply(307, b"", {"Location": "/there", "Connection": "close"})
            talk.close()

        with ScriptedServer(script) as server:
            came = ask(server.url)
        assert isinstance(came.error, NotSentError)
        assert len(server.received) == 1

    @pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
    def test_it_breaks_after_a_redirect_was_followed(self, ask: Any, said: bytes) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            if talk.request.target == "/there":
                talk.send(said)
                talk.close()
            else:
                talk.reply(307, b"", {"Location": "/there"})

        with ScriptedServer(script) as server:
            came = ask(server.url + "/here")
        assert isinstance(came.error, AmbiguousError)
        assert [(got.target, got.body) for got in server.received] == [("/here", b"[1]"), ("/there", b"[1]")]

    def test_a_redirect_of_which_only_the_head_comes_is_followed(self, ask: Any) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            if talk.request.target == "/there":
                talk.reply(201)
            else:
                talk.send(b"HTTP/1.1 307 There\r\nLocation: /there\r\nContent-Length: 100\r\n\r\n")
                talk.close()

        with ScriptedServer(script) as server:
            came = ask(server.url + "/here")
        assert (came.status, came.error) == (201, None)

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
        # Where the reset overtakes the answer, it cannot be had.
        assert all(came.status == 413 or isinstance(came.error, AmbiguousError) for came in answers)
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

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_a_certificate_of_another_name(self, ask: Any, tmp_path: Path) -> None:
        tls, certificate = self_signed(tmp_path, "api.example.com")
        with ScriptedServer(answer(), tls=tls) as server:
            assert isinstance(ask(server.url, verify=certificate).error, TlsError)
            assert server.received == []
            assert ask(server.url, verify=False).status == 200

    def test_no_tls_where_tls_is_expected(self, ask: Any) -> None:
        with ScriptedServer(answer()) as server:
            assert isinstance(ask(server.url.replace("http:", "https:")).error, TlsError)
        assert server.received == []

    def test_tls_is_never_agreed_on(self, ask: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"https://127.0.0.1:{silent.getsockname()[1]}"
            started = time.monotonic()
            came = ask(url, connect_timeout=0.2)
        assert isinstance(came.error, NotSentError)
        assert time.monotonic() - started < 5

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

    @pytest.mark.parametrize("status", [403, 407, 502, 504])
    def test_a_proxy_that_refuses_the_tunnel(self, ask: Any, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
        with ScriptedServer(answer(status, b"no", {"Connection": "close"})) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            came = ask("https://api.invalid/v1")
        assert isinstance(came.error, NotSentError)
        assert (came.status, [got.method for got in proxy.received]) == (None, ["CONNECT"])

    @pytest.mark.parametrize("end", [Conversation.close, Conversation.reset])
    def test_a_proxy_that_breaks_before_there_is_a_tunnel(
        self, ask: Any, monkeypatch: pytest.MonkeyPatch, end: Callable[[Conversation], None]
    ) -> None:
        with ScriptedServer(end) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            assert isinstance(ask("https://api.invalid/v1").error, NotSentError)

    @pytest.mark.parametrize("status", [502, 504])
    def test_what_a_proxy_says_of_a_plain_request_is_a_status(
        self, ask: Any, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        with ScriptedServer(answer(status, b"no")) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            came = ask("http://api.invalid/v1")
        assert (came.status, came.error, came.whole) == (status, None, True)

    @pytest.mark.parametrize("end", [Conversation.close, Conversation.reset])
    def test_a_proxy_that_takes_a_plain_request_and_breaks(
        self, ask: Any, monkeypatch: pytest.MonkeyPatch, end: Callable[[Conversation], None]
    ) -> None:
        def script(talk: Conversation) -> None:
            talk.read_body()
            end(talk)

        with ScriptedServer(script) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            assert isinstance(ask("http://api.invalid/v1").error, AmbiguousError)
