"""Fetch one page: send, wait, send again, read within bounds, and say what the answer means."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_osmosdest import __version__
from airflow_provider_osmosdest.core.delivery.redirects import next_url
from airflow_provider_osmosdest.core.delivery.retry import Backoff, parse_retry_after
from airflow_provider_osmosdest.core.delivery.target import masked_url
from airflow_provider_osmosdest.core.delivery.verdict import Verdict, judge
from airflow_provider_osmosdest.core.errors import (
    AmbiguousError,
    CredentialsError,
    NotSentError,
    PagingError,
    StoppedError,
    TlsError,
    UnavailableError,
)
from airflow_provider_osmosdest.core.source.actions import action_for
from airflow_provider_osmosdest.core.source.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from requests import Response, Session

    from airflow_provider_osmosdest.core.delivery.oauth2 import TokenSource
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.delivery.signing import Signer
    from airflow_provider_osmosdest.core.delivery.target import Target
    from airflow_provider_osmosdest.core.errors import TransportError
    from airflow_provider_osmosdest.core.source.actions import ResponseAction

__all__ = ["Fetched", "Fetcher", "Traffic"]

_CHUNK_BYTES = 64 * 1024
# An answer that means failure is read this far: enough for its words.
_ERROR_BYTES = 64 * 1024
_GLANCE = 0.5
_SUCCESS = range(200, 300)


@dataclass(slots=True)
class Traffic:
    """What pages have cost so far."""

    requests: int = 0
    retries: int = 0
    bytes_received: int = 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """
    An answer, and what a response action made of it.

    :param answer: the whole of it
    :param action: ``stop`` or ``ignore``, ``None`` for an answer with records
    """

    answer: Answer
    action: str | None = None


@dataclass(slots=True)
class Fetcher:
    """
    Fetch pages over one session.

    :param session: sends them, with the connection's auth, certificates and proxies
    :param target: where to; of its headers, the task's own win
    :param options: time-outs, retries, waits and the rate
    :param actions: what some answers mean
    :param max_page_bytes: the longest answer there may be, unpacked
    :param tokens: gives bearer tokens, ``None`` for no OAuth2
    :param signer: signs bodies, ``None`` for no signatures
    :param stopping: returns why to stop, ``None`` to go on
    :param warn: takes a line for each retry
    :param traffic: counts
    :param sleep: waits for seconds
    """

    session: Session
    target: Target
    options: DeliveryOptions
    actions: Sequence[ResponseAction]
    max_page_bytes: int
    tokens: TokenSource | None = None
    signer: Signer | None = None
    stopping: Callable[[], str | None] = field(default=lambda: None)
    warn: Callable[[str], None] = field(default=lambda _: None)
    traffic: Traffic = field(default_factory=Traffic)
    sleep: Callable[[float], None] = time.sleep
    _due: float = 0.0
    _token: str | None = None

    def __post_init__(self) -> None:
        """Keep the session from following redirects by itself, even where it may not."""
        self.session.get_redirect_target = _nowhere  # type: ignore[assignment,method-assign]

    def fetch(self, request: Any, number: int) -> Fetched:
        """
        Fetch a page.

        :param request: a ``requests.Request`` with URL, query and JSON body
        :param number: of the page, from 1, for messages
        :raises PagingError: when the answer means that nothing can be fetched before somebody mends a setting
        :raises UnavailableError: when the API stayed unreachable or overloaded through all retries
        :raises StoppedError: when somebody wishes to stop
        """
        options = self.options
        backoff = Backoff(options.backoff, options.max_backoff)
        name = f"page {number:,} of {self.target.method} {masked_url(request.url)}"
        attempt = 0
        while True:
            self._wait_turn()
            answer, error, retry_after = self._exchange(request, name)
            why = self._why_again(answer, error)
            if why is None:
                assert answer is not None
                return Fetched(answer, self._action(answer))
            if attempt >= options.max_retries:
                raise UnavailableError(
                    f"{name}: the API stayed unavailable through {attempt:,} retries; it last {why}. Every page "
                    "before it is kept: retry the task when the API is well again, and it goes on with this page."
                )
            wait = backoff.wait(attempt, retry_after)
            attempt += 1
            self.traffic.retries += 1
            self.warn(f"{name}: {why}. Retry {attempt} of {options.max_retries} in {wait:,.1f} s.")
            self._wait(wait)

    def _why_again(self, answer: Answer | None, error: TransportError | None) -> str | None:
        """Say why to ask again, ``None`` for an answer that stands."""
        if answer is None:
            verdict = judge(None, error)
            if verdict is Verdict.MISCONFIGURED:
                raise PagingError(
                    self._shown(
                        f"{self.target.public_url} was asked nothing: {error}. Check the host name and certificate "
                        "('verify', 'cert') and the credentials of the connection."
                    )
                ) from None
            return self._shown(f"failed: {error}")
        action = action_for(self.actions, answer.status, answer.body)
        if action in ("stop", "ignore") or (action is None and answer.status in _SUCCESS):
            return None
        said = self._shown(f"answered {answer.status}: {answer.head}")
        if action == "retry":
            return f"{said}, which response_actions want retried"
        if action == "fail":
            raise PagingError(f"{answer.name}: {said}, and response_actions say that this is a failure.")
        verdict = judge(answer.status, None)
        if verdict is Verdict.TRANSIENT:
            return said
        raise PagingError(f"{answer.name}: {said}. {_advice(answer)}")

    def _action(self, answer: Answer) -> str | None:
        action = action_for(self.actions, answer.status, answer.body)
        return action if action in ("stop", "ignore") else None

    def _exchange(self, request: Any, name: str) -> tuple[Answer | None, TransportError | None, float | None]:
        """Send once; renew a token, and follow a redirect, where that is called for."""
        url, followed, renewed = request.url, 0, False
        while True:
            try:
                response = self._send(request, url if followed else None)
                with closing(response):
                    body = self._read(response, name)
            except _Failed as failed:
                return None, failed.error, None
            answer = Answer(response.status_code, response.headers, body, name)
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
                # A redirect's address says itself what is asked for.
                params=None if url else request.params,
                data=body,
                headers=headers,
                timeout=(target.connect_timeout, target.timeout),
                allow_redirects=False,
                stream=True,
                # Said again, as the environment's bundle would win over the session's.
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
        headers = {"Accept": "application/json, */*;q=0.5", "User-Agent": f"airflow-provider-osmosdest/{__version__}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        given = {each.lower() for each in self.target.headers}
        headers = {each: value for each, value in headers.items() if each.lower() not in given}
        headers.update(self.target.headers)
        if self.tokens is not None:
            self._token = self.tokens.token()
            headers["Authorization"] = f"Bearer {self._token}"
        if self.signer is not None:
            headers.update(self.signer.headers(name, body or b""))
        # requests itself knows no letters beyond Latin-1.
        return {each: value if value.isascii() else value.encode() for each, value in headers.items()}

    def _read(self, response: Response, name: str) -> bytes:
        """Read an answer up to its bound, which counts unpacked bytes."""
        from requests.exceptions import RequestException

        success = response.status_code in _SUCCESS
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
                self._check_stop()
        except RequestException as error:
            # The status came whole, whatever became of the rest: a refusal stands.
            if success:
                raise _Failed(AmbiguousError(_reason(error))) from None
        if success and size > bound:
            raise PagingError(
                f"{name}: its answer is longer than max_page_bytes, {bound:,}. Ask for fewer records a page, or raise "
                "the bound."
            )
        return b"".join(kept)[:bound]

    def _wait_turn(self) -> None:
        rate = self.options.requests_per_second
        if rate is not None:
            now = time.monotonic()
            self._wait(self._due - now)
            self._due = max(now, self._due) + 1 / rate
        self._check_stop()

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._check_stop()
            self.sleep(min(seconds, _GLANCE))
            seconds -= _GLANCE

    def _check_stop(self) -> None:
        if (reason := self.stopping()) is not None:
            raise StoppedError(f"{reason}. A retry of the task goes on with the page it stood at.")

    def _shown(self, text: str) -> str:
        if self._token is not None:
            text = text.replace(self._token, "***")
        return self.target.redact(text)


class _Failed(Exception):  # noqa: N818 - it never leaves this module
    """One exchange brought no whole answer."""

    def __init__(self, error: TransportError) -> None:
        super().__init__(str(error))
        self.error = error


def _reason(error: Exception) -> str:
    """Say what went wrong; the exception of ``requests`` itself quotes the URL with its query."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    text = str(reason or error)
    return f"{type(error).__name__}: {text}" if "://" not in text else type(error).__name__


def _advice(answer: Answer) -> str:
    status = answer.status
    if 300 <= status < 400:  # noqa: PLR2004 - redirects, RFC 9110 section 15.4
        there = masked_url(answer.headers.get("Location") or "")
        host = urlsplit(there).netloc
        return (
            f"It points to {there}, which is not followed{f' to {host}' if host else ''}: put that into the connection."
        )
    what = {
        401: "the token or password, and the 'headers' of the connection",
        403: "the token or password and what it may do, and the 'headers' of the connection",
        404: "the connection's base URL and the task's endpoint",
        405: "the task's method",
        407: "the proxy's user and password",
        410: "the connection's base URL and the task's endpoint",
    }.get(status, "the task's endpoint, query and body")
    return f"Check {what}; where the answer is no failure, say so in response_actions."


def _nowhere(_: Response) -> None:
    return None
