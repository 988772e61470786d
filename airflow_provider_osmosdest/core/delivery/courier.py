"""Send one chunk at a time, again after transient failures, until there is a judgement to act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.attempt import GLANCE
from airflow_provider_osmosdest.core.delivery.transport import Body, Request
from airflow_provider_osmosdest.core.delivery.verdict import Verdict

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.attempt import Attempt
    from airflow_provider_osmosdest.core.delivery.judging import Judgement

__all__ = ["Courier"]


class Courier:
    """
    Carry chunks one after another.

    :param attempt: what all requests share
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._transport = attempt.transport
        self._pacer = attempt.pacer
        self._tally = attempt.outcomes.tally
        self.under_way = False
        """Whether the chunk that is sent, or was last, may have arrived without an answer that tells."""

    def send(self, body: Body, size: int, retries: int, key: str) -> tuple[Judgement, int]:
        """
        Send a chunk.

        :param body: its bytes
        :param size: how many records are in it
        :param retries: how often to send it again after a transient failure
        :param key: its idempotency key, the same each time
        :return: the last judgement, and how many requests it took
        :raises StoppedError: when somebody wishes to stop; what was sent and not answered is not settled then
        :raises WaitError: before a wait that is too long to hold a worker slot for
        """
        attempt = self._attempt
        if attempt.compress is not None:
            body = attempt.compress(body)
        request = Request(body, headers=attempt.key_header(key), message_id=key)
        sent = 0
        self.under_way = False
        doubt: Judgement | None = None
        while True:
            self._wait_turn(size)
            self.under_way = True
            judgement = self._once(request, size)
            if judgement.verdict is Verdict.AMBIGUOUS:
                doubt = judgement
            self.under_way = doubt is not None
            sent += 1
            now = attempt.now()
            if not attempt.passing(judgement):
                self._pacer.succeeded(0.0, 1, now)
                return judgement, sent
            wait = attempt.backoff.wait(sent - 1, judgement.retry_after)
            # The courier waits itself; the pacer is told only of what holds beyond this chunk.
            self._pacer.failed(judgement.status, wait, None, now)
            if sent > retries:
                # Where any of them may have arrived, that is what is known of the chunk.
                return doubt or judgement, sent
            attempt.check_wait(wait)
            self._tally.retries += 1
            request.fresh = judgement.status is None
            self._wait(wait)

    def _wait_turn(self, size: int) -> None:
        attempt = self._attempt
        attempt.check_stop()
        while not self._pacer.may_start(0, attempt.now()):
            wait = max(0.001, self._pacer.wait(attempt.now()))
            attempt.check_wait(wait)
            self._wait(wait)
        self._pacer.started(1, size, attempt.now())

    def _once(self, request: Request, size: int) -> Judgement:
        attempt = self._attempt
        self._tally.requests += 1
        self._tally.bytes_sent += request.length
        started = attempt.now()
        answers = self._transport.exchange([request], GLANCE)
        while not answers:
            attempt.glance()
            answers = self._transport.exchange([], GLANCE)
        if attempt.timed is not None:
            attempt.timed(attempt.now() - started)
        attempt.progress.tick()
        return attempt.judge(answers[0], size)

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._transport.exchange([], min(seconds, GLANCE))
            seconds -= GLANCE
            self._attempt.glance()
