from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.core.http.signing import Signer
from airflow_provider_osmosdest.core.http.transport import Body

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_example_of_the_scheme_s_authors():
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/README.md
    signer = Signer(SECRET, clock=lambda: 1614265330.9)
    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(
    records=st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none())),
    cut=st.integers(0, 100),
    key=st.binary(min_size=1, max_size=80),
)
def test_the_scheme_s_own_library_verifies_what_is_sent(records, cut, key):
    body = json.dumps(records, ensure_ascii=False).encode()
    signer = Signer("whsec_" + base64.b64encode(key).decode())
    at_once = signer.headers("d-0-9-cafe", body)
    in_pieces = signer.headers("d-0-9-cafe", Body([body[:cut], b"", memoryview(body)[cut:]], len(body)))
    webhook = Webhook(key)
    for headers in (at_once, in_pieces):
        assert webhook.verify(body, dict(headers)) == records
    with pytest.raises(WebhookVerificationError):
        webhook.verify(body + b" ", dict(at_once))


def test_each_send_is_of_its_own_moment_and_the_message_keeps_its_name():
    times = iter([1_000.0, 2_000.0])
    signer = Signer(SECRET, clock=lambda: next(times))
    first, second = signer.headers("d-1", b"{}"), signer.headers("d-1", b"{}")
    assert first["webhook-id"] == second["webhook-id"] == "d-1"
    assert first["webhook-signature"] != second["webhook-signature"]
    when = datetime.fromtimestamp(2_000, tz=UTC)
    assert second["webhook-signature"] == Webhook(SECRET).sign("d-1", when, "{}")


@pytest.mark.parametrize(
    "secret", [SECRET.removeprefix("whsec_"), f" {SECRET}\n", "whsec_AAAA", "AA==", "AA", "whsec_AAA"]
)
def test_secrets_come_in_several_forms(secret):
    headers = Signer(secret).headers("d-1", b"{}")
    assert Webhook(secret.strip()).verify(b"{}", dict(headers)) == {}


@pytest.mark.parametrize("secret", ["", "whsec_", "=", "not base64!", "whsec_ä", "A"])
def test_what_is_no_secret_is_refused_without_being_quoted(secret):
    with pytest.raises(ConnectorError, match="not base64") as caught:
        Signer(secret)
    assert len(secret) < 3 or secret == "whsec_" or secret not in str(caught.value)
