"""Send requests to an API over a ``requests`` session, with auth, redirects and a bound on the response's size."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import (
    AmbiguousError,
    CredentialsError,
    NotSentError,
    PagingError,
    TlsError,
)
from airflow_provider_osmosdest.core.http.redirects import next_url
from airflow_provider_osmosdest.core.http.retry import parse_retry_after
from airflow_provider_osmosdest.core.http.transport import request_headers
from airflow_provider_osmosdest.core.http.urls import masked_url
from airflow_provider_osmosdest.core.source.fetching.page_response import PageResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import Response, Session

    from airflow_provider_osmosdest.core.errors import TransportError
    from airflow_provider_osmosdest.core.http.oauth2 import TokenSource
    from airflow_provider_osmosdest.core.http.signing import Signer
    from airflow_provider_osmosdest.core.http.target import Target

__all__ = ["SUCCESS", "HttpClient", "Traffic"]

SUCCESS = range(200, 300)
"""The class of success, RFC 9110 section 15.3."""

_CHUNK_BYTES = 64 * 1024
# How much of a response that means failure is read: enough for its message.
_ERROR_BYTES = 64 * 1024


@dataclass(slots=True)
class Traffic:
    """The requests, retries and bytes of a pull so far."""

    requests: int = 0
    retries: int = 0
    bytes_received: int = 0


@dataclass(slots=True)
class HttpClient:
    """
    Send single requests to an API, without retries.

    :param session: sends, with the connection's auth, certificates and proxies
    :param target: URL, method, headers and time-outs
    :param max_page_bytes: the longest answer there may be, unpacked
    :param tokens: source of bearer tokens, ``None`` for no OAuth2
    :param signer: signs bodies, ``None`` for no signatures
    :param traffic: counts requests and bytes
    """

    session: Session
    target: Target
    max_page_bytes: int
    tokens: TokenSource | None = None
    signer: Signer | None = None
    traffic: Traffic = field(default_factory=Traffic)
    _token: str | None = None

    def __post_init__(self) -> None:
        """Turn off what the session would do by itself for each request."""
        session = self.session
        # It would look for the next address of a redirect even where it may not follow.
        session.get_redirect_target = _nowhere  # type: ignore[assignment,method-assign]
        # There is one host, so the environment's proxies hold for all requests; to look them up takes 0.5 ms.
        proxies = session.merge_environment_settings(self.target.url, {}, None, None, None)["proxies"]
        session.proxies = dict(proxies or {})
        session.trust_env = False

    def exchange(
        self, request: Any, name: str, check_stop: Callable[[], None]
    ) -> tuple[PageResponse | None, TransportError | None, float | None]:
        """
        Send a request; renew the token once on 401, and follow redirects.

        :param request: a ``requests.Request`` with URL, query and JSON body
        :param name: what errors call the page
        :param check_stop: is called between two pieces of a long answer
        :return: the answer, or why there is none; and the seconds the server asked to wait
        :raises PagingError: when the answer is too long, or the URL is none
        """
        url, followed, renewed = request.url, 0, False
        while True:
            try:
                response = self._send(request, url if followed else None)
                with closing(response):
                    body = self._read(response, name, check_stop)
            except _Failed as failed:
                return None, failed.error, None
            answer = PageResponse(response.status_code, response.headers, body, name)
            if answer.status == 401 and self.tokens is not None and not renewed:  # noqa: PLR2004 - RFC 9110
                self.tokens.forget(self._token)
                renewed = True
                continue
            there = next_url(answer.status, response.headers.get("Location"), response.url or url, followed)
            if there is None:
                return answer, None, parse_retry_after(response.headers.get("Retry-After"))
            url, followed = there, followed + 1

    def _send(self, request: Any, url: str | None) -> Response:
        from requests.exceptions import (
            ConnectTimeout,
            InvalidURL,
            MissingSchema,
            ProxyError,
            RequestException,
            SSLError,
        )

        target = self.target
        self.traffic.requests += 1
        body = None if request.json is None else json.dumps(request.json).encode()
        try:
            headers = self._headers(body, name=str(self.traffic.requests))
            return self.session.request(
                target.method,
                url or request.url,
                # A redirect's address has its own query.
                params=None if url else request.params,
                data=body,
                headers=headers,
                timeout=(target.connect_timeout, target.timeout),
                allow_redirects=False,
                stream=True,
                # Given again, as the environment's bundle would win over the session's.
                verify=self.session.verify,
            )
        except (CredentialsError, NotSentError, TlsError) as error:
            raise _Failed(error) from None
        except SSLError as error:
            raise _Failed(TlsError(_reason(error))) from None
        except (InvalidURL, MissingSchema) as error:
            raise PagingError(
                f"{masked_url(request.url)} is no URL that can be asked: {type(error).__name__}"
            ) from None
        except (ConnectTimeout, ProxyError) as error:
            raise _Failed(NotSentError(_reason(error))) from None
        except RequestException as error:
            raise _Failed(AmbiguousError(_reason(error))) from None

    def _headers(self, body: bytes | None, name: str) -> Mapping[str, str | bytes]:
        headers = request_headers(self.target.headers, {}, has_body=body is not None)
        if self.tokens is not None:
            self._token = self.tokens.token()
            headers["Authorization"] = f"Bearer {self._token}"
        if self.signer is not None:
            headers.update(self.signer.headers(name, body or b""))
        # requests itself encodes no letters beyond Latin-1.
        return {each: value if value.isascii() else value.encode() for each, value in headers.items()}

    def _read(self, response: Response, name: str, check_stop: Callable[[], None]) -> bytes:
        """Read an answer up to its bound, which counts unpacked bytes."""
        from requests.exceptions import RequestException

        success = response.status_code in SUCCESS
        if "," in (coding := response.headers.get("Content-Encoding") or ""):
            # What is packed twice can unpack to any size before its bound is seen.
            raise PagingError(
                f"{name}: its answer is packed more than once, Content-Encoding: {coding}; not requested."
            )
        bound = self.max_page_bytes if success else _ERROR_BYTES
        kept: list[bytes] = []
        size = 0
        try:
            for data in response.iter_content(_CHUNK_BYTES):
                size += len(data)
                self.traffic.bytes_received += len(data)
                kept.append(data)
                if size > bound:
                    break
                check_stop()
        except RequestException as error:
            # The status came whole, whatever became of the rest: a rejection stands.
            if success:
                raise _Failed(AmbiguousError(_reason(error))) from None
        if success and size > bound:
            raise PagingError(
                f"{name}: its answer is longer than max_page_bytes, {bound:,}. Ask for fewer records a page, or raise "
                "the bound."
            )
        return b"".join(kept)[:bound]

    def shown(self, text: str) -> str:
        """Return a text without secrets."""
        if self._token is not None:
            text = text.replace(self._token, "***")
        return self.target.redact(text)


class _Failed(Exception):  # noqa: N818 - it never leaves this module
    """A request got no whole response."""

    def __init__(self, error: TransportError) -> None:
        super().__init__(str(error))
        self.error = error


def _reason(error: Exception) -> str:
    """Describe an error; the exception of ``requests`` itself quotes the URL with its query."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    text = str(reason or error)
    return f"{type(error).__name__}: {text}" if "://" not in text else type(error).__name__


def _nowhere(_: Response) -> None:
    return None
