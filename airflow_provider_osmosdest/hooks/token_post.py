"""Ask a token endpoint over a session of the hook's, for a bounded time and a bounded answer."""

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


class _Asking:
    """One request, shared by the thread that makes it and the one that waits for it."""

    def __init__(self) -> None:
        self.response: Response | None = None
        self.answer: tuple[int, str] | None = None
        self.error: Exception | None = None
        self.given_up = False


def token_post(session: Callable[[], Session], target: Target) -> Callable[[str, str, dict[str, str]], tuple[int, str]]:
    """
    Return what posts a form for a :class:`~.oauth2.TokenSource`, with the connection's TLS, proxies and time-outs.

    The time-outs of ``requests`` bound each single read: a server that drips its answer would hold a delivery for good.
    So one thread asks, and another waits for it no longer than for any answer of the API.

    :param session: makes a session
    :param target: whose time-outs to keep to
    """

    def ask(asking: _Asking, carrier: Session, url: str, body: str, headers: dict[str, str]) -> None:
        try:
            with carrier:
                carrier.headers.clear()
                with carrier.post(
                    url,
                    data=body,
                    headers=headers,
                    timeout=(target.connect_timeout, target.timeout),
                    allow_redirects=False,
                    # Said again: REQUESTS_CA_BUNDLE wins over a session's.
                    verify=carrier.verify,
                    stream=True,
                ) as response:
                    asking.response = response
                    asking.answer = (response.status_code, _text(response, asking))
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            asking.error = error

    def post(url: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
        from requests.exceptions import SSLError

        asking, carrier = _Asking(), session()
        thread = threading.Thread(
            target=ask, args=(asking, carrier, url, body, headers), name="osmosdest-token", daemon=True
        )
        thread.start()
        thread.join(target.timeout)
        if thread.is_alive():
            asking.given_up = True
            with suppress(Exception):  # what an adapter's response can do is not known
                asking.response.raw.shutdown()  # type: ignore[union-attr]
            # An OSError, which is what a token source expects; so are the other exceptions of requests.
            msg = f"no whole answer within {target.timeout:g} seconds"
            raise TimeoutError(msg)
        if isinstance(asking.error, SSLError):
            raise TlsError(
                f"the token endpoint {masked_url(url)} has no certificate that can be trusted: see the connection's "
                "verify"
            ) from None
        if asking.error is not None:
            raise asking.error
        assert asking.answer is not None
        return asking.answer

    return post


def _text(response: Any, asking: _Asking) -> str:
    """Return what is read of an answer: the start of it, if it is longer than any token."""
    kept = bytearray()
    for data in response.iter_content(16 * 1024):
        kept += data
        if len(kept) > _MOST or asking.given_up:
            break
    return bytes(kept[:_MOST]).decode("utf-8", errors="replace")
