"""A transport around another: adds what shows who sends a request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.http.transport import Answer
from airflow_provider_osmosdest.core.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_osmosdest.core.http.oauth2 import TokenSource
    from airflow_provider_osmosdest.core.http.signing import Signer
    from airflow_provider_osmosdest.core.http.transport import Request, Transport

__all__ = ["AuthorizingTransport"]


class _Errand:
    """The caller's request, and what has been tried for it."""

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
        self._again: list[_Errand] = []

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Answer]:
        """Start these requests, then return the answers that are in; see :class:`~.transport.Transport`."""
        errands = [*self._again, *(_Errand(request) for request in starting)]
        self._again = []
        answers: list[Answer] = []
        dressed: list[Request] = []
        failed: TransportError | None = None
        for errand in errands:
            if failed is None:
                try:
                    dressed.append(self._dressed(errand))
                    continue
                except TransportError as error:
                    failed = error
            # Where there was no token for one there is none for the next, and to ask may take a time-out each.
            answers.append(Answer(errand.request, error=failed))
        received = self._inner.exchange(dressed, 0.0 if answers else wait)
        return [*answers, *(answer for answer in map(self._received, received) if answer is not None)]

    def close(self) -> None:
        """Give up what is in flight and close the connections."""
        self._inner.close()

    def _dressed(self, errand: _Errand) -> Request:
        request = errand.request
        headers: dict[str, str] = dict(request.headers or {})
        if self._tokens is not None:
            errand.token = self._tokens.token()
            headers["Authorization"] = f"Bearer {errand.token}"
        if self._signer is not None:
            # The same each time the chunk is sent, so that the other side can tell a repetition.
            headers.update(self._signer.headers(request.message_id, request.body))
        return replace(request, key=errand, headers=headers)

    def _received(self, answer: Answer) -> Answer | None:
        """Return the caller's answer, ``None`` where its request goes out once more."""
        errand: _Errand = answer.request.key
        if answer.status == 401 and self._tokens is not None and not errand.renewed:  # noqa: PLR2004 - RFC 9110
            errand.renewed = True
            # With many requests in flight, one renewal serves all that were refused with the same token.
            self._tokens.forget(errand.token)
            self._again.append(errand)
            return None
        if errand.token is not None:
            # A server may echo what it was sent, and answers end up in failure records.
            answer.body = answer.body.replace(errand.token.encode(), b"***")
            if answer.location is not None:
                answer.location = answer.location.replace(errand.token, "***")
        answer.request = errand.request
        return answer
