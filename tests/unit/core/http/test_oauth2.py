from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from airflow_provider_osmosdest.core.errors import CredentialsError, NotSentError
from airflow_provider_osmosdest.core.http.oauth2 import ClientCredentials, TokenSource

CREDENTIALS = ClientCredentials("https://login.test/token?tenant=hidden", "me", "s3cret", "a b", "https://api.test")


class Endpoint:
    """A token endpoint: hands out tokens by number, or gives a fixed answer."""

    def __init__(self, answer=None, **fields):
        self._answer, self._fields = answer, {"expires_in": 600, **fields}
        self.asked, self.learned, self.now = [], [], 0.0

    def post(self, url, body, headers):
        self.asked.append((url, parse_qs(body), headers))
        if isinstance(self._answer, Exception):
            raise self._answer
        if self._answer is not None:
            return self._answer
        token = {"access_token": f"tok-{len(self.asked)}", "token_type": "Bearer", **self._fields}
        return 200, json.dumps(token)

    def source(self, credentials=CREDENTIALS):
        return TokenSource(credentials, self.post, self.learned.append, clock=lambda: self.now)


def test_what_is_asked_for():
    endpoint = Endpoint()
    assert endpoint.source().token() == "tok-1"
    url, form, headers = endpoint.asked[0]
    assert url == CREDENTIALS.url
    assert form == {
        "grant_type": ["client_credentials"],
        "client_id": ["me"],
        "client_secret": ["s3cret"],
        "scope": ["a b"],
        "audience": ["https://api.test"],
    }
    assert headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert headers["Accept"] == "application/json"


def test_scope_and_audience_may_be_left_out():
    endpoint = Endpoint()
    endpoint.source(ClientCredentials("https://login.test/token", "me", "s3cret")).token()
    assert set(endpoint.asked[0][1]) == {"grant_type", "client_id", "client_secret"}


def test_a_token_is_kept_and_renewed_before_it_ends():
    endpoint = Endpoint(expires_in=600)
    source = endpoint.source()
    tokens = []
    for endpoint.now in (0.0, 300.0, 569.0, 571.0, 1_000.0, 1_141.5):
        tokens.append(source.token())
    assert tokens == ["tok-1"] * 3 + ["tok-2"] * 2 + ["tok-3"]
    assert endpoint.learned == ["tok-1", "tok-2", "tok-3"]


def test_a_token_that_lasts_hardly_any_time_is_used_all_the_same():
    endpoint = Endpoint(expires_in=5)
    source = endpoint.source()
    assert source.token() == source.token() == "tok-1"
    endpoint.now = 1.5
    assert source.token() == "tok-2"


@pytest.mark.parametrize("seconds", [None, 0])
def test_without_an_end_it_is_kept_until_it_is_forgotten(seconds):
    endpoint = Endpoint(expires_in=seconds)
    source = endpoint.source()
    source.token()
    endpoint.now = 1e9
    assert source.token() == "tok-1"
    source.forget("tok-1")
    assert source.token() == "tok-2"


def test_what_was_renewed_meanwhile_is_not_forgotten():
    endpoint = Endpoint()
    source = endpoint.source()
    source.token()
    source.forget("tok-1")
    source.token()
    for _ in range(20):
        source.forget("tok-1")
    assert source.token() == "tok-2"


def test_another_scope_than_asked_for_is_the_server_s_right():
    assert Endpoint(scope="a").source().token() == "tok-1"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, '{"error": "invalid_client", "error_description": "s3cret is wrong"}'), "401 .invalid_client."),
        ((400, '{"error": "invalid_scope"}'), "400 .invalid_scope."),
        ((200, "<html>Log in"), "200 .missing_token."),
        ((302, ""), "302 .missing_token."),
        ((200, "[1]"), "not with a token"),
        ((200, "null"), "not with a token"),
        ((200, '{"access_token": null, "token_type": "Bearer"}'), "not with a token"),
        ((200, '{"access_token": {"a": 1}, "token_type": "Bearer"}'), "not with a token"),
        ((200, '{"access_token": "a\\nX-Admin: yes", "token_type": "Bearer"}'), "not with a token"),
        ((200, '{"access_token": "a", "token_type": "Bearer", "expires_in": "soon"}'), "not with a token"),
    ],
)
def test_what_is_no_token_needs_a_person(answer, says):
    endpoint = Endpoint(answer)
    with pytest.raises(CredentialsError, match=says) as caught:
        endpoint.source().token()
    assert "https://login.test/token" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert endpoint.learned == []


@pytest.mark.parametrize("answer", [(500, ""), (503, "later"), (429, ""), OSError("s3cret"), TimeoutError()])
def test_what_may_pass_is_asked_again(answer):
    endpoint = Endpoint(answer)
    with pytest.raises(NotSentError, match=r"https://login.test/token\?\*\*\*") as caught:
        endpoint.source().token()
    assert "s3cret" not in str(caught.value)


def test_a_secret_is_not_sent_in_the_clear():
    endpoint = Endpoint()
    with pytest.raises(CredentialsError, match="not https"):
        endpoint.source(ClientCredentials("http://login.test/token", "me", "s3cret")).token()
    assert endpoint.asked == []


def test_a_secret_is_in_no_repr():
    assert "s3cret" not in repr(CREDENTIALS)
