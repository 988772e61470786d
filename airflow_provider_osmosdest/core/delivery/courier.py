"""Send one chunk at a time, again after transient failures, until there is a judgement to act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.transport import Body, Request
from airflow_provider_osmosdest.core.delivery.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.judging import Judge, Judgement
    from airflow_provider_osmosdest.core.delivery.progress import Progress
    from airflow_provider_osmosdest.core.delivery.report import Tally
    from airflow_provider_osmosdest.core.delivery.retry import Backoff
    from airflow_provider_osmosdest.core.delivery.transport import Transport

__all__ = ["PASSING", "Courier"]

PASSING = frozenset({Verdict.TRANSIENT, Verdict.UNREACHABLE, Verdict.AMBIGUOUS})
"""Verdicts that the same request may not meet again."""

_GLANCE = 1.0
"""Seconds between two looks at the progress while an answer is awaited."""


class Courier:
    """
    Carry chunks one after another.

    :param transport: carries the requests
    :param judge: says what an answer means
    :param backoff: says how long to wait
    :param tally: counts requests, retries and bytes
    :param progress: is told that time goes by
    :param compress: compresses a body
    """

    def __init__(
        self,
        *,
        transport: Transport,
        judge: Judge,
        backoff: Backoff,
        tally: Tally,
        progress: Progress,
        compress: Callable[[Body], Body] | None = None,
    ) -> None:
        self._transport = transport
        self._judge = judge
        self._backoff = backoff
        self._tally = tally
        self._progress = progress
        self._compress = compress

    def send(self, body: Body, size: int, retries: int) -> tuple[Judgement, int]:
        """
        Send a chunk.

        :param body: its bytes
        :param size: how many records are in it
        :param retries: how often to send it again after a transient failure
        :return: the last judgement, and how many requests it took
        """
        if self._compress is not None:
            body = self._compress(body)
        request = Request(body)
        attempts = 0
        while True:
            judgement = self._once(request, size)
            attempts += 1
            if judgement.verdict not in PASSING or attempts > retries:
                return judgement, attempts
            self._tally.retries += 1
            self._wait(self._backoff.wait(attempts - 1, judgement.retry_after))

    def _once(self, request: Request, size: int) -> Judgement:
        self._tally.requests += 1
        self._tally.bytes_sent += request.length
        answers = self._transport.exchange([request], _GLANCE)
        while not answers:
            self._progress.tick()
            answers = self._transport.exchange([], _GLANCE)
        self._progress.tick()
        return self._judge(answers[0], size)

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._transport.exchange([], min(seconds, _GLANCE))
            seconds -= _GLANCE
            self._progress.tick()
