from __future__ import annotations

import pytest
import requests
import requests_mock

from airflow_provider_osmosdest.core.http.transports.response_head import head_is_whole, header_of, read_strictly
from airflow_provider_osmosdest.testing.servers import ScriptedServer


@pytest.mark.parametrize(
    ("lines", "whole"),
    [
        ([], False),
        ([b"HTTP/1.1 200 OK\r\n"], False),
        ([b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"], False),
        ([b"HTTP/1.1 200 OK\r\n", b"\r\n"], True),
        ([b"HTTP/1.1 200 OK\n", b"A: b\n", b"\n"], True),
        ([b"HTTP/1.1 200 OK\r\n", b"\r\n", b"Trailer: t\r\n"], True),
        ([b"HTTP/1.1 100 Continue\r\n", b"\r\n", b"HTTP/1.1 200 OK\r\n"], False),
        ([b"HTTP/1.1 100 Continue\r\n", b"\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n"], True),
    ],
)
def test_a_head_is_whole_with_an_empty_line_behind_its_status(lines, whole):
    assert head_is_whole(lines) is whole


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ([], None),
        ([b"HTTP/1.1 307 There\r\n", b"Locations: /no\r\n", b"location\r\n"], None),
        ([b"HTTP/1.1 307 There\r\n", b"LOCATION:  http://a/b:c \r\n", b"\r\n"], "http://a/b:c"),
        ([b"Location: /one\r\n", b"Location: /gr\xf6\xdfe\r\n", b"X: y\r\n"], "/größe"),
    ],
)
def test_a_header_is_found_whatever_its_case(lines, value):
    assert header_of(lines, b"location") == value


def get(raw, session=None):
    def script(talk):
        talk.send(raw)
        talk.close()

    session = session or requests.Session()
    read_strictly(session)
    session.trust_env = False
    with ScriptedServer(script) as server:
        answer = session.get(server.url)
    session.close()
    return answer.status_code, answer.content


OK = b"HTTP/1.1 200 OK\r\n"


class TestStrictly:
    @pytest.mark.parametrize(
        ("raw", "came"),
        [
            (OK + b"\r\n", (200, b"")),
            (OK + b"\r\nto the end", (200, b"to the end")),
            (OK.replace(b"\r\n", b"\n") + b"A: b\n\nx", (200, b"x")),
            (OK + b"Content-Length: 2\r\n\r\nab", (200, b"ab")),
            (OK + b"Content-Length:\r\n\r\nab", (200, b"ab")),
            (OK + b"Content-Length: no\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", (200, b"a")),
            (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\nx", (200, b"x")),
            (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK + b"\r\nx", (200, b"x")),
            (b"HTTP/1.1 199 Soon\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", (200, b"x")),
            (b"HTTP/1.1 102 Soon\r\n\r\nHTTP/1.1 422 No\r\nContent-Length: 1\r\n\r\nx", (422, b"x")),
            (b"HTTP/1.1 300 Choose\r\nContent-Length: many\r\n\r\n", (300, b"")),
            (b"HTTP/1.1 300 Choose\r\nX: y\r\n", (300, b"")),
            (b"HTTP/1.1 422 No", (422, b"")),
        ],
    )
    def test_what_is_an_answer(self, raw, came):
        assert get(raw) == came

    @pytest.mark.parametrize(
        ("raw", "says"),
        [
            (b"HTTP/1.1 200", "the answer 200 broke off in its headers"),
            (OK, "the answer 200 broke off in its headers"),
            (OK + b"A", "the answer 200 broke off in its headers"),
            (OK + b"A: b\r\n", "the answer 200 broke off in its headers"),
            (b"HTTP/1.1 299 OK\r\nA: b\r\n", "the answer 299 broke off in its headers"),
            (b"HTTP/1.1 103 Early Hints\r\nA: b\r\n", "the answer 103 broke off in its headers"),
            (b"HTTP/1.1 101 Switching\r\n\r\n" + OK + b"\r\n", "the answer is 101, and nothing was asked"),
            (OK + b"Content-Length: " + b"x" * 200 + b"\r\n\r\n", f"a Content-Length that is none: '{'x' * 100}'"),
            (OK + b"Content-Length: -1\r\n\r\n", "the answer 200 has a Content-Length that is none: '-1'"),
            (b"HTTP/1.1 103 Early Hints\r\n\r\n", "Remote end closed connection"),
        ],
    )
    @pytest.mark.filterwarnings("ignore::urllib3.exceptions.HTTPWarning")
    def test_what_is_none(self, raw, says):
        with pytest.raises(requests.ConnectionError) as caught:
            get(raw)
        assert says in str(caught.value)

    def test_a_session_may_be_told_twice_and_keeps_its_connections(self):
        session = requests.Session()
        session.trust_env = False
        read_strictly(session)
        read_strictly(session)
        with ScriptedServer(lambda talk: talk.reply(200, b"x")) as server:
            assert [session.get(server.url).content for _ in range(3)] == [b"x"] * 3
            assert server.connections == 1
        session.close()

    def test_adapters_of_another_kind_stay_as_they_are(self):
        session = requests.Session()
        adapter = requests_mock.Adapter()
        adapter.register_uri("GET", "mock://a", text="mocked")
        session.mount("mock://", adapter)
        read_strictly(session)
        assert session.get("mock://a").text == "mocked"
