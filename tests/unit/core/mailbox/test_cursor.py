from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import CursorError
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position, _check, decode_cursor, encode_cursor

cursors = st.builds(
    Cursor,
    st.builds(Position, st.integers(1, 2**64 - 1), st.integers(0, 2**32 - 1)),
    st.none() | st.integers(0, 2**62),
)


@given(cursors)
def test_a_cursor_comes_back(cursor):
    text = encode_cursor("orders", cursor)
    assert decode_cursor("orders", text) == cursor
    assert len(text) == 40
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(cursors, st.integers(0, 39), st.sampled_from("Aa0-_="))
def test_a_changed_cursor_is_refused(cursor, at, letter):
    text = encode_cursor("orders", cursor)
    changed = text[:at] + letter + text[at + 1 :]
    if changed != text:
        with pytest.raises(CursorError, match="exactly as this mailbox gave it out"):
            decode_cursor("orders", changed)


@pytest.mark.parametrize("text", ["", "x", "å" * 40, "A" * 40, "A" * 5000, " " + "A" * 39])
def test_what_is_no_cursor_is_refused_and_quoted_in_part(text):
    with pytest.raises(CursorError) as caught:
        decode_cursor("orders", text)
    assert len(str(caught.value)) < 300


def test_another_mailboxs_cursor_is_refused():
    text = encode_cursor("orders", Cursor(Position(3, 7)))
    with pytest.raises(CursorError, match="no cursor of mailbox invoices"):
        decode_cursor("invoices", text)


def test_a_later_releases_cursor_is_told_from_a_damaged_one():
    payload = struct.pack(">BQIq", 2, 1, 0, -1)
    text = base64.urlsafe_b64encode(payload + _check("orders", payload)).decode()
    with pytest.raises(CursorError, match=r"version 2.*knows version 1"):
        decode_cursor("orders", text)


def test_positions_are_in_the_logs_order():
    assert Position(1, 9) < Position(2, 0) < Position(2, 1)
