"""What to check after a status that no retry mends: the advice that deliveries and pulls share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NOT_CONNECTED", "WHAT_TO_CHECK"]

_URL = "the connection's base URL and the endpoint below it"

WHAT_TO_CHECK: Mapping[int, str] = {
    401: "the token or password, and the 'headers' of the connection",
    403: "the token or password and what it may do, and the 'headers' of the connection",
    404: _URL,
    407: "the proxy's user and password",
    410: _URL,
}
"""What to check, by status: the object of a sentence."""

NOT_CONNECTED = "Check the host name and certificate ('verify', 'cert') and the credentials of the connection."
"""What to do where no request could be sent: a sentence."""
