from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from airflow_provider_osmosdest.core.http.signing import Signer
from airflow_provider_osmosdest.core.http.webhooks import decoded, key_of, signature_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_it_is_the_signature_of_the_schemes_own_library():
    when = datetime(2026, 3, 1, tzinfo=UTC)
    bare = signature_of(key_of(SECRET), b"msg_1", str(int(when.timestamp())).encode(), (b'[{"a"', memoryview(b":1}]")))
    assert f"v1,{base64.b64encode(bare).decode()}" == Webhook(SECRET).sign("msg_1", when, '[{"a":1}]')


def test_the_schemes_own_library_takes_no_bytes():
    """Why ours is there: once this fails, look whether it can go."""
    body = gzip.compress(b"[]")
    headers = Signer(SECRET).headers("msg_1", body)
    with pytest.raises(UnicodeDecodeError):
        Webhook(SECRET).verify(body, dict(headers), json_parse=False)


@pytest.mark.parametrize("secret", ["whsec_c2Vjb25k", " c2Vjb25k ", "whsec_c2Vjb25kMQ==", "c2Vjb25kMQ"])
def test_a_secret_is_read_with_and_without_prefix_and_padding(secret):
    assert key_of(secret).startswith(b"second")


@pytest.mark.parametrize("text", ["", "not base64!", "a"])
def test_what_is_no_base64_is_nothing(text):
    assert decoded(text) == b""
