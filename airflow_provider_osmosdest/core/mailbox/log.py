"""The log: what was published in which order, found without ever listing it."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.entries import Entry, decode, encode, entry_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.mailbox.store import Store

__all__ = ["EARLIEST_NAME", "TAIL_NAME", "Log"]

TAIL_NAME = "tail.json"
EARLIEST_NAME = "earliest.json"

_EARLIEST_TTL = 60.0
_CACHED_ENTRIES = 256


class Log:
    """
    The entries of one mailbox.

    :param store: the mailbox's store
    :param clock: seconds since the epoch
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._cache: OrderedDict[int, Entry] = OrderedDict()
        self._earliest: tuple[float, int] | None = None

    def entry(self, seq: int) -> Entry | None:
        """Return an entry, or ``None`` where there is none (yet, or any more); one request at most."""
        with self._lock:
            if seq in self._cache:
                self._cache.move_to_end(seq)
                return self._cache[seq]
        data = self._store.get(entry_name(seq))
        if data is None:
            return None
        entry = decode(data, entry_name(seq))
        with self._lock:
            self._cache[seq] = entry
            if len(self._cache) > _CACHED_ENTRIES:
                self._cache.popitem(last=False)
        return entry

    def earliest(self, *, fresh: bool = False) -> int:
        """Return the number of the earliest entry that may be read; as of a minute ago, unless it must be fresh."""
        now = self._clock()
        if not fresh and self._earliest is not None and now - self._earliest[0] < _EARLIEST_TTL:
            return self._earliest[1]
        data = self._store.get(EARLIEST_NAME)
        seq = 1 if data is None else int(json.loads(data)["seq"])
        self._earliest = (now, seq)
        return seq

    def tail(self) -> Entry | None:
        """Return the newest entry, or ``None`` of an empty log."""
        hint = self._store.get(TAIL_NAME)
        known = max(int(json.loads(hint)["seq"]) if hint else 0, self.earliest(fresh=True) - 1)
        step = 1
        while self._store.size(entry_name(known + step)) is not None:
            known, step = known + step, step * 2
        while step > 1:
            step //= 2
            if self._store.size(entry_name(known + step)) is not None:
                known += step
        return self.entry(known) if known else None

    def append(self, draft: Entry, *, after: int) -> tuple[Entry, bool]:
        """
        Append a batch, unless it is in the log already.

        :param draft: what to append; its ``seq``, ``first`` and ``published_at`` are set here
        :param after: a number such that no entry up to it can be this batch's
        :returns: the entry, and whether it was there already
        """
        seq, previous = after, self.entry(after) if after else None
        while True:
            seq += 1
            found = self.entry(seq)
            if found is None:
                entry = self._following(draft, seq, previous)
                other = self._store.create_or_read(entry_name(seq), encode(entry))
                if other is None:
                    self._store.put(TAIL_NAME, json.dumps({"seq": seq}).encode())
                    return entry, False
                found = decode(other, entry_name(seq))
            if found.batch_id == draft.batch_id:
                return found, True
            previous = found

    def _following(self, draft: Entry, seq: int, previous: Entry | None) -> Entry:
        now = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="microseconds")
        if previous is None:
            return replace(draft, seq=seq, first=0, published_at=now)
        return replace(
            draft,
            seq=seq,
            first=previous.first + previous.records,
            published_at=max(now, previous.published_at),
        )

    def at_time(self, moment: datetime) -> Position:
        """Return where the first batch begins that was published at a moment or later; the log's end if none was."""
        tail = self.tail()
        if tail is None:
            return Position(1)
        wanted = moment.astimezone(UTC).isoformat(timespec="microseconds")
        low, high = self.earliest(), tail.seq + 1
        while low < high:
            middle = (low + high) // 2
            entry = self.entry(middle)
            if entry is None or entry.published_at < wanted:
                low = middle + 1
            else:
                high = middle
        return Position(low)
