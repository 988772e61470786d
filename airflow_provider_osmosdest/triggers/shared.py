"""One poll for all watchers of a mailbox, where Airflow can share one (3.3): imported by the triggerer alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.triggers.shared_stream import SharedStreamProducer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from airflow_provider_osmosdest.triggers.polling import Poll

__all__ = ["SharedPoll"]


class SharedPoll(SharedStreamProducer):
    """
    Pass every poll of a mailbox to all its watchers.

    A poll without a new batch is passed on too, so that a watcher that joins late has the log's end within one poll.

    :param polls: the polls
    """

    def __init__(self, polls: AsyncIterator[Poll]) -> None:
        self._polls = polls

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Yield each poll twice: for the watchers, and for :meth:`advance`."""
        async for poll in self._polls:
            yield poll, poll

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Let the watchers remember what they fired for: Airflow has those events in its database now."""
        for payload, outcome in batch:
            # One that failed is not told apart from the others; each of them then fires once more after a restart.
            if payload.newest is not None and outcome.is_clean:
                for trigger in payload.fired:
                    await trigger.remember(payload.newest.seq)
