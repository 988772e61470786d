"""Who we are, and who the other side is: certificates, tokens that expire, signatures."""

from __future__ import annotations

import json
import ssl
import threading
from urllib.parse import parse_qs

import pytest
import requests
from standardwebhooks import Webhook

from airflow_provider_osmosdest.core.errors import GivenUpError, MisconfiguredError
from airflow_provider_osmosdest.core.http.auth import AuthorizingTransport
from airflow_provider_osmosdest.core.http.oauth2 import ClientCredentials, TokenSource
from airflow_provider_osmosdest.core.http.signing import Signer
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.testing import fault_server as faults
from airflow_provider_osmosdest.testing.fault_server import FaultServer, first
from airflow_provider_osmosdest.testing.servers import ScriptedServer, self_signed

BATCH = {"batch_size": 30}
RECORD = {"write_mode": "record", "concurrency": 8}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

modes = pytest.mark.parametrize("mode", [BATCH, RECORD], ids=["batch", "record"])


class TestCertificates:
    @modes
    def test_a_wrong_name(self, send, transport, mode, tmp_path):
        tls, trusted = self_signed(tmp_path, "api.example.org")
        with FaultServer(tls=tls) as server:
            came = send(server, transport=transport, target={"verify": trusted}, **mode)
        assert isinstance(came.error, MisconfiguredError)
        assert came.report.requests == 1
        assert came.report.unsent == 100
        assert server.received == [], "nothing is said to a stranger"

    def test_a_stranger(self, send, transport, tmp_path):
        tls, _ = self_signed(tmp_path, "127.0.0.1")
        with FaultServer(tls=tls) as server:
            came = send(server, transport=transport)
        assert isinstance(came.error, MisconfiguredError)
        assert server.received == []

    @modes
    def test_a_client_certificate(self, send, transport, mode, tmp_path):
        tls, trusted = self_signed(tmp_path, "127.0.0.1")
        _, client = self_signed(tmp_path, "client")
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(client)
        pair = (client, client.removesuffix(".crt") + ".key")
        with FaultServer(tls=tls) as server:
            came = send(server, transport=transport, target={"verify": trusted, "cert": pair}, **mode)
        assert came.report.delivered == 100
        assert set(server.taken.values()) == {1}

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @modes
    def test_no_client_certificate_where_one_is_asked_for(self, send, transport, mode, version, tmp_path):
        tls, trusted = self_signed(tmp_path, "127.0.0.1")
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.maximum_version = version
        with FaultServer(tls=tls) as server:
            came = send(server, transport=transport, target={"verify": trusted}, max_retries=2, **mode)
        # TLS 1.3 tells the client after the handshake: the request may be out, and a reset overtake the alert.
        assert isinstance(came.error, (MisconfiguredError, GivenUpError))
        assert came.report.delivered == 0
        assert came.report.unsent + came.report.unknown == 100
        assert came.result.mendable
        assert server.received == []


class Authority:
    """A token endpoint over TLS, and the API that takes its tokens: each for some requests only."""

    def __init__(self, tmp_path, uses=10**9):
        self._uses = uses
        self._lock = threading.Lock()
        self._left = {}
        self.given = []
        self.asked = []
        self.expires_in = 3600
        self.answer = None
        tls, self.trusted = self_signed(tmp_path, "127.0.0.1")
        self.server = ScriptedServer(self._give, tls=tls)

    def _give(self, talk):
        self.asked.append(parse_qs(talk.read_body().decode()))
        if self.answer is not None:
            talk.reply(*self.answer)
            return
        with self._lock:
            token = f"tok-{len(self.given)}-secret"
            self.given.append(token)
            self._left[token] = self._uses
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}
        talk.reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def api(self, talk, take):
        token = talk.request.headers.get("authorization", b"").decode().removeprefix("Bearer ")
        with self._lock:
            good = self._left.get(token, 0) > 0
            self._left[token] = self._left.get(token, 0) - 1
        if good:
            faults.well(talk, take)
        else:
            talk.read_body()
            talk.reply(401, f"the token {token} has expired".encode())

    def transport(self, inner=CurlTransport, learned=None):
        def post(url, body, headers):
            response = requests.post(url, data=body, headers=headers, timeout=10, verify=self.trusted)
            return response.status_code, response.text

        credentials = ClientCredentials(f"{self.server.url}/token", "me", "s3cret-of-mine", "records.write", "the-api")
        source = TokenSource(credentials, post, (learned if learned is not None else []).append)
        return lambda target, **needs: AuthorizingTransport(inner(target, **needs), tokens=source)


