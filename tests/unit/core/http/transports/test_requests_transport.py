from __future__ import annotations

import threading
import time
from io import BytesIO

import pytest
import requests
import urllib3
from requests import exceptions

from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Body, Request
from airflow_provider_osmosdest.core.http.transports.requests_transport import RequestsTransport
from airflow_provider_osmosdest.testing.exchanges import until
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer
from airflow_provider_osmosdest.testing.transport_contract import TransportContract

LENGTH = 5_000


class TestContract(TransportContract):
    """What of the contract takes no time; tests/integration/test_transports.py runs all of it."""

    test_a_kept_connection_that_was_closed_meanwhile_costs_nothing = None
    test_it_drips_on_while_others_are_answered = None
    test_a_host_that_does_not_exist = None
    test_pieces_of_many_megabytes_arrive_as_they_are = None

    @pytest.fixture
    def make_transport(self):
        def make(target, **options):
            session = requests.Session()
            session.verify = target.verify
            return RequestsTransport(target, session, **options)

        return make


class Adapter(requests.adapters.BaseAdapter):
    """Answer a request by a function."""

    def __init__(self, act):
        super().__init__()
        self._act = act
        self.closed = 0

    def send(self, request, **_):
        return self._act(request)

    def close(self):
        self.closed += 1


def transport(act, *, timeout=10.0, **options):
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", Adapter(act))
    return RequestsTransport(Target("http://api.test/v1?key=s3cret", timeout=timeout), session, **options)


def send(act, body=b"x" * LENGTH, **more):
    carrier = transport(act, **more)
    try:
        return until(carrier, 1, [Request(body)])[0]
    finally:
        carrier.close()


def failing(error, taken):
    def act(request):
        if taken is not None:
            request.body.read(taken)
        raise error

    return act


class Broken(BytesIO):
    """An answer's body that breaks after its first bytes."""

    def __init__(self, start, error):
        super().__init__(start)
        self._error = error

    def read(self, *size):
        data = super().read(*size)
        if not data:
            raise self._error
        return data


def response_of(status, raw, **headers):
    response = requests.Response()
    response.status_code = status
    response.raw = raw
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


REASON = urllib3.exceptions.NewConnectionError(None, "refused")
ERRORS = [
    exceptions.ConnectTimeout("late"),
    exceptions.ReadTimeout("late"),
    exceptions.ConnectionError("gone"),
    exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/v1?key=s3cret", REASON)),
    exceptions.ProxyError("no proxy"),
    exceptions.ChunkedEncodingError("half"),
    exceptions.ContentDecodingError("garbled"),
    exceptions.InvalidURL("none"),
    exceptions.RetryError("again"),
    ConnectionResetError("reset"),
    ValueError("whatever an auth class raises"),
]


class TestWhatWasRaised:
    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_nothing_of_the_body_was_taken(self, error):
        came = send(failing(error, None))
        assert type(came.error) is NotSentError
        assert str(came.error).startswith(f"{type(error).__name__}: ")
        assert came.status is None

    @pytest.mark.parametrize("error", [*ERRORS, exceptions.SSLError("bad record")], ids=lambda e: type(e).__name__)
    @pytest.mark.parametrize("taken", [1, LENGTH - 1, LENGTH])
    def test_a_single_byte_of_it_was_taken(self, error, taken):
        came = send(failing(error, taken))
        assert type(came.error) is AmbiguousError
        assert str(came.error).startswith(f"{type(error).__name__}: ")
        assert str(came.error).endswith(f" (after {taken:,} of 5,000 bytes)") is (taken < LENGTH)

    def test_tls_is_about_a_setting_where_nothing_was_taken(self):
        came = send(failing(exceptions.SSLError("self-signed"), None))
        assert type(came.error) is TlsError
        assert str(came.error) == "SSLError: self-signed"

    def test_the_reason_is_told_and_the_url_is_not(self):
        error = exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/v1?key=s3cret", REASON))
        for taken in (None, LENGTH):
            text = str(send(failing(error, taken)).error)
            assert "refused" in text
            assert "s3cret" not in text

    def test_an_error_that_says_nothing(self):
        assert str(send(failing(exceptions.ConnectionError(), None)).error) == "ConnectionError: "

    def test_a_request_without_a_body_may_have_arrived(self):
        assert type(send(failing(ERRORS[2], None), b"").error) is AmbiguousError


