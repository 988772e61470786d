"""Fetch one page, with retries, and decide what its response means."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_osmosdest.core.errors import PagingError, StoppedError, UnavailableError
from airflow_provider_osmosdest.core.http.retry import Backoff
from airflow_provider_osmosdest.core.http.status_advice import NOT_CONNECTED, WHAT_TO_CHECK
from airflow_provider_osmosdest.core.http.urls import masked_url
from airflow_provider_osmosdest.core.http.verdict import Verdict, verdict_of
from airflow_provider_osmosdest.core.source.fetching.actions import action_for
from airflow_provider_osmosdest.core.source.fetching.http_client import SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.errors import TransportError
    from airflow_provider_osmosdest.core.http.token_bucket import Bucket
    from airflow_provider_osmosdest.core.source.fetching.actions import ResponseAction
    from airflow_provider_osmosdest.core.source.fetching.http_client import HttpClient
    from airflow_provider_osmosdest.core.source.fetching.page_response import PageResponse

__all__ = ["Fetched", "PageFetcher"]

_STOP_CHECK_SECONDS = 0.5
_SHORTEST_WAIT = 0.001


@dataclass(frozen=True, slots=True)
class Fetched:
    """
    A response, and the response action that applies to it.

    :param answer: the whole of it
    :param action: ``stop`` or ``ignore``, ``None`` for an answer with records
    """

    answer: PageResponse
    action: str | None = None


@dataclass(slots=True)
class PageFetcher:
    """
    Fetch pages within the rate, and retry transient failures.

    :param client: sends single requests
    :param options: retries and waits
    :param actions: what to do with certain responses
    :param stopping: returns why to stop, ``None`` to go on
    :param warn: logs a line for each retry
    :param sleep: waits for seconds
    :param bucket: decides when requests may go, ``None`` for no limit
    """

    client: HttpClient
    options: DeliveryOptions
    actions: Sequence[ResponseAction] = ()
    stopping: Callable[[], str | None] = field(default=lambda: None)
    warn: Callable[[str], None] = field(default=lambda _: None)
    sleep: Callable[[float], None] = time.sleep
    bucket: Bucket | None = None

    def close(self) -> None:
        """Close the connections."""
        self.client.session.close()

    def fetch(self, request: Any, number: int) -> Fetched:
        """
        Fetch a page.

        :param request: a ``requests.Request`` with URL, query and JSON body
        :param number: of the page, from 1, for messages
        :raises PagingError: when the response means that a setting must be changed first
        :raises UnavailableError: when the API stayed unreachable or overloaded through all retries
        :raises StoppedError: when ``stopping`` gives a reason
        """
        options = self.options
        backoff = Backoff(options.backoff, options.max_backoff)
        name = f"page {number:,} of {self.client.target.method} {masked_url(request.url)}"
        attempt = 0
        while True:
            self._wait_turn()
            answer, error, retry_after = self.client.exchange(request, name, self._check_stop)
            why = self._why_again(answer, error)
            if why is None:
                assert answer is not None
                return Fetched(answer, self._action(answer))
            if attempt >= options.max_retries:
                raise UnavailableError(
                    f"{name}: the API stayed unavailable through {attempt:,} retries; it last {why}. Every page "
                    "before it is kept: retry the task when the API answers again, and it goes on with this page."
                )
            wait = backoff.wait(attempt, retry_after)
            attempt += 1
            self.client.traffic.retries += 1
            self.warn(f"{name}: {why}. Retry {attempt} of {options.max_retries} in {wait:,.1f} s.")
            self._wait(wait)

    def _why_again(self, answer: PageResponse | None, error: TransportError | None) -> str | None:
        """Return why to retry, ``None`` for a response that stands."""
        if answer is None:
            verdict = verdict_of(None, error)
            if verdict is Verdict.MISCONFIGURED:
                raise PagingError(
                    self.client.shown(f"{self.client.target.public_url} was sent no request: {error}. {NOT_CONNECTED}")
                ) from None
            return self.client.shown(f"failed: {error}")
        action = action_for(self.actions, answer.status, answer.body)
        if action in ("stop", "ignore") or (action is None and answer.status in SUCCESS):
            return None
        said = self.client.shown(f"answered {answer.status}: {answer.head}")
        if action == "retry":
            return f"{said}, which response_actions want retried"
        if action == "fail":
            raise PagingError(f"{answer.name}: {said}, and response_actions say that this is a failure.")
        # A GET may be repeated whatever became of it (RFC 9110 section 9.2.2).
        if verdict_of(answer.status, None) in (Verdict.TRANSIENT, Verdict.IN_DOUBT, Verdict.FAILED):
            return said
        raise PagingError(f"{answer.name}: {said}. {_advice(answer)}")

    def _action(self, answer: PageResponse) -> str | None:
        action = action_for(self.actions, answer.status, answer.body)
        return action if action in ("stop", "ignore") else None

    def _wait_turn(self) -> None:
        if self.bucket is not None:
            while not self.bucket.available(time.monotonic(), 1):
                self._wait(max(_SHORTEST_WAIT, self.bucket.wait(time.monotonic())))
            self.bucket.take(1, time.monotonic())
        self._check_stop()

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._check_stop()
            self.sleep(min(seconds, _STOP_CHECK_SECONDS))
            seconds -= _STOP_CHECK_SECONDS

    def _check_stop(self) -> None:
        if (reason := self.stopping()) is not None:
            raise StoppedError(reason)


def _advice(answer: PageResponse) -> str:
    status = answer.status
    if 300 <= status < 400:  # noqa: PLR2004 - redirects, RFC 9110 section 15.4
        there = masked_url(answer.headers.get("Location") or "")
        host = urlsplit(there).netloc
        return (
            f"It points to {there}, which is not followed{f' to {host}' if host else ''}: put that into the connection."
        )
    what = {**WHAT_TO_CHECK, 405: "the task's method"}.get(status, "the task's endpoint, query and body")
    return f"Check {what}; where the answer is no failure, say so in response_actions."
