"""The facade of a mailbox, for operators, triggers, the command line and the web."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import CursorError, CursorExpiredError
from airflow_provider_osmosdest.core.mailbox.consumers import Consumers
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position, decode_cursor, encode_cursor
from airflow_provider_osmosdest.core.mailbox.inbox.receipts import Receipts
from airflow_provider_osmosdest.core.mailbox.log.log import Log
from airflow_provider_osmosdest.core.mailbox.log.publish import publish
from airflow_provider_osmosdest.core.mailbox.log.read import Gone, read_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_osmosdest.core.mailbox.log.entry import Entry
    from airflow_provider_osmosdest.core.mailbox.log.publish import Published
    from airflow_provider_osmosdest.core.mailbox.log.read import Page
    from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["Mailbox"]


class Mailbox:
    """
    One mailbox; safe to share between threads.

    Every method raises :class:`StorageError` where the store cannot be reached, or holds what is no mailbox's.

    :param store: its objects
    :param settings: its settings
    :param clock: seconds since the epoch
    """

    def __init__(self, store: Store, settings: MailboxSettings, *, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.settings = settings
        self._clock = clock
        self.log = Log(store, clock=clock)
        self.consumers = Consumers(store)
        self.receipts = Receipts(store)

    def publish(self, lines: Iterable[bytes | memoryview], *, batch_id: str, producer: str = "") -> Published:
        """
        Publish a batch whole and once: an id that was published already adds nothing.

        :param lines: NDJSON, cut anywhere; each record ends in a newline. The same records give the same bytes
        :param batch_id: the same in every retry: 1 to 200 letters, digits, dots, dashes and underscores, no dot first
        :param producer: who publishes, for people
        :raises ValueError: there is no record, a line is empty or without its newline, or the id cannot be one
        :raises StorageError: it may or may not be in the log; publish it again
        """
        return publish(
            self.store,
            self.log,
            lines,
            batch_id=batch_id,
            producer=producer,
            schema=self.settings.schema_digest,
            clock=self._clock,
        )

    def read(self, cursor: str | Position | Cursor | None, *, limit: int, max_bytes: int) -> Page:
        """
        Return the records from a cursor on; one request where there is nothing new.

        :param cursor: where to begin; ``None`` begins with the earliest record
        :param limit: records at most
        :param max_bytes: bytes of NDJSON at most, unless the first record alone has more
        :raises CursorError: it is no cursor of this mailbox, or points past its end
        :raises CursorExpiredError: what it points to was purged
        """
        start = self._cursor(cursor)
        try:
            return read_page(self.store, self.log, start, limit=limit, max_bytes=max_bytes)
        except Gone:
            if cursor is None:
                # Purged since the earliest was looked up.
                start = Cursor(Position(self.log.earliest(fresh=True)))
                return read_page(self.store, self.log, start, limit=limit, max_bytes=max_bytes)
            raise self._lost(start.position) from None

    def has_new(self, position: Position) -> bool:
        """
        Tell whether there is a record at a position or after it; one request.

        :param position: a reader's
        :raises CursorError: it is past the log's end
        :raises CursorExpiredError: what it points to was purged
        """
        entry = self.log.entry(position.seq)
        if entry is not None:
            return position.offset < entry.records or self.log.entry(position.seq + 1) is not None
        if not self.log.is_next(position.seq):
            raise self._lost(position)
        return False

    def standing(self, consumer: str) -> Cursor:
        """
        Return a consumer's committed cursor, or the earliest record's where it has never committed.

        It always has a generation, so that a commit after a seek cannot undo the seek.
        """
        return self.consumers.committed(consumer) or Cursor(self.position(None).position, 0)

    def commit(self, consumer: str, cursor: str | Cursor) -> bool:
        """
        Commit a cursor for a consumer, unless a later one is committed.

        :param consumer: its name
        :param cursor: a page's ``next``, or its text. Whether it has expired does not matter: what comes before it has
            been read
        :return: ``False`` where the cursor is stale, and nothing was changed
        :raises CursorError: it is no cursor of this mailbox, or points past its end: there the consumer would miss what
            is published until the log gets there
        """
        found = decode_cursor(self.settings.mailbox_id, cursor) if isinstance(cursor, str) else cursor
        seq = found.position.seq
        if self.log.entry(seq) is None and not self.log.is_next(seq) and seq >= self.log.earliest(fresh=True):
            raise self._lost(found.position)
        return self.consumers.commit(consumer, found)

    def cursor_text(self, position: Position, generation: int | None = None) -> str:
        """
        Return the opaque text of a cursor.

        :param position: a reader's
        :param generation: the generation of the consumer it is given to
        """
        return encode_cursor(self.settings.mailbox_id, Cursor(position, generation))

    def position(self, cursor: str | None) -> Cursor:
        """
        Decode a cursor, and check that what it points to was not purged.

        :param cursor: its text; ``None`` is the earliest record
        :raises CursorError: it is no cursor of this mailbox
        :raises CursorExpiredError: what it points to was purged
        """
        found = self._cursor(cursor)
        if found.position.seq < self.log.earliest():
            raise self._lost(found.position)
        return found

    def batches(self, cursor: str | Position | None, *, limit: int) -> tuple[list[Entry], str]:
        """
        Return the entries of the batches from a cursor on, and the cursor after them.

        :param cursor: where to begin, in or before the first batch; ``None`` begins with the earliest
        :param limit: batches at most
        :raises CursorError: it is no cursor of this mailbox, or points past its end
        :raises CursorExpiredError: what it points to was purged
        """
        start = self._cursor(cursor)
        entries = list(self.log.entries(start.position.seq, limit))
        if not entries and not self.log.is_next(start.position.seq):
            raise self._lost(start.position)
        after = Position(entries[-1].seq + 1) if entries else start.position
        return entries, self.cursor_text(after, start.generation)

    def lag(self, position: Position) -> int:
        """Return how many records there are from a position on; what was purged does not count."""
        tail = self.log.tail()
        if tail is None or position.seq > tail.seq:
            return 0
        entry, offset = self.log.entry(position.seq), position.offset
        if entry is None:
            entry, offset = self.log.entry(self.log.earliest(fresh=True)), 0
        return tail.first + tail.records - (entry or tail).first - offset

    def _cursor(self, cursor: str | Position | Cursor | None) -> Cursor:
        if isinstance(cursor, str):
            return decode_cursor(self.settings.mailbox_id, cursor)
        if isinstance(cursor, Cursor):
            return cursor
        return Cursor(Position(self.log.earliest()) if cursor is None else cursor)

    def _lost(self, position: Position) -> CursorError:
        """Return the error for a position that is not in the log."""
        earliest = self.log.earliest(fresh=True)
        text = self.cursor_text(Position(earliest))
        if position.seq < earliest:
            return CursorExpiredError(
                f"batch {position.seq:,} of mailbox {self.settings.mailbox_id} was purged, and batch {earliest:,} is "
                f"the earliest there is. Go on from cursor {text}",
                text,
            )
        return CursorError(
            f"the cursor points to record {position.offset:,} of batch {position.seq:,}, and mailbox "
            f"{self.settings.mailbox_id} has none there: the cursor was given out before the mailbox was made anew. "
            f"Begin at the earliest record, cursor {text}"
        )
