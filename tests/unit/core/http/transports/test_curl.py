from __future__ import annotations

import pycurl
import pytest

from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Body, Request
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.testing.exchanges import both_kinds, pieces_of, until
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer, free_port, self_signed
from airflow_provider_osmosdest.testing.transport_contract import TransportContract

GONE = "the server closed a kept connection without an answer"


class TestContract(TransportContract):
    """What of the contract takes no time; tests/integration/test_transports.py runs all of it."""

    test_a_kept_connection_that_was_closed_meanwhile_costs_nothing = None
    test_a_host_that_does_not_exist = None
    test_a_refusal_stands_though_the_rest_of_it_never_comes = None
    test_it_drips_its_answer = None
    test_it_drips_on_while_others_are_answered = None
    test_it_says_nothing_more = None

    @pytest.fixture
    def make_transport(self):
        return CurlTransport


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def start():
    made = []

    def make(url, *, may_repeat=True, **more):
        made.append(CurlTransport(Target(url, **{"timeout": 10.0, **more}), may_repeat=may_repeat))
        return made[-1]

    yield make
    for each in made:
        each.close()


def one(transport, body=b"[1]", **more):
    return until(transport, 1, [Request(body, **more)])[0]


class Exchange:
    """What libcurl reports about an exchange."""

    def __init__(self, url="http://api.test/", *, proxies=None):
        self.transport = CurlTransport(Target(url, proxies=proxies or {}))
        (self.handle,) = self.transport._handles
        self._curl = self.handle.curl
        self.facts = {pycurl.RESPONSE_CODE: 0, pycurl.SIZE_UPLOAD_T: 0, pycurl.OS_ERRNO: 0}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.handle.curl = self._curl
        self.transport.close()

    def load(self, body=b"12345", **more):
        self.handle.curl = self._curl
        self.handle.load(Request(body, **more), self.transport._lines)
        self.handle.curl = self
        return self.handle

    def getinfo(self, what):
        return self.facts.get(what)