class TestOAuth2:
    @modes
    def test_one_token_serves_a_delivery(self, send, mode, tmp_path):
        authority, learned = Authority(tmp_path), []
        with authority.server, FaultServer(authority.api) as server:
            came = send(server, transport=authority.transport(learned=learned), **mode)
        assert came.report.delivered == 100
        assert len(authority.given) == 1
        assert learned == authority.given
        assert authority.asked == [
            {
                "grant_type": ["client_credentials"],
                "client_id": ["me"],
                "client_secret": ["s3cret-of-mine"],
                "scope": ["records.write"],
                "audience": ["the-api"],
            }
        ]

    @modes
    def test_tokens_that_end_early_are_renewed_and_nothing_is_lost(self, send, transport, mode, tmp_path):
        # Eight are in flight: of few uses, the others could take all before a slow one is sent again with the token.
        authority = Authority(tmp_path, uses=2 if mode is BATCH else 60)
        with authority.server, FaultServer(authority.api) as server:
            came = send(server, transport=authority.transport(transport), **mode)
        assert came.error is None
        assert came.report.delivered == 100
        assert set(server.taken.values()) == {1}
        assert 2 <= len(authority.given) <= 14, "many refusals at once are one renewal"

    @modes
    def test_an_api_that_takes_no_token_stops_the_delivery(self, send, mode, tmp_path):
        authority = Authority(tmp_path, uses=0)
        with authority.server, FaultServer(authority.api) as server:
            came = send(server, transport=authority.transport(), **mode)
        assert isinstance(came.error, MisconfiguredError)
        assert len(server.received) == 2
        assert len(authority.given) == 2
        left = f"{came.error} {came.lines} {came.log} {came.report}"
        assert "has expired" in left
        assert not [token for token in (*authority.given, "s3cret-of-mine") if token in left]

    def test_a_token_endpoint_that_refuses_the_secret(self, send, tmp_path):
        authority = Authority(tmp_path)
        authority.answer = (401, b'{"error": "invalid_client", "error_description": "s3cret-of-mine is wrong"}')
        with authority.server, FaultServer() as server:
            came = send(server, transport=authority.transport())
        assert isinstance(came.error, MisconfiguredError)
        assert "invalid_client" in str(came.error)
        assert "s3cret" not in str(came.error)
        assert server.received == []

    def test_a_token_endpoint_that_is_unwell_for_a_while(self, send, tmp_path):
        authority = Authority(tmp_path)
        give = authority.server._script
        fault = first(3, lambda talk, _: (talk.read_body(), talk.reply(503)), lambda talk, _: give(talk))
        authority.server._script = lambda talk: fault(talk, None)
        with authority.server, FaultServer(authority.api) as server:
            came = send(server, transport=authority.transport())
        assert came.report.delivered == 100
        assert len(server.received) == 1


class TestSignatures:
    @modes
    @pytest.mark.parametrize("more", [{}, {"envelope": "data"}], ids=["bare", "envelope"])
    def test_the_scheme_s_own_library_finds_them_good(self, send, transport, mode, more):
        def fault(talk, take):
            body = talk.read_body()
            headers = {name: value.decode() for name, value in talk.request.headers.items()}
            document = Webhook(SECRET).verify(body, headers)
            seen.append((headers["webhook-id"], headers["idempotency-key"]))
            records = document["data"] if more else document
            taken.extend(record["id"] for record in (records if isinstance(records, list) else [records]))
            talk.reply()

        def signing(target, **needs):
            return AuthorizingTransport(transport(target, **needs), signer=Signer(SECRET))

        seen, taken = [], []
        with FaultServer(first(1, faults.answering(503), fault)) as server:
            came = send(server.url, transport=signing, **mode, **more)
        assert came.report.delivered == 100
        assert sorted(taken) == list(range(100))
        assert all(message == key for message, key in seen), "a message keeps its name when it is sent again"
        assert server.received[0].headers["webhook-id"].decode() in {message for message, _ in seen}
