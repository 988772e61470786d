"""
The log: batches in the order they were published, found without listing objects.

Entries are contiguous from the earliest to the tail, each is created exclusively, and the newest is never purged. So an
absent entry whose predecessor is there is the log's end, and the publisher that creates it has the next place.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.log.entry import Entry, decode_at, entry_name, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["EARLIEST_NAME", "TAIL_NAME", "DamagedError", "Log"]

TAIL_NAME = "tail.json"
"""The object with a number near the log's end: a hint, never relied on."""

EARLIEST_NAME = "earliest.json"
"""The object with the number of the earliest entry that may be read."""

# Far below the ten minutes that what is purged stays readable.
_TRUSTED_SECONDS = 60.0
_AT_ONCE_SECONDS = 1.0

_CACHED_ENTRIES = 256
_WIDEST_LOOK_AHEAD = 32


class DamagedError(StorageError):
    """A small document of the mailbox cannot be parsed."""


class Log:
    """
    The entries of one mailbox; safe to share between threads.

    :param store: the mailbox's store
    :param clock: seconds since the epoch
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._cache: OrderedDict[int, Entry] = OrderedDict()
        self._newest: tuple[Entry, float] | None = None
        self._earliest: tuple[int, float] | None = None

    def entry(self, seq: int) -> Entry | None:
        """Return an entry, or ``None`` where there is none (yet, or any more); one request at most."""
        with self._lock:
            cached = self._cache.get(seq)
            if cached is not None:
                self._cache.move_to_end(seq)
                return cached
        return self._fetch(seq)

    def entries(self, seq: int, count: int | None = None) -> Iterator[Entry]:
        """
        Yield consecutive entries up to the log's end, fetching ever more at once.

        :param seq: the first one's number
        :param count: how many at most
        """
        ahead = 1
        while count is None or count > 0:
            wanted = ahead if count is None else min(ahead, count)
            for entry in self._several(range(seq, seq + wanted)):
                if entry is None:
                    return
                yield entry
            seq += wanted
            count = None if count is None else count - wanted
            ahead = min(ahead * 2, _WIDEST_LOOK_AHEAD) if self._store.parallel > 1 else 1

    def newest(self, seq: int) -> Entry | None:
        """
        Return the entry with this number, if it was in the store within the last minute: from memory, or in a request.

        :param seq: its number
        """
        known = self._newest
        if known is not None and known[0].seq == seq and self._is_recent(known[1], _TRUSTED_SECONDS):
            return known[0]
        return self._fetch(seq)

    def is_next(self, seq: int) -> bool:
        """
        Tell whether an entry that was not there is the next one to come: one request at most once a minute.

        ``False`` where it was purged, or no log ever reached it.

        :param seq: the number of an entry that was absent just now
        """
        if seq == 1:
            return self.earliest() <= 1
        if self.newest(seq - 1) is not None:
            return True
        # After a delay, the entry may have been published meanwhile, and everything before it purged.
        return self.earliest(fresh=True) == seq and self._fetch(seq) is not None

    def earliest(self, *, fresh: bool = False) -> int:
        """
        Return the number of the earliest entry that may be read.

        :param fresh: ask the store; else it may be as of a minute ago
        """
        known, now = self._earliest, self._clock()
        if not fresh and known is not None and self._is_recent(known[1], _TRUSTED_SECONDS):
            return known[0]
        seq = self._number(EARLIEST_NAME, 1)
        self._earliest = (seq, now)
        return seq

    def tail(self) -> Entry | None:
        """
        Return the newest entry, or ``None`` of an empty log: a few requests, however long the log is.

        :raises StorageError: also where the log's objects were deleted by something else than a purge
        """
        known = self._near(self._hint())
        if known is None:
            earliest = self.earliest(fresh=True)
            known = self._fetch(earliest)
            if known is None:
                if earliest > 1:
                    raise StorageError(
                        f"the log begins with batch {earliest:,}, which is missing: something else has deleted "
                        "objects of this mailbox. Restore them, or begin a new mailbox in a folder of its own"
                    )
                return None
        step = 1
        while (found := self._fetch(known.seq + step)) is not None:
            known, step = found, step * 2
        while step > 1:
            step //= 2
            known = self._fetch(known.seq + step) or known
        return known

    def near_tail(self) -> int:
        """
        Return a number that the log has reached, or 0, near its end; a few requests at most once a second.

        :raises StorageError: also where the log ends before its hint: consumers that have read the lost batches
            would skip what is published in their place
        """
        known = self._newest
        if known is not None and self._is_recent(known[1], _AT_ONCE_SECONDS):
            return known[0].seq
        hint = self._hint()
        found = self._near(hint)
        if found is None:
            tail = self.tail()
            end = 0 if tail is None else tail.seq
            if end < hint:
                raise StorageError(
                    f"{TAIL_NAME} says that the log has reached batch {hint:,}, and it ends with {end:,}: something "
                    "has deleted objects of this mailbox, or restored an older copy. Restore them. If they are lost, "
                    f"delete {TAIL_NAME} to go on from there, and let each consumer seek"
                )
            return end
        return found.seq

    def _hint(self) -> int:
        try:
            return self._number(TAIL_NAME, 0)
        except DamagedError:
            # The next publish writes it anew.
            return 0

    def _near(self, hint: int) -> Entry | None:
        """Return the entry at the hint, or at the newest number seen if that is later; ``None`` where it is missing."""
        known = self._newest
        if known is not None and known[0].seq >= hint:
            found = self._fetch(known[0].seq)
            if found is not None:
                return found
            # The newest is never purged: another log has taken this one's place, and the cache is out of date.
            with self._lock:
                self._cache.clear()
                self._newest = None
        return self._fetch(hint)

    def remember(self, entry: Entry) -> None:
        """Cache an entry that was in the store just now."""
        with self._lock:
            self._cache[entry.seq] = entry
            self._cache.move_to_end(entry.seq)
            if len(self._cache) > _CACHED_ENTRIES:
                self._cache.popitem(last=False)
            if self._newest is None or entry.seq >= self._newest[0].seq:
                self._newest = (entry, self._clock())

    def at_time(self, since: datetime) -> Position:
        """Return where the first batch begins that was published at a time or later; the log's end if none was."""
        tail = self.tail()
        if tail is None:
            return Position(1)
        wanted = timestamp(since)
        low, high = self.earliest(fresh=True), tail.seq + 1
        while low < high:
            middle = (low + high) // 2
            entry = self.entry(middle)
            # What is gone meanwhile was earlier than what is left.
            if entry is None or entry.published_at < wanted:
                low = middle + 1
            else:
                high = middle
        return Position(low)

    def _several(self, seqs: range) -> Iterator[Entry | None]:
        if len(seqs) == 1:
            yield self.entry(seqs[0])
            return
        # A pool of its own: one that outlives the call would have no threads in a forked process.
        with ThreadPoolExecutor(min(self._store.parallel, len(seqs)), "osmosdest-log") as pool:
            yield from pool.map(self.entry, seqs)

    def _fetch(self, seq: int) -> Entry | None:
        """Return an entry as the store has it now; there is none with number 0, which costs no request."""
        data = self._store.get(entry_name(seq)) if seq > 0 else None
        if data is None:
            return None
        entry = decode_at(data, seq)
        self.remember(entry)
        return entry

    def _number(self, name: str, default: int) -> int:
        """Return the ``seq`` of a small document, or the default where there is none."""
        data = self._store.get(name)
        if data is None:
            return default
        try:
            return int(json.loads(data)["seq"])
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise DamagedError(
                f"{name} of the mailbox is damaged ({type(error).__name__}: {error}): something else has written "
                "there. Restore it from a copy"
            ) from error

    def _is_recent(self, at: float, seconds: float) -> bool:
        return 0 <= self._clock() - at < seconds
