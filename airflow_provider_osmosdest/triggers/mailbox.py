"""Triggers that wait for records in a mailbox: one for a task, one for an asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position, encode_cursor
from airflow_provider_osmosdest.triggers.polling import (
    POLL_INTERVAL,
    WATCH_INTERVAL,
    LogWatcher,
    Poll,
    off_the_loop,
    open_mailbox,
    polling,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from airflow.triggers.shared_stream import SharedStreamProducer

    from airflow_provider_osmosdest.core.mailbox.log.entry import Entry

__all__ = ["MailboxEventTrigger", "MailboxTrigger"]


class MailboxTrigger(BaseTrigger):
    """
    Fire once, when enough records wait for a consumer.

    The event is ``{"mailbox", "consumer", "records"}``.

    :param mailbox_conn_id: id of a connection of type ``osmos_mailbox``
    :param consumer: the consumer for which they must wait
    :param min_records: how many must wait
    :param poll_interval: seconds between two polls at most
    """

    def __init__(
        self, mailbox_conn_id: str, consumer: str, min_records: int = 1, poll_interval: float = POLL_INTERVAL
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.mailbox_conn_id = mailbox_conn_id
        self.consumer = consumer
        self.min_records = min_records
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger again in another process."""
        return (
            "airflow_provider_osmosdest.triggers.mailbox.MailboxTrigger",
            {
                "mailbox_conn_id": self.mailbox_conn_id,
                "consumer": self.consumer,
                "min_records": self.min_records,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the records, and fire."""

        def waiting(watcher: LogWatcher) -> int:
            return watcher.waiting(self.consumer)

        async for records in polling(self.mailbox_conn_id, self.poll_interval, waiting):
            if records >= self.min_records:
                yield _event({"mailbox": self.mailbox_conn_id, "consumer": self.consumer, "records": records})
                return


class MailboxEventTrigger(BaseEventTrigger):
    """
    Fire each time there are new batches in a mailbox: the trigger of an ``AssetWatcher``.

    The event is a notification without records, ``{"mailbox", "cursor", "published_at"}``: where the log ended, and
    when its newest batch came. The DAG reads from its own consumer's cursor, and finds all that came until then.

    All watchers of one mailbox share one poll (Airflow 3.3). What a watcher has fired for is kept in the asset's
    state store, once Airflow has the event, so that a triggerer that is restarted fires neither twice nor too little.
    Without such a store it goes by what ``consumer`` has committed, and without that it fires when it starts.

    :param mailbox_conn_id: id of a connection of type ``osmos_mailbox``
    :param consumer: batches that this consumer has committed already cause no event
    :param poll_interval: seconds between two polls at most
    """

    def __init__(
        self, mailbox_conn_id: str, consumer: str | None = None, poll_interval: float = WATCH_INTERVAL
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.mailbox_conn_id = mailbox_conn_id
        self.consumer = consumer
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger again in another process."""
        return (
            "airflow_provider_osmosdest.triggers.mailbox.MailboxEventTrigger",
            {
                "mailbox_conn_id": self.mailbox_conn_id,
                "consumer": self.consumer,
                "poll_interval": self.poll_interval,
            },
        )

    def shared_stream_key(self) -> Hashable | None:
        """Return the key of a poll: triggers of the same mailbox and interval share one."""
        return "osmosdest.mailbox", self.mailbox_conn_id, self.poll_interval

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return the producer that polls for all watchers of a mailbox."""
        from airflow_provider_osmosdest.triggers.shared import SharedPoll

        return SharedPoll(_polls(kwargs["mailbox_conn_id"], kwargs["poll_interval"]))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Poll]) -> AsyncIterator[TriggerEvent]:
        """Fire for every poll with batches that this watcher has not fired for."""
        # Before the first poll: for the first request of its process, the triggerer builds Airflow's execution API,
        # which blocks it for seconds. No batch shall have to wait for that.
        kept = await self._kept()
        seen: int | None = None
        async for poll in shared_stream:
            if seen is None:
                kept = await self._kept() if kept is None else kept
                seen = await self._fired_for(kept)
                if seen is None:
                    continue
                self.log.info("Watching mailbox %r: it fires for batches after %d.", self.mailbox_conn_id, seen)
            if poll.newest is None:
                continue
            # A log that is shorter than it was is another one, begun anew in the same place.
            seen = 0 if seen > poll.newest.seq else seen
            if poll.newest.seq > seen:
                seen = poll.newest.seq
                poll.fired.append(self)
                yield self._event(poll.newest)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll for this watcher alone: Airflow 3.2 calls this, and shares nothing."""
        async for event in self.filter_shared_stream(_polls(self.mailbox_conn_id, self.poll_interval)):
            yield event

    async def remember(self, seq: int) -> None:
        """
        Keep the number of the newest batch that this watcher has fired for, once Airflow has the event.

        Where that cannot be kept, it may fire once more after a restart, which costs a run that finds nothing.
        """
        store = getattr(self, "asset_state_store", None)
        if store is None:
            return
        try:
            await store.aset(self._key, seq)
        except Exception as error:  # noqa: BLE001 - the store and the supervisor raise what they like
            self.log.warning("What was fired for mailbox %r is not kept: %s", self.mailbox_conn_id, error)

    @property
    def _key(self) -> str:
        return f"osmosdest.mailbox.{self.mailbox_conn_id}"

    async def _fired_for(self, kept: int | None) -> int | None:
        """Return the newest batch that needs no event, ``None`` where it cannot be read now."""
        if kept is None or self.consumer is None:
            return kept
        try:
            return max(kept, await off_the_loop(_committed, self.mailbox_conn_id, self.consumer))
        except Exception as error:  # noqa: BLE001 - stores and connections raise what they like; the next poll comes soon
            self._cannot_tell(error)
            return None

    async def _kept(self) -> int | None:
        """Return what :meth:`remember` kept, 0 where there is nothing, ``None`` where it cannot be read now."""
        store = getattr(self, "asset_state_store", None)
        if store is None:
            return 0
        try:
            kept = await store.aget(self._key, 0)
        except ValueError:
            # One watcher of several assets has the state of none.
            return 0
        except Exception as error:  # noqa: BLE001 - the store and the supervisor raise what they like
            self._cannot_tell(error)
            return None
        return kept if isinstance(kept, int) else 0

    def _cannot_tell(self, error: Exception) -> None:
        self.log.warning("What was fired for mailbox %r cannot be read: %s", self.mailbox_conn_id, error)

    def _event(self, newest: Entry) -> TriggerEvent:
        cursor = encode_cursor(self.mailbox_conn_id, Cursor(Position(newest.seq + 1)))
        return _event({"mailbox": self.mailbox_conn_id, "cursor": cursor, "published_at": newest.published_at})


async def _polls(conn_id: str, interval: float) -> AsyncIterator[Poll]:
    async for newest in polling(conn_id, interval, LogWatcher.newest):
        yield Poll(newest)


def _committed(conn_id: str, consumer: str) -> int:
    """Return the last batch that a consumer has committed whole, 0 for none."""
    committed = open_mailbox(conn_id).consumers.committed(consumer)
    return 0 if committed is None else committed.position.seq - 1


def _event(payload: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
