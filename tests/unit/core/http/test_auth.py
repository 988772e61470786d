from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import CredentialsError, NotSentError
from airflow_provider_osmosdest.core.http.auth import AuthorizingTransport
from airflow_provider_osmosdest.core.http.signing import Signer
from airflow_provider_osmosdest.core.http.transport import Request, Response
from airflow_provider_osmosdest.testing.transports import HandlerTransport


class Tokens:
    """Tokens by number, or an error."""

    def __init__(self, error=None):
        self.error, self.asked, self.fetched, self._current = error, 0, 0, None

    def token(self):
        self.asked += 1
        if self.error is not None:
            raise self.error
        if self._current is None:
            self.fetched += 1
            self._current = f"tok-{self.fetched}"
        return self._current

    def forget(self, token):
        if token == self._current:
            self._current = None


def authorized(good, *, in_flight=50, tokens=None):
    """Return a transport to an API that takes some tokens only, its tokens, and what it carries with."""

    def handler(request):
        token = request.headers["Authorization"].removeprefix("Bearer ")
        if token in good:
            return Response(request, 200, b"ok")
        return Response(request, 401, f"who is {token}? ".encode() * 2, location=f"/login/{token}")

    inner, tokens = HandlerTransport(handler, in_flight=in_flight), tokens or Tokens()
    return AuthorizingTransport(inner, tokens=tokens), tokens, inner


def collect(transport, requests):
    answers = transport.exchange(requests, 0.1)
    for _ in range(5):
        answers += transport.exchange((), 0.1)
    return answers


def test_every_request_carries_the_token_and_comes_back_as_it_was():
    transport, tokens, inner = authorized({"tok-1"})
    requests = [Request(b"1", key="mine", headers={"Idempotency-Key": "k"}), Request(b"2")]
    answers = collect(transport, requests)
    assert [answer.request for answer in answers] == requests
    assert answers[0].request is requests[0]
    assert requests[0].headers == {"Idempotency-Key": "k"}
    assert inner.requests[0].headers == {"Idempotency-Key": "k", "Authorization": "Bearer tok-1"}
    assert tokens.fetched == 1


def test_one_renewal_serves_all_that_are_in_flight():
    transport, tokens, inner = authorized({"tok-2"})
    answers = collect(transport, [Request(b"x", key=number) for number in range(50)])
    assert sorted(answer.request.key for answer in answers) == list(range(50))
    assert {answer.status for answer in answers} == {200}
    assert tokens.fetched == 2
    assert len(inner.requests) == 100


def test_a_second_401_is_the_answer():
    transport, tokens, inner = authorized(set())
    answers = collect(transport, [Request(b"x")])
    assert [answer.status for answer in answers] == [401]
    assert tokens.fetched == len(inner.requests) == 2


def test_a_401_without_tokens_is_the_answer_at_once():
    inner = HandlerTransport(lambda request: Response(request, 401))
    transport = AuthorizingTransport(inner, signer=Signer("AAAA"))
    assert [answer.status for answer in collect(transport, [Request(b"x", message_id="m")])] == [401]
    assert len(inner.requests) == 1


def test_a_token_the_server_echoes_is_redacted():
    transport, _, _ = authorized(set())
    answer = collect(transport, [Request(b"x")])[0]
    assert answer.body == b"who is ***? who is ***? "
    assert answer.location == "/login/***"


@pytest.mark.parametrize("error", [NotSentError("down"), CredentialsError("wrong")])
def test_without_a_token_nothing_is_sent_and_one_time_out_is_enough(error):
    transport, tokens, inner = authorized({"tok-1"}, tokens=Tokens(error))
    requests = [Request(b"x", key=number) for number in range(20)]
    answers = collect(transport, requests)
    assert [answer.request for answer in answers] == requests
    assert {answer.error for answer in answers} == {error}
    assert inner.requests == []
    assert tokens.asked == 1
    tokens.error = None
    assert [answer.status for answer in collect(transport, requests[:2])] == [200, 200]


def test_tokens_and_signatures_go_together():
    inner = HandlerTransport(lambda request: Response(request, 200))
    transport = AuthorizingTransport(inner, tokens=Tokens(), signer=Signer("AAAA"))
    collect(transport, [Request(b"x", message_id="m-1", url="http://api.test/1", fresh=True)])
    sent = inner.requests[0]
    assert set(sent.headers) == {"Authorization", "webhook-id", "webhook-timestamp", "webhook-signature"}
    assert sent.headers["webhook-id"] == "m-1"
    assert (sent.url, sent.fresh, sent.body) == ("http://api.test/1", True, b"x")


def test_closing_closes_what_carries():
    transport, _, inner = authorized({"tok-1"})
    transport.close()
    assert inner.closed