class TestHowFarItGot:
    @pytest.mark.parametrize(("sent", "error"), [(0, NotSentError), (1, AmbiguousError), (5, AmbiguousError)])
    def test_on_a_connection_of_its_own_the_count_tells(self, sent, error):
        with Exchange() as libcurl:
            handle = libcurl.load()
            assert handle._may_connect() == pycurl.SOCKOPT_OK
            assert handle._may_connect() == pycurl.SOCKOPT_OK, "another address of the same host"
            assert handle._may_send() == pycurl.PREREQFUNC_OK
            libcurl.facts[pycurl.SIZE_UPLOAD_T] = sent
            came = handle.answer(pycurl.E_SEND_ERROR, "broken")
            assert type(came.error) is error
            assert str(came.error) == ("broken" if sent == 5 else f"broken (after {sent} of 5 bytes)")

    def test_on_a_kept_connection_no_count_is_relied_on(self):
        with Exchange() as libcurl:
            handle = libcurl.load()
            assert handle._may_send() == pycurl.PREREQFUNC_OK
            came = handle.answer(pycurl.E_OPERATION_TIMEDOUT, "late")
            assert (type(came.error), str(came.error)) == (AmbiguousError, "late")

    @pytest.mark.parametrize("again", ["_may_connect", "_may_send"])
    @pytest.mark.parametrize("code", [pycurl.E_ABORTED_BY_CALLBACK, pycurl.E_COULDNT_CONNECT])
    def test_what_has_begun_never_goes_out_on_a_second_connection(self, again, code):
        with Exchange() as libcurl:
            handle = libcurl.load()
            handle._may_send()
            assert getattr(handle, again)() != 0
            came = handle.answer(code, "whatever")
            assert (type(came.error), str(came.error)) == (AmbiguousError, GONE)
            # The next request begins anew.
            handle = libcurl.load()
            assert handle._may_connect() == pycurl.SOCKOPT_OK
            assert str(handle.answer(code, "whatever").error) == "whatever"

    def test_each_request_is_judged_by_itself(self):
        with Exchange() as libcurl:
            handle = libcurl.load()
            handle._may_connect()
            handle._may_send()
            assert type(handle.answer(pycurl.E_SEND_ERROR, "broken").error) is NotSentError
            handle = libcurl.load()
            assert type(handle.answer(pycurl.E_SEND_ERROR, "broken").error) is NotSentError
            handle = libcurl.load()
            handle._may_send()
            assert type(handle.answer(pycurl.E_SEND_ERROR, "broken").error) is AmbiguousError, "this one was kept"

    @pytest.mark.parametrize(
        ("url", "proxies", "environment"),
        [
            ("https://api.test/", {}, None),
            ("HTTPS://api.test/", {}, None),
            ("http://api.test/", {"http": "https://proxy.test"}, None),
            ("http://api.test/", {}, "https://proxy.test"),
        ],
    )
    def test_under_tls_no_count_is_relied_on(self, url, proxies, environment, monkeypatch):
        if environment:
            monkeypatch.setenv("http_proxy", environment)
        with Exchange(url, proxies=proxies) as libcurl:
            handle = libcurl.load()
            handle._may_connect()
            handle._may_send()
            assert type(handle.answer(pycurl.E_OPERATION_TIMEDOUT, "late").error) is AmbiguousError

    def test_the_url_of_the_request_says_whether_there_is_tls(self):
        for url, other, error in [("http", "https", AmbiguousError), ("https", "http", NotSentError)]:
            with Exchange(f"{url}://api.test/") as libcurl:
                handle = libcurl.load(url=f"{other}://api.test/1")
                handle._may_connect()
                handle._may_send()
                assert type(handle.answer(pycurl.E_SEND_ERROR, "broken").error) is error

    def test_a_plain_proxy_changes_nothing(self):
        with Exchange(proxies={"http": "http://proxy.test"}) as libcurl:
            handle = libcurl.load()
            handle._may_connect()
            handle._may_send()
            assert type(handle.answer(pycurl.E_SEND_ERROR, "broken").error) is NotSentError

    def test_the_systems_error_is_looked_at(self):
        import errno

        with Exchange("https://api.test/") as libcurl:
            libcurl.facts[pycurl.OS_ERRNO] = errno.ECONNRESET
            assert type(libcurl.load().answer(pycurl.E_SSL_CONNECT_ERROR, "tls").error) is NotSentError

    @pytest.mark.parametrize(("status", "stands"), [(0, False), (200, False), (299, False), (300, True), (413, True)])
    @pytest.mark.parametrize("begun", [True, False])
    def test_a_status_stands_where_the_request_had_begun(self, status, stands, begun):
        with Exchange() as libcurl:
            handle = libcurl.load()
            handle._may_connect()
            if begun:
                handle._may_send()
            handle._head.extend([b"HTTP/1.1 413 No\r\n", b"Location: /there\r\n", b"Retry-After: 7\r\n", b"\r\n"])
            libcurl.facts.update({pycurl.RESPONSE_CODE: status})
            handle._write(b"cut")
            came = handle.answer(pycurl.E_RECV_ERROR, "reset")
            if stands and begun:
                assert (came.status, came.error, came.body, came.whole) == (status, None, b"cut", False)
                assert (came.retry_after, came.location) == (7, "/there")
            else:
                assert (came.status, type(came.error)) == (None, AmbiguousError if begun and status else NotSentError)

    @pytest.mark.parametrize("status", [200, 299])
    @pytest.mark.parametrize("empty_line", [True, False])
    @pytest.mark.parametrize("body", [b"", b"x"])
    def test_a_success_has_a_whole_head(self, status, empty_line, body):
        with Exchange() as libcurl:
            handle = libcurl.load()
            handle._may_send()
            handle._head.extend([b"HTTP/1.1 200 OK\r\n", b"\r\n"] if empty_line else [b"HTTP/1.1 200 OK\r\n"])
            if body:
                handle._write(body)
            libcurl.facts[pycurl.RESPONSE_CODE] = status
            came = handle.answer()
            if empty_line or body:
                assert (came.status, came.body, came.error, came.whole) == (status, body, None, True)
            else:
                assert str(came.error) == f"the answer {status} broke off in its headers"
                assert (came.status, type(came.error)) == (None, AmbiguousError)
            assert libcurl.load()._head == []


class TestConnections:
    @pytest.mark.parametrize("may_repeat", [True, False])
    def test_kept_or_not(self, start, may_repeat):
        with ScriptedServer(answer()) as server:
            transport = start(server.url, may_repeat=may_repeat)
            for body in (b"[1]", b"[2]", pieces_of(), b"[3]"):
                assert one(transport, body).status == 200
            assert server.connections == (1 if may_repeat else 4)

    def test_a_fresh_one_for_a_request_that_asks_for_it(self, start):
        with ScriptedServer(answer()) as server:
            transport = start(server.url)
            for fresh in (False, True, True, False):
                assert one(transport, fresh=fresh).status == 200
            assert server.connections == 3

    @pytest.mark.parametrize("kind", [0, 1], ids=["bytes", "pieces"])
    def test_what_a_kept_one_took_is_not_sent_again_and_the_next_request_is(self, start, kind):
        def script(talk):
            talk.read_body()
            if talk.number:
                talk.close()
            else:
                talk.reply()

        with ScriptedServer(script) as server:
            transport = start(server.url)
            one(transport, both_kinds(b"[1]")[kind])
            came = one(transport, both_kinds(b"[2]")[kind])
            assert (type(came.error), str(came.error)) == (AmbiguousError, GONE)
            assert one(transport, both_kinds(b"[3]")[kind]).status == 200
            assert [got.body for got in server.received] == [b"[1]", b"[2]", b"[3]"]

    def test_nothing_listens_and_later_something_does(self, start):
        transport = start(f"http://127.0.0.1:{free_port()}")
        assert type(one(transport).error) is NotSentError
        with ScriptedServer(answer()) as server:
            assert one(transport, url=server.url).status == 200


