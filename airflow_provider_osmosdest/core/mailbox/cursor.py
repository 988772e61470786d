"""A reader's position in a mailbox, and its opaque text, which partners keep."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
from dataclasses import dataclass

from airflow_provider_osmosdest.core.errors import CursorError

__all__ = ["Cursor", "Position", "decode_cursor", "encode_cursor"]

# Version, seq, offset, generation (-1 for none). With the checksum 30 bytes, which is base64 without padding, so that
# each cursor has one text only.
_LAYOUT = struct.Struct(">BQIq")
_CHECK_BYTES = 30 - _LAYOUT.size
_TEXT = re.compile(r"[A-Za-z0-9_-]{40}")
_VERSION = 1
_LONGEST_QUOTE = 80


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """
    A place in the log: the next record to read is number ``offset`` of batch ``seq``.

    :param seq: the batch's number, from 1
    :param offset: records of the batch that come before, from 0
    """

    seq: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """
    A position, and for a named consumer which of its generations gave it out.

    :param position: the place in the log
    :param generation: how often the consumer had been moved by hand then; ``None`` for a reader without a name
    """

    position: Position
    generation: int | None = None


def encode_cursor(mailbox_id: str, cursor: Cursor) -> str:
    """
    Return the opaque text of a cursor: 40 letters, digits, dashes and underscores.

    :param mailbox_id: the mailbox it is good for
    :param cursor: the cursor
    """
    generation = -1 if cursor.generation is None else cursor.generation
    payload = _LAYOUT.pack(_VERSION, cursor.position.seq, cursor.position.offset, generation)
    return base64.urlsafe_b64encode(payload + _check(mailbox_id, payload)).decode("ascii")


def decode_cursor(mailbox_id: str, text: str) -> Cursor:
    """
    Return the cursor that a text stands for.

    :param mailbox_id: the mailbox it is presented to
    :param text: a text of :func:`encode_cursor`
    :raises CursorError: it was changed, cut, or given out by another mailbox
    """
    # Python's decoder takes the standard alphabet's "+" and "/" too, and skips what is in neither.
    data = base64.urlsafe_b64decode(text) if _TEXT.fullmatch(text) else b""
    payload, check = data[: _LAYOUT.size], data[_LAYOUT.size :]
    if not hmac.compare_digest(check, _check(mailbox_id, payload)):
        shown = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."
        raise CursorError(
            f"{shown!r} is no cursor of mailbox {mailbox_id}: send a cursor exactly as this mailbox gave it out, "
            "or none to begin at the earliest record"
        )
    version, seq, offset, generation = _LAYOUT.unpack(payload)
    if version == _VERSION and not seq:
        raise CursorError(f"the cursor points before the first batch of mailbox {mailbox_id}: read without a cursor")
    if version != _VERSION:
        raise CursorError(
            f"the cursor is of version {version}, and this release of the mailbox reads version {_VERSION}: "
            "read without a cursor to begin at the earliest record"
        )
    return Cursor(Position(seq, offset), None if generation < 0 else generation)


def _check(mailbox_id: str, payload: bytes) -> bytes:
    """Return the checksum that detects a damaged or foreign cursor; no secret, as a cursor opens nothing."""
    return hashlib.sha256(b"osmos cursor\0" + mailbox_id.encode() + b"\0" + payload).digest()[:_CHECK_BYTES]