class TestWhatCame:
    @pytest.mark.parametrize("error", [OSError("reset"), urllib3.exceptions.ProtocolError("half")])
    @pytest.mark.parametrize(("status", "stands"), [(200, False), (299, False), (300, True), (422, True), (503, True)])
    def test_it_breaks_off(self, status, stands, error):
        came = send(lambda _: response_of(status, Broken(b"begin", exceptions.ConnectionError(error)), Retry_After="7"))
        if stands:
            assert (came.status, came.error, came.body, came.whole) == (status, None, b"begin", False)
            assert came.retry_after == 7
        else:
            # Whatever the adapter read of the body: there is an answer, so the request arrived.
            assert (type(came.error), came.status) == (AmbiguousError, None)

    @pytest.mark.parametrize("status", [200, 299, 300, 500])
    def test_it_is_not_encoded_as_it_says(self, status):
        broken = Broken(b"begin", exceptions.ContentDecodingError("no gzip"))
        came = send(lambda _: response_of(status, broken))
        assert (came.status, came.error, came.body, came.whole) == (status, None, b"begin", False)

    @pytest.mark.parametrize("length", [9, 10, 11])
    @pytest.mark.parametrize("status", [200, 500])
    def test_it_is_kept_up_to_the_bound(self, status, length):
        came = send(lambda _: response_of(status, BytesIO(b"x" * length)), answer_bytes=10)
        assert (came.status, came.body, came.whole) == (status, b"x" * min(length, 10), length <= 10)

    @pytest.mark.parametrize(("status", "all_of_it"), [(200, True), (299, True), (300, False), (500, False)])
    def test_of_a_long_one_only_a_success_is_read_to_its_end(self, status, all_of_it):
        read = []

        class Raw(BytesIO):
            def read(self, *size):
                read.append(super().read(*size))
                return read[-1]

        came = send(lambda _: response_of(status, Raw(b"x" * 1_000_000)), answer_bytes=10)
        assert (came.status, came.body, came.whole) == (status, b"x" * 10, False)
        assert (sum(map(len, read)) == 1_000_000) is all_of_it

    def test_its_headers(self):
        came = send(lambda _: response_of(308, BytesIO(b""), Retry_After="9", Location="http://other.test/"))
        assert (came.status, came.retry_after, came.location) == (308, 9, "http://other.test/")


class TestRedirects:
    def test_what_counts_is_the_last_request(self):
        def act(request):
            if request.path_url == "/there":
                raise exceptions.ConnectionError("gone")
            assert request.body.read() == b"x" * LENGTH
            return response_of(307, BytesIO(b""), Location="/there")

        assert type(send(act).error) is NotSentError

    def test_the_body_goes_out_again_from_its_begin(self):
        seen = []

        def act(request):
            parts = []
            while data := request.body.read(1_000):
                parts.append(data)
            seen.append((request.url, b"".join(parts)))
            if len(seen) < 3:
                return response_of(308, BytesIO(b"not kept"), Location=f"/{len(seen)}")
            return response_of(201, BytesIO(b"kept"))

        came = send(act, Body([b"ab", b"cd"], 4))
        assert (came.status, came.body) == (201, b"kept")
        assert seen == [
            ("http://api.test/v1?key=s3cret", b"abcd"),
            ("http://api.test/1", b"abcd"),
            ("http://api.test/2", b"abcd"),
        ]

    def test_it_is_followed_five_times(self):
        count = []

        def act(request):
            count.append(request.url)
            return response_of(307, BytesIO(b""), Location="/again")

        came = send(act)
        assert (came.status, came.location, len(count)) == (307, "/again", 6)

    def test_it_does_not_go_out_again_once_its_time_is_over(self):
        seen, go_on = [], threading.Event()

        def act(request):
            seen.append(request.body.read(10))
            go_on.wait(10)
            return response_of(307, BytesIO(b""), Location="/there")

        # Long enough for the body to be read on a busy machine.
        carrier = transport(act, timeout=2.0)
        came = until(carrier, 1, [Request(b"abc")])[0]
        assert type(came.error) is AmbiguousError
        go_on.set()
        assert carrier.exchange([], 0.05) == []
        carrier.close()
        _ended()
        assert seen == [b"abc"]


