"""Send one chunk at a time, again after transient failures, until there is a classification to act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.responses.sends import EARLIER
from airflow_provider_osmosdest.core.delivery.sending.context import CHECK_IN_SECONDS
from airflow_provider_osmosdest.core.errors import StoppedError
from airflow_provider_osmosdest.core.http.transport import Body, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification
    from airflow_provider_osmosdest.core.delivery.responses.sends import Sends
    from airflow_provider_osmosdest.core.delivery.sending.context import SendContext

__all__ = ["ChunkSender"]


class ChunkSender:
    """
    Send chunks one after another.

    :param context: what all requests of the attempt share
    """

    def __init__(self, context: SendContext) -> None:
        self._context = context
        self._transport = context.transport
        self._pacer = context.pacer
        self._tally = context.outcomes.tally

    def send(self, body: Body, size: int, key: str, sends: Sends, note: Callable[[], None]) -> Classification:
        """
        Send a chunk until an answer settles it, or its retries are spent.

        :param body: its bytes
        :param size: how many records are in it
        :param key: its idempotency key, the same each time
        :param sends: the sends of the chunk so far, which this adds to
        :param note: called before the first of them
        :return: the classification of the chunk
        :raises StoppedError: when the task is to stop; ``sends`` says whether the chunk is in doubt then
        :raises WaitError: before a wait that is too long to hold a worker slot for
        """
        context = self._context
        if context.compress is not None:
            body = context.compress(body)
        name = context.key_name
        request = Request(body, headers={name: key} if name else None, message_id=key)
        self._wait_turn(size)
        note()
        while True:
            context.outcomes.journal.guard()
            sends.attempts += 1
            self._tally.requests += 1
            self._tally.bytes_sent += request.length
            started = context.now()
            answers = self._transport.exchange([request], CHECK_IN_SECONDS)
            try:
                while not answers:
                    context.check_in()
                    answers = self._transport.exchange([], CHECK_IN_SECONDS)
            except StoppedError:
                sends.lost(EARLIER)
                raise
            if context.run_context.timed is not None:
                context.run_context.timed(context.now() - started)
            context.progress.tick()
            classification = context.classify(answers[0], size)
            wait = self._wait_after(classification, sends)
            if wait is None:
                return sends.conclude(classification)
            context.check_wait(wait)
            self._tally.retries += 1
            request.fresh = classification.status is None
            self._wait(wait)
            self._wait_turn(size)

    def _wait_after(self, classification: Classification, sends: Sends) -> float | None:
        """Return the seconds to wait before the same request goes again, ``None`` where it does not."""
        context, now = self._context, self._context.now()
        wait = context.backoff.wait(sends.attempts - 1, classification.retry_after)
        wait = max(wait, sends.least_wait(classification))
        if context.passing(classification):
            # The sender waits itself; only what holds beyond this chunk goes to the pacer.
            self._pacer.failed(classification.status, wait, None, now)
        else:
            self._pacer.succeeded(0.0, 1, now)
        return wait if sends.again(classification, now) else None

    def _wait_turn(self, size: int) -> None:
        context = self._context
        context.check_stop()
        while not self._pacer.may_start(0, context.now()):
            wait = max(0.001, self._pacer.wait(context.now()))
            context.check_wait(wait)
            self._wait(wait)
        self._pacer.started(1, size, context.now())

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._transport.exchange([], min(seconds, CHECK_IN_SECONDS))
            seconds -= CHECK_IN_SECONDS
            self._context.check_in()
