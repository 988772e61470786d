"""What the hook fetches OAuth2 tokens with: the connection's own TLS settings."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.errors import CredentialsError, NotSentError, TlsError
from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer, self_signed

ANSWER = json.dumps({"access_token": "token-of-the-test", "token_type": "bearer"}).encode()


@pytest.fixture
def endpoint(tmp_path):
    context, certificate = self_signed(tmp_path, "127.0.0.1")
    with ScriptedServer(answer(200, ANSWER), tls=context) as server:
        server.certificate = certificate
        yield server


@pytest.fixture
def fetch(set_connection, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def fetch(url, **extra):
        extra = {"auth": "oauth2", "oauth2_url": url, **extra}
        set_connection("api", host="https://api.test", login="ada", password="secret", extra=extra)
        hook = HttpDestinationHook(http_conn_id="api")
        return hook.tokens(hook.connector().target).token()

    return fetch


def test_verify_is_the_connections_whatever_the_environment_says(endpoint, fetch, monkeypatch, tmp_path):
    # requests lets these win over what a session says.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(self_signed(tmp_path, "other.test")[1]))
    assert fetch(f"{endpoint.url}/token", verify=endpoint.certificate) == "token-of-the-test"


def test_an_untrusted_certificate_stops_at_once(endpoint, fetch):
    with pytest.raises(TlsError, match=r"token endpoint https://127.0.0.1:\d+/token has no certificate"):
        fetch(f"{endpoint.url}/token")
    assert endpoint.received == []


def test_no_secret_is_sent_in_the_clear(fetch):
    with ScriptedServer(answer(200, ANSWER)) as server:
        with pytest.raises(CredentialsError, match="is not https://"):
            fetch(f"{server.url}/token?key=hidden")
        assert server.received == []


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"])
def test_an_answer_that_drips_is_not_waited_for(fetch, tmp_path, said):
    def script(talk):
        talk.read_body()
        talk.send(said)
        talk.drip()

    context, certificate = self_signed(tmp_path, "127.0.0.1")
    # The answer would drip on until the server is closed, which is after this.
    with (
        ScriptedServer(script, tls=context) as server,
        pytest.raises(NotSentError, match=r"token endpoint .* cannot be reached: TimeoutError"),
    ):
        fetch(f"{server.url}/token", verify=certificate, timeout=0.4)


def test_of_an_answer_without_end_only_the_start_is_read(fetch, tmp_path):
    def script(talk):
        talk.read_body()
        talk.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000)
        talk.drip()

    context, certificate = self_signed(tmp_path, "127.0.0.1")
    with ScriptedServer(script, tls=context) as server, pytest.raises(CredentialsError, match="missing_token"):
        fetch(f"{server.url}/token", verify=certificate, timeout=20)
