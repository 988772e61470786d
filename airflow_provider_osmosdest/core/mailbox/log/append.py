"""
Append to the log: the publisher that creates the next entry has its place, and a batch gets one place only.

Two publishers of one batch have the same ``after``, and each reads every entry behind it before it creates one. So
the second finds the first's, wherever it is, and however often either of them was killed.

Neither holds where a purge has been: an absent entry is no end of the log there, and what stands there may be of a
publisher that was held up for longer than a purge waits. So no place that is looked at may have been purged.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.log.entry import decode_at, encode, entry_name, timestamp
from airflow_provider_osmosdest.core.mailbox.log.log import TAIL_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.mailbox.log.entry import Entry
    from airflow_provider_osmosdest.core.mailbox.log.log import Log
    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["Passed", "append"]

# Half of the time for which a purge leaves what it put out of reach: the other half is for clocks that differ.
_UNPURGED_SECONDS = 300.0


class Passed(StorageError):  # noqa: N818 - tells the publisher where to go on; it does not leave this package
    """
    Batches that had to be looked at were purged before they were.

    :param earliest: the earliest batch there is
    :param found: a place below it where an entry of this batch stands; if its claim does not name it, it was never in
        the log
    """

    def __init__(self, earliest: int, found: int | None = None) -> None:
        super().__init__(f"batches up to {earliest - 1:,} were purged while one was being published. Publish it again")
        self.earliest = earliest
        self.found = found


def append(
    store: Store, log: Log, draft: Entry, *, after: int, clock: Callable[[], float] = time.time
) -> tuple[Entry, bool]:
    """
    Append a batch, unless it is in the log already.

    :param store: the mailbox's store
    :param log: its log
    :param draft: what to append; its ``seq``, ``first`` and ``published_at`` are decided here
    :param after: a number that the log has reached, such that no entry up to it is this batch's
    :param clock: seconds since the epoch
    :returns: the entry, and whether it was there already
    :raises Passed: not all entries after ``after`` are there to be looked at
    """
    seq, first = after, None
    while True:
        for entry in log.entries(seq + 1):
            if entry.batch_id == draft.batch_id:
                if (earliest := log.earliest(fresh=True)) > entry.seq:
                    # Purged since, of which its claim then tells; or made by a publisher that was held up, at a place
                    # that had been purged by then, where no reader finds it.
                    raise Passed(earliest, entry.seq)
                return entry, True
            first = first or entry
            seq = entry.seq
        looked = clock()
        newest = _newest(log, seq)
        _check_in_reach(log, after, first or newest, looked)
        mine = _following(draft, seq + 1, newest, looked)
        other = store.create_or_read(entry_name(seq + 1), encode(mine))
        if other is None:
            if clock() - looked > _UNPURGED_SECONDS and (earliest := log.earliest(fresh=True)) > seq + 1:
                # This process was held up so long that the place it took had been purged: no reader looks there.
                raise Passed(earliest, seq + 1)
            log.remember(mine)
            _hint(store, seq + 1)
            return mine, False
        log.remember(decode_at(other, seq + 1))


def _newest(log: Log, seq: int) -> Entry | None:
    """Return the log's newest entry, whose successor was absent just now, and make sure that it is the newest."""
    newest = log.newest(seq)
    if newest is not None:
        return newest
    earliest = log.earliest(fresh=True)
    # Held up since, this process may find that a successor was published, and that the purge goes up to it.
    if earliest > seq + 1 or (0 < seq < earliest and log.entry(seq + 1) is not None):
        raise Passed(earliest)
    if seq:
        raise StorageError(
            f"the log's entries {seq:,} and {seq + 1:,} are both missing, and were not purged: something else has "
            "deleted objects of this mailbox. Restore them, or begin a new mailbox in a folder of its own"
        )
    return None


def _check_in_reach(log: Log, after: int, oldest: Entry | None, looked: float) -> None:
    """
    Make sure that no place after ``after`` had been purged when it was looked at.

    :param oldest: the first entry after it, or else the one there; what is younger than a purge waits is not purged,
        and costs no request
    :param looked: when the last place was looked at
    """
    if oldest is None or 0 <= looked - datetime.fromisoformat(oldest.published_at).timestamp() < _UNPURGED_SECONDS:
        return
    if (earliest := log.earliest()) > after + 1:
        raise Passed(earliest)


def _following(draft: Entry, seq: int, previous: Entry | None, at: float) -> Entry:
    now = timestamp(datetime.fromtimestamp(at, UTC))
    if previous is None:
        return replace(draft, seq=seq, first=0, published_at=now)
    # Two machines' clocks differ, and the times of a log must not go back.
    now = max(now, previous.published_at)
    return replace(draft, seq=seq, first=previous.first + previous.records, published_at=now)


def _hint(store: Store, seq: int) -> None:
    try:
        store.put(TAIL_NAME, json.dumps({"seq": seq}).encode())
    except StorageError:
        # The batch is in the log. Without the hint, finding the log's end takes a few more requests.
        return
