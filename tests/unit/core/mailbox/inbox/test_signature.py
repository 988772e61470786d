"""Signatures are held to the scheme's own package."""

from __future__ import annotations

import base64
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.mailbox.inbox.signature import TOLERANCE_SECONDS, Signature, signing_keys

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = '{"id": 1, "name": "Zoë"}'
NOW = 1_800_000_000


def signature(secret=SECRET, *, body=BODY, at=NOW, message_id="msg_1", more=""):
    entry = Webhook(secret).sign(message_id, datetime.fromtimestamp(at, UTC), body)
    return Signature(message_id, str(at), f"{more}{entry}")


def holds(signed, *, secrets=(SECRET,), body=BODY, now=NOW):
    return signed.holds(body.encode(), signing_keys(secrets), now)


@given(body=st.text(), key=st.binary(min_size=1, max_size=80), message_id=st.text(string.ascii_letters, min_size=1))
def test_what_the_package_signs_holds(body, key, message_id):
    secret = "whsec_" + base64.b64encode(key).decode()
    signed = signature(secret, body=body, message_id=message_id)
    assert holds(signed, secrets=(secret,), body=body)
    assert not holds(signed, secrets=(secret,), body=body + " ")


@pytest.mark.parametrize("secrets", [(SECRET, OTHER), (OTHER, SECRET)])
def test_any_secret_in_rotation_may_have_signed(secrets):
    assert holds(signature(), secrets=secrets)


@pytest.mark.parametrize("more", ["v1,AAAA ", "v2,abc v1a,def ", "v1 ", "v1,%%% ", " "])
def test_other_entries_do_no_harm(more):
    assert holds(signature(more=more))


@pytest.mark.parametrize(
    "secret", [SECRET.removeprefix("whsec_"), f" {SECRET} ", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA==", "YWJjZA"]
)
def test_a_secret_may_come_bare_and_without_padding(secret):
    assert holds(signature(secret.strip()), secrets=(secret,))


@pytest.mark.parametrize(
    ("signed", "options"),
    [
        (signature(OTHER), {}),
        (signature(), {"body": BODY + " "}),
        (signature(), {"secrets": ()}),
        (Signature("msg_2", str(NOW), signature().entries), {}),
        (Signature("msg_1", str(NOW + 1), signature().entries), {}),
        (Signature("msg_1", str(NOW), ""), {}),
        (Signature("msg_1", str(NOW), signature().entries.removeprefix("v1,")), {}),
        (Signature("msg_1", str(NOW), signature().entries.replace("v1,", "v1a,")), {}),
        (Signature("msg_1", str(NOW), "v1,AAAA " * 16 + signature().entries), {}),
    ],
)
def test_nothing_else_holds(signed, options):
    assert not holds(signed, **options)


@pytest.mark.parametrize(
    ("offset", "fresh"),
    [(0, True), (TOLERANCE_SECONDS, True), (-TOLERANCE_SECONDS, True), (301, False), (-301, False)],
)
def test_a_signature_ages(offset, fresh):
    assert holds(signature(), now=NOW + offset) is fresh


@pytest.mark.parametrize("timestamp", ["", "now", "1.8e9", f"{NOW}.0", f"+{NOW}", f" {NOW}", "٣", "9" * 5000, "\xff"])
def test_a_time_that_is_none_never_holds(timestamp):
    import hashlib
    import hmac

    text = f"msg_1.{timestamp}.{BODY}".encode()
    [key] = signing_keys((SECRET,))
    entry = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    assert not holds(Signature("msg_1", timestamp, f"v1,{entry}"))


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64!", "whsec_a"])
def test_a_secret_that_is_none_is_told_by_its_place(secret):
    with pytest.raises(ConfigurationError, match=r"signing secret 2 is not base64") as caught:
        signing_keys((SECRET, secret))
    assert "not base64!" not in str(caught.value)
