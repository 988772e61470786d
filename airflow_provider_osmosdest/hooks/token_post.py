"""Post to a token endpoint over a session of the hook's, with a bound on time and on the response's size."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import TlsError
from airflow_provider_osmosdest.core.http.urls import masked_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import Response, Session

    from airflow_provider_osmosdest.core.http.target import Target

__all__ = ["token_post"]

_MOST = 256 * 1024
"""Bytes of an answer that are read: a token that signs for a hundred groups takes some 20 kB."""


class _Exchange:
    """One request, shared by the thread that makes it and the one that waits for it."""

    def __init__(self) -> None:
        self.response: Response | None = None
        self.answer: tuple[int, str] | None = None
        self.error: Exception | None = None
        self.given_up = False


def token_post(session: Callable[[], Session], target: Target) -> Callable[[str, str, dict[str, str]], tuple[int, str]]:
    """
    Return a function that posts forms for a :class:`~.oauth2.TokenSource`, with the connection's TLS and time-outs.

    The time-outs of ``requests`` bound each single read: a server that drips its answer would hold a delivery for good.
    So one thread sends, and another waits for it no longer than for any response of the API.

    :param session: makes a session
    :param target: whose time-outs to keep to
    """

    def send(exchange: _Exchange, carrier: Session, url: str, body: str, headers: dict[str, str]) -> None:
        try:
            with carrier:
                carrier.headers.clear()
                with carrier.post(
                    url,
                    data=body,
                    headers=headers,
                    timeout=(target.connect_timeout, target.timeout),
                    allow_redirects=False,
                    # Given again: REQUESTS_CA_BUNDLE wins over a session's.
                    verify=carrier.verify,
                    stream=True,
                ) as response:
                    exchange.response = response
                    exchange.answer = (response.status_code, _text(response, exchange))
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            exchange.error = error

    def post(url: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
        from requests.exceptions import SSLError

        exchange, carrier = _Exchange(), session()
        thread = threading.Thread(
            target=send, args=(exchange, carrier, url, body, headers), name="osmosdest-token", daemon=True
        )
        thread.start()
        thread.join(target.timeout)
        if thread.is_alive():
            exchange.given_up = True
            with suppress(Exception):  # an adapter's response may raise anything
                exchange.response.raw.shutdown()  # type: ignore[union-attr]
            # An OSError, which is what a token source expects; so are the other exceptions of requests.
            msg = f"no whole answer within {target.timeout:g} seconds"
            raise TimeoutError(msg)
        if isinstance(exchange.error, SSLError):
            raise TlsError(
                f"the token endpoint {masked_url(url)} has no certificate that can be trusted: see the connection's "
                "verify"
            ) from None
        if exchange.error is not None:
            raise exchange.error
        assert exchange.answer is not None
        return exchange.answer

    return post


def _text(response: Any, exchange: _Exchange) -> str:
    """Return the text of a response, cut where it is longer than any token."""
    kept = bytearray()
    for data in response.iter_content(16 * 1024):
        kept += data
        if len(kept) > _MOST or exchange.given_up:
            break
    return bytes(kept[:_MOST]).decode("utf-8", errors="replace")