class TestTimes:
    @pytest.mark.parametrize("large", [0, 50_000])
    def test_a_large_body_has_more_of_it_and_the_next_does_not(self, start, large):
        transport = start("http://127.0.0.1:1", timeout=1.0)
        (handle,) = transport._handles
        asked = []

        class Curl:
            def setopt(self, option, value):
                if option == pycurl.TIMEOUT_MS:
                    asked.append(value)

        real, handle.curl = handle.curl, Curl()
        for length in (10, 100_001 + large, 100_000, 100_000):
            handle.load(Request(b"x" * length), transport._lines)
        handle.curl = real
        assert asked == ([2_000 + large // 100, 2_000] if large else [])

    def test_it_says_nothing(self, start):
        def script(talk):
            talk.read_body()
            talk.hang()

        with ScriptedServer(script) as server:
            came = one(start(server.url, timeout=0.2), Body([b"abc"], 3))
        assert type(came.error) is AmbiguousError

    def test_seconds_that_do_not_fit_into_milliseconds(self, start):
        with ScriptedServer(answer()) as server:
            assert one(start(server.url, timeout=1e12)).status == 200


class TestSettings:
    def test_a_header_without_a_value_goes_out(self, start):
        with ScriptedServer(answer()) as server:
            assert one(start(server.url, headers={"X-Empty": ""}), headers={"X-None": ""}).status == 200
        (got,) = server.received
        assert (got.headers["x-empty"], got.headers["x-none"]) == (b"", b"")

    def test_a_proxy_of_the_target(self, start):
        with ScriptedServer(answer(200, b"by proxy")) as proxy:
            for proxies in ({"http": proxy.url}, {"all": proxy.url}):
                assert one(start("http://api.invalid/", proxies=proxies)).body == b"by proxy"
            assert type(one(start("http://127.0.0.1:1/", proxies={"https": proxy.url})).error) is NotSentError

    @pytest.mark.parametrize("but", ["", "api.invalid", "*"])
    def test_a_proxy_of_the_environment(self, start, monkeypatch, but):
        with ScriptedServer(answer(200, b"by proxy")) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", but)
            came = one(start("http://api.invalid/"))
            assert (came.body, type(came.error)) == ((b"", NotSentError) if but else (b"by proxy", type(None)))

    @pytest.mark.parametrize("kind", [0, 1], ids=["bytes", "pieces"])
    @pytest.mark.parametrize("name", ["User-Agent", "USER-AGENT"])
    @pytest.mark.parametrize("value", ["orders/1", "größe", ""])
    def test_a_user_agent_of_its_own(self, start, kind, name, value):
        with ScriptedServer(answer()) as server:
            transport = start(server.url, headers={name: value})
            for body in (b"[1]", both_kinds(b"[2]")[kind], b"[3]"):
                assert one(transport, body).status == 200
        assert [got.headers["user-agent"] for got in server.received] == [value.encode()] * 3

    @pytest.mark.parametrize("folder", [True, False])
    def test_certificates_of_a_file_or_a_folder_and_one_of_its_own(self, start, tmp_path, folder):
        import ssl
        import subprocess

        tls, certificate = self_signed(tmp_path, "127.0.0.1")
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(certificate)
        key = certificate.replace(".crt", ".key")
        trusted = certificate
        if folder:
            trusted = str(tmp_path / "trusted")
            (tmp_path / "trusted").mkdir()
            asked = ["openssl", "x509", "-hash", "-noout", "-in", certificate]
            name = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
            (tmp_path / "trusted" / f"{name}.0").write_bytes((tmp_path / "127.0.0.1.crt").read_bytes())
        both = tmp_path / "both.pem"
        both.write_bytes((tmp_path / "127.0.0.1.crt").read_bytes() + (tmp_path / "127.0.0.1.key").read_bytes())
        with ScriptedServer(answer(), tls=tls) as server:
            assert one(start(server.url, verify=trusted, cert=(certificate, key))).status == 200
            assert one(start(server.url, verify=trusted, cert=str(both))).status == 200
            assert one(start(server.url, verify=trusted)).status is None
