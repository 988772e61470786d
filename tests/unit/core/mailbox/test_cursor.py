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


@pytest.mark.parametrize(
    ("cursor", "text"),
    [
        (Cursor(Position(3, 7)), "AQAAAAAAAAADAAAAB___________W1s1RqRzVRUG"),
        (Cursor(Position(3, 7), 5), "AQAAAAAAAAADAAAABwAAAAAAAAAFa41yj9dmsPko"),
    ],
)
def test_cursors_that_partners_keep_stay_good(cursor, text):
    assert encode_cursor("orders", cursor) == text
    assert decode_cursor("orders", text) == cursor


@pytest.mark.parametrize("changed", ["{}\n", " {}", "{}=", "{}AAAA"])
def test_a_cursor_has_one_text_only(changed):
    text = "AQAAAAAAAAADAAAAB___________W1s1RqRzVRUG"
    for other in (changed.format(text), text.replace("_", "/")):
        with pytest.raises(CursorError):
            decode_cursor("orders", other)


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


@pytest.mark.parametrize(("length", "shown"), [(80, f"'{'A' * 80}'"), (81, f"'{'A' * 80}...'")])
def test_eighty_letters_of_it_are_quoted(length, shown):
    with pytest.raises(CursorError) as caught:
        decode_cursor("orders", "A" * length)
    assert str(caught.value) == (
        f"{shown} is no cursor of mailbox orders: send a cursor exactly as this mailbox gave it out, "
        "or none to begin at the earliest record"
    )


def test_another_mailboxs_cursor_is_refused():
    text = encode_cursor("orders", Cursor(Position(3, 7)))
    with pytest.raises(CursorError, match="no cursor of mailbox invoices"):
        decode_cursor("invoices", text)


def by_hand(version, seq):
    payload = struct.pack(">BQIq", version, seq, 0, -1)
    return base64.urlsafe_b64encode(payload + _check("orders", payload)).decode()


def test_there_is_no_batch_zero():
    message = "the cursor points before the first batch of mailbox orders: read without a cursor$"
    with pytest.raises(CursorError, match=message):
        decode_cursor("orders", by_hand(version=1, seq=0))


def test_a_later_releases_cursor_is_told_from_a_damaged_one():
    for seq in (0, 1):
        with pytest.raises(CursorError) as caught:
            decode_cursor("orders", by_hand(version=2, seq=seq))
        assert str(caught.value) == (
            "the cursor is of version 2, and this release of the mailbox reads version 1: "
            "read without a cursor to begin at the earliest record"
        )


def test_positions_are_in_the_logs_order():
    assert Position(1, 9) < Position(2, 0) < Position(2, 1)
