"""
Verify Standard Webhooks signatures, over the exact bytes that came.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.http.webhooks import decoded, key_of, signature_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TOLERANCE_SECONDS", "Signature", "signing_keys"]

TOLERANCE_SECONDS = 300
"""How far a signature's time may be from ours, either way, in seconds: what bounds the replay of an old message."""

_VERSION = "v1,"
_MOST_ENTRIES = 16
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


@lru_cache(maxsize=256)
def signing_keys(secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    """
    Decode signing secrets into keys.

    :param secrets: each ``whsec_`` and the key in base64, or the key in base64 alone, with its padding or without
    :raises ConfigurationError: one of them is empty or not base64; the message has its number, not its text
    """
    return tuple(_key(number, secret) for number, secret in enumerate(secrets, start=1))


@dataclass(frozen=True, slots=True)
class Signature:
    """
    The signature headers of a request.

    :param message_id: ``webhook-id``
    :param timestamp: ``webhook-timestamp``, seconds since 1970
    :param entries: ``webhook-signature``: entries like ``v1,<base64>`` between spaces, one for each secret in rotation
    """

    message_id: str
    timestamp: str
    entries: str

    def holds(self, body: bytes, keys: Iterable[bytes], now: float) -> bool:
        """
        Tell whether one of the keys made one of the entries, in a time that does not depend on which.

        :param body: the bytes as they came, before decompression
        :param keys: of :func:`signing_keys`
        :param now: seconds since 1970
        """
        digests = [self._digest(key, body) for key in keys]
        claimed = [entry for entry in self.entries.split(" ")[:_MOST_ENTRIES] if entry.startswith(_VERSION)]
        found = False
        for entry in claimed:
            presented = decoded(entry.removeprefix(_VERSION))
            for digest in digests:
                found |= hmac.compare_digest(digest, presented)
        return found and self._is_recent(now)

    def _is_recent(self, now: float) -> bool:
        return _SECONDS.fullmatch(self.timestamp) is not None and abs(now - int(self.timestamp)) <= TOLERANCE_SECONDS

    def _digest(self, key: bytes, body: bytes) -> bytes:
        # A header holds any bytes, which starlette reads as Latin-1.
        message_id, timestamp = (text.encode("latin-1", "replace") for text in (self.message_id, self.timestamp))
        return signature_of(key, message_id, timestamp, (body,))


def _key(number: int, secret: str) -> bytes:
    key = key_of(secret)
    if not key:
        raise ConfigurationError(
            f"signing secret {number} is not base64; expected one like whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        )
    return key
