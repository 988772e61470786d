"""Tokens: what they look like, what is kept of them, and which one opens a mailbox."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.mailbox import tokens
from airflow_provider_osmosdest.core.mailbox.tokens import (
    Access,
    add,
    find,
    load_access,
    new_token,
    revoke,
    well_formed,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def access(token="x", name="acme", direction="read", **more):
    return Access.of(token, name=name, direction=direction, created_at=NOW, **more)


@pytest.mark.parametrize(("direction", "prefix"), [("read", "osmos_r_"), ("write", "osmos_w_")])
def test_a_token_says_what_it_is(direction, prefix):
    token = new_token(direction)
    assert token.startswith(prefix)
    assert len(token) == len(prefix) + 38
    assert well_formed(token)
    assert len({new_token(direction) for _ in range(1000)}) == 1000


@given(st.data())
def test_a_slip_of_one_character_is_told(data):
    token = new_token("read")
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("0aZ_-é \n").filter(lambda text: text != token[at]))
    assert not well_formed(token[:at] + other + token[at + 1 :])


@given(st.text())
def test_other_texts_are_no_tokens_and_open_nothing(text):
    assert not well_formed(text)
    assert find([access(new_token("read"))], text, "read", NOW) is None


def test_a_token_that_ends_otherwise_is_none():
    token = new_token("write")
    for text in (token + "\n", token + "0", token[:-1], " " + token, token.upper(), "osmos_x" + token[7:], ""):
        assert not well_formed(text)


def test_only_the_hash_is_kept_and_it_is_not_shown():
    token = new_token("read")
    kept = access(token)
    assert kept.sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert token not in str(kept.to_dict())
    assert kept.sha256 not in repr(kept)


def test_a_token_opens_its_direction_until_it_expires():
    read, write = new_token("read"), new_token("write")
    kept = [access(read, expires_at=NOW + DAY), access(write, "sender", "write")]
    assert find(kept, read, "read", NOW) is kept[0]
    assert find(kept, write, "write", NOW + 1000 * DAY) is kept[1]
    assert find(kept, read, "write", NOW) is None
    assert find(kept, read, None, NOW) is kept[0]
    assert find(kept, read, "read", NOW + DAY) is None
    assert find(kept, new_token("read"), "read", NOW) is None
    assert find([], read, "read", NOW) is None


@pytest.mark.parametrize("fits", [0, 2, 4, None])
def test_every_entry_is_compared_whichever_fits(monkeypatch, fits):
    compared = []

    def compare(left, right):
        compared.append(left)
        return hmac.compare_digest(left, right)

    texts = [new_token("read") for _ in range(5)]
    kept = [access(text, f"name-{number}") for number, text in enumerate(texts)]
    monkeypatch.setattr(tokens, "hmac", type("Hmac", (), {"compare_digest": staticmethod(compare)}))
    found = find(kept, texts[fits] if fits is not None else new_token("read"), "read", NOW)
    assert found is (None if fits is None else kept[fits])
    assert compared == [each.sha256 for each in kept]


def test_two_of_a_direction_may_be_live_and_a_third_is_told_which_to_revoke():
    kept = ()
    for name in ("old", "new"):
        kept = add(kept, access(name=name), NOW)
    kept = add(kept, access(name="sender", direction="write"), NOW)
    with pytest.raises(
        ConfigurationError, match=r"2 read tokens are live already, 'old' .* and 'new' .*probably 'old'"
    ):
        add(kept, access(name="third"), NOW)
    assert [each.name for each in add(revoke(kept, "old"), access(name="third"), NOW)] == ["new", "sender", "third"]


def test_expired_tokens_do_not_count():
    kept = (access(name="old", expires_at=NOW + DAY), access(name="new"))
    with pytest.raises(ConfigurationError):
        add(kept, access(name="third"), NOW)
    assert len(add(kept, access(name="third"), NOW + DAY)) == 3


def test_names_are_unique_and_simple():
    kept = (access(name="acme"),)
    with pytest.raises(ConfigurationError, match="there is a token 'acme' already"):
        add(kept, access(name="acme", direction="write"), NOW)
    for name in ("", ".hidden", "a b", "a/b", "x" * 65, "é"):
        with pytest.raises(ConfigurationError, match="name: found"):
            access(name=name)
    with pytest.raises(ConfigurationError, match="there is no token 'other'; there are: 'acme'"):
        revoke(kept, "other")
    with pytest.raises(ConfigurationError, match="none at all"):
        revoke((), "other")


def test_what_is_kept_is_read_back():
    kept = (access(new_token("read")), access(new_token("write"), "b", "write", expires_at=NOW + DAY))
    assert load_access([each.to_dict() for each in kept]) == kept
    # As people write it: without a zone, and without an expiry.
    (entry,) = load_access(
        [{"name": "a", "direction": "read", "sha256": "0" * 64, "created_at": "2026-03-01T12:00:00", "expires_at": ""}]
    )
    assert (entry.created_at, entry.expires_at) == (NOW, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ".x"}, r"access\[0\].name"),
        ({"direction": "both"}, r"access\[0\].direction: expected read or write"),
        ({"sha256": "osmos_r_secret"}, r"access\[0\].sha256: .* and not the token"),
        ({"created_at": None}, r"access\[0\].created_at"),
        ({"expires_at": "soon"}, r"access\[0\].expires_at"),
    ],
)
def test_a_wrong_entry_is_named_and_not_shown(change, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_access([{**access().to_dict(), **change}])
    assert "osmos_r_secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["[]", {}, [1], [{}], [access().to_dict()] * 2])
def test_what_is_no_list_of_entries_is_refused(value):
    with pytest.raises(ConfigurationError, match="access"):
        load_access(value)