def _ended(within=60):
    """Wait for the threads of transports that are closed."""
    deadline = time.monotonic() + within
    while any(thread.name == "osmosdest-http" and thread.is_alive() for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a thread goes on"
        time.sleep(0.005)


class TestTimes:
    @pytest.mark.parametrize(("taken", "error"), [(None, NotSentError), (2, AmbiguousError), (3, AmbiguousError)])
    def test_it_is_over_before_there_is_an_answer(self, taken, error):
        release = threading.Event()

        def act(request):
            if taken is not None:
                request.body.read(taken)
            release.wait(10)
            return response_of(200, BytesIO(b""))

        carrier = transport(act, timeout=2.0)
        came = until(carrier, 1, [Request(b"abc", "mark")])[0]
        assert (type(came.error), came.request.key, came.status) == (error, "mark", None)
        text = "no whole answer within 2.00003 seconds"
        assert str(came.error) == (text + " (after 2 of 3 bytes)" if taken == 2 else text)
        release.set()
        carrier.close()
        _ended()
        assert carrier.exchange([], 0.01) == [], "an answer that comes too late is none"

    @pytest.mark.parametrize(("status", "stands"), [(200, False), (299, False), (300, True), (503, True)])
    def test_it_is_over_in_the_midst_of_an_answer(self, status, stands):
        release = threading.Event()

        class Slow(BytesIO):
            shut = 0

            def read(self, *size):
                data = super().read(*size)
                if not data:
                    release.wait(10)
                return data

            def shutdown(self):
                Slow.shut += 1

        carrier = transport(lambda _: response_of(status, Slow(b"x" * 9), Retry_After="3"), timeout=0.3, answer_bytes=9)
        came = until(carrier, 1, [Request(b"abc")])[0]
        if stands:
            assert (came.status, came.error, came.body, came.whole) == (status, None, b"x" * 9, False)
            assert came.retry_after == 3
        else:
            assert (type(came.error), came.status) == (AmbiguousError, None)
        release.set()
        assert Slow.shut == 1
        carrier.close()
        _ended()

    def test_what_is_given_up_in_the_midst_is_not_read_on(self):
        release, given_up, reads = threading.Event(), threading.Event(), []

        class Endless:
            def read(self, size):
                reads.append(size)
                if len(reads) == 2:
                    given_up.wait(10)
                return b"x" * 10

            def close(self):
                release.set()

        carrier = transport(lambda _: response_of(200, Endless()), timeout=0.3)
        assert type(until(carrier, 1, [Request(b"abc")])[0].error) is AmbiguousError
        given_up.set()
        assert release.wait(5)
        assert len(reads) == 2
        carrier.close()
        _ended()

    def test_one_that_waits_for_a_thread_and_is_over_never_goes_out(self):
        seen, release = [], threading.Event()

        def act(request):
            seen.append(request.body.read())
            release.wait(10)
            return response_of(200, BytesIO(b""))

        carrier = transport(act, timeout=0.3, in_flight=1)
        came = until(carrier, 2, [Request(b"one", 1), Request(b"two", 2)])
        assert {each.request.key: type(each.error) for each in came} == {1: AmbiguousError, 2: NotSentError}
        release.set()
        carrier.close()
        _ended()
        assert seen == [b"one"]

    def test_others_take_the_place_of_a_thread_that_was_given_up(self):
        release = threading.Event()

        def act(request):
            if request.body.read() == b"stuck":
                release.wait(10)
            return response_of(200, BytesIO(b""))

        carrier = transport(act, timeout=0.3, in_flight=1)
        for number in range(3):
            assert type(until(carrier, 1, [Request(b"stuck")])[0].error) is AmbiguousError
            assert until(carrier, 1, [Request(b"%d" % number)])[0].status == 200
        release.set()
        carrier.close()
        _ended()

    def test_threads_are_as_many_as_there_may_be_requests_in_flight(self):
        together, most, now, lock = threading.Barrier(3), [0], [0], threading.Lock()

        def act(request):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            together.wait(10)
            with lock:
                now[0] -= 1
            return response_of(200, BytesIO(b""))

        carrier = transport(act, in_flight=3)
        before = threading.active_count()
        assert len(until(carrier, 6, [Request(b"x") for _ in range(6)])) == 6
        assert most == [3]
        assert threading.active_count() == before + 3
        carrier.close()
        _ended()

    def test_one_request_at_a_time_takes_one_thread(self):
        carrier = transport(lambda _: response_of(200, BytesIO(b"")), in_flight=8)
        before = threading.active_count()
        for _ in range(5):
            until(carrier, 1, [Request(b"x")])
        assert threading.active_count() == before + 1
        carrier.close()
        _ended()

    def test_closed_it_gives_up_what_is_in_flight(self):
        release, seen = threading.Event(), []

        def act(request):
            seen.append(request.body.read(1))
            release.wait(10)
            request.body.read(1)
            raise AssertionError("it went on to send")

        carrier = transport(act, in_flight=1)
        carrier.exchange([Request(b"one"), Request(b"two")], 0.01)
        carrier.close()
        release.set()
        _ended()
        assert seen == [b"o"]
        assert carrier.exchange([], 0) == []

    def test_its_session_is_closed_with_it(self):
        session, adapter = requests.Session(), Adapter(lambda _: None)
        session.mount("http://", adapter)
        RequestsTransport(Target("http://api.test"), session).close()
        assert adapter.closed == 1


def test_a_session_is_asked_to_follow_nothing_itself_and_to_verify_as_it_was_told():
    asked = {}

    class Session(requests.Session):
        def request(self, method, url, **more):
            asked.update(more, method=method, url=url)
            return response_of(200, BytesIO(b""))

    session = Session()
    session.verify = "/some/bundle.pem"
    target = Target("http://api.test/", method="PUT", timeout=7.0, connect_timeout=3.0, headers={"X-Name": "Zoë"})
    carrier = RequestsTransport(target, session, headers={"X-Two": "2"})
    until(carrier, 1, [Request(b"[]", url="http://api.test/1", headers={"X-Three": "東"})])
    carrier.close()
    assert (asked["method"], asked["url"], asked["timeout"]) == ("PUT", "http://api.test/1", (3.0, 7.0))
    assert (asked["verify"], asked["allow_redirects"], asked["stream"]) == ("/some/bundle.pem", False, True)
    assert (asked["headers"]["X-Name"], asked["headers"]["X-Three"]) == ("Zoë".encode(), "東".encode())
    assert asked["headers"]["X-Two"] == "2"


def test_a_head_that_breaks_off_is_no_answer():
    def script(talk):
        talk.read_body()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
        talk.close()

    with ScriptedServer(script) as server:
        carrier = RequestsTransport(Target(server.url), requests.Session())
        came = until(carrier, 1, [Request(b"[1]")])[0]
        carrier.close()
    assert type(came.error) is AmbiguousError
    assert "broke off in its headers" in str(came.error)


def test_a_redirect_that_is_no_url_is_told():
    with ScriptedServer(answer(307, b"", {"Location": "http://[no"})) as server:
        carrier = RequestsTransport(Target(server.url), requests.Session())
        came = until(carrier, 1, [Request(b"[1]")])[0]
        carrier.close()
    assert (came.status, came.location) == (307, "http://[no")
