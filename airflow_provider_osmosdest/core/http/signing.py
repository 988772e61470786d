"""Sign requests by the Standard Webhooks scheme, over the exact bytes that are sent.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.core.http.transport import Body
from airflow_provider_osmosdest.core.http.webhooks import key_of, signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Signer"]


class Signer:
    """
    Sign with one secret.

    :param secret: ``whsec_`` and the key in base64, or the key in base64 alone
    :param clock: seconds since 1970
    :raises ConnectorError: when the secret is empty or not base64
    """

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._key = key_of(secret)
        if not self._key:
            raise ConnectorError(
                "the signing secret (password) is not base64; expected one like whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
            )
        self._clock = clock

    def headers(self, message_id: str, body: bytes | Body) -> Mapping[str, str]:
        """
        Return the headers that sign a body as it is now.

        :param message_id: the same each time the same chunk is sent
        :param body: the bytes as they go out, after compression
        """
        timestamp = str(int(self._clock()))
        pieces = body.pieces if isinstance(body, Body) else (body,)
        bare = signature_of(self._key, message_id.encode(), timestamp.encode(), pieces)
        signature = base64.b64encode(bare).decode()
        return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}
