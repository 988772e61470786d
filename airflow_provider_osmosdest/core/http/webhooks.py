"""
What signing and verifying Standard Webhooks have in common: the key of a secret, and what is signed.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["decoded", "key_of", "signature_of"]

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """
    Return the key that a secret stands for, nothing where it is none.

    :param secret: ``whsec_`` and the key in base64, or the key in base64 alone, with its padding or without
    """
    return decoded(secret.strip().removeprefix(_PREFIX))


def signature_of(key: bytes, message_id: bytes, timestamp: bytes, body: Iterable[bytes | memoryview]) -> bytes:
    """
    Return the bare signature of version 1.

    :param body: its pieces, one after the other
    """
    worker = hmac.new(key, b"%b.%b." % (message_id, timestamp), hashlib.sha256)
    for piece in body:
        worker.update(piece)
    return worker.digest()


def decoded(text: str) -> bytes:
    """Return what base64 stands for, and nothing where it is none; some leave the padding out."""
    text = text.rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
