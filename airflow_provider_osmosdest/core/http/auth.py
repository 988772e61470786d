"""Wrap a transport, and add OAuth2 tokens and signatures to its requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import TransportError
from airflow_provider_osmosdest.core.http.transport import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_osmosdest.core.http.oauth2 import TokenSource
    from airflow_provider_osmosdest.core.http.signing import Signer
    from airflow_provider_osmosdest.core.http.transport import Request, Transport

__all__ = ["AuthorizingTransport"]


class _InFlight:
    """A caller's request, with the token it was sent with."""

    __slots__ = ("renewed", "request", "token")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.token: str | None = None
        self.renewed = False


class AuthorizingTransport:
    """
    Authorise each request, and renew a token once on a 401.

    :param inner: carries the requests
    :param tokens: gives bearer tokens, ``None`` for no OAuth2
    :param signer: signs bodies, ``None`` for no signatures
    """

    def __init__(
        self,
        inner: Transport,
        *,
        tokens: TokenSource | None = None,
        signer: Signer | None = None,
    ) -> None:
        self._inner = inner
        self._tokens = tokens
        self._signer = signer
        self._again: list[_InFlight] = []

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Response]:
        """Start these requests, then return the answers that are in; see :class:`~.transport.Transport`."""
        items = [*self._again, *(_InFlight(request) for request in starting)]
        self._again = []
        answers: list[Response] = []
        authorized: list[Request] = []
        failed: TransportError | None = None
        for item in items:
            if failed is None:
                try:
                    authorized.append(self._authorized(item))
                    continue
                except TransportError as error:
                    failed = error
            # The next request would get no token either, and each try may take a time-out.
            answers.append(Response(item.request, error=failed))
        received = self._inner.exchange(authorized, 0.0 if answers else wait)
        return [*answers, *(answer for answer in map(self._receive, received) if answer is not None)]

    def close(self) -> None:
        """Give up what is in flight and close the connections."""
        self._inner.close()

    def _authorized(self, item: _InFlight) -> Request:
        request = item.request
        headers: dict[str, str] = dict(request.headers or {})
        if self._tokens is not None:
            item.token = self._tokens.token()
            headers["Authorization"] = f"Bearer {item.token}"
        if self._signer is not None:
            # The same each time the chunk is sent, so that the other side can tell a repetition.
            headers.update(self._signer.headers(request.message_id, request.body))
        return replace(request, key=item, headers=headers)

    def _receive(self, answer: Response) -> Response | None:
        """Return the caller's answer, ``None`` where its request goes out once more."""
        item: _InFlight = answer.request.key
        if answer.status == 401 and self._tokens is not None and not item.renewed:  # noqa: PLR2004 - RFC 9110
            item.renewed = True
            # With many requests in flight, one renewal serves all that were refused with the same token.
            self._tokens.forget(item.token)
            self._again.append(item)
            return None
        if item.token is not None:
            # A server may echo what it was sent, and answers end up in failure records.
            answer.body = answer.body.replace(item.token.encode(), b"***")
            if answer.location is not None:
                answer.location = answer.location.replace(item.token, "***")
        answer.request = item.request
        return answer
