"""
Purge batches that are too old or too many, in two steps that disturb no reader.

``earliest.json`` says ``{"seq": E, "delete_below": D, "at": time}``. Readers may read from batch E on. Below D nothing
is left; batches from D up to E are out of reach for new readers since that time, and are deleted by a purge that comes
after the grace, when every reader of them has its page. As what is deleted is below E before the
first object goes, and D moves only when the last one is gone, a purge that breaks off anywhere leaves a mailbox that
can be read, and the next purge goes on.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.mailbox.log.entry import entry_name
from airflow_provider_osmosdest.core.mailbox.log.log import EARLIEST_NAME
from airflow_provider_osmosdest.core.mailbox.log.publish import settle
from airflow_provider_osmosdest.core.mailbox.retention.horizon import Horizon, load_horizon
from airflow_provider_osmosdest.core.mailbox.retention.inventory import entries_of, take_inventory
from airflow_provider_osmosdest.core.mailbox.retention.leftovers import find_leftovers

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.log.entry import Entry
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["GRACE", "Purged", "purge"]

GRACE = timedelta(minutes=10)
"""How long a batch that is out of reach for new readers is kept for those that are reading it."""

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Purged:
    """
    The result of a purge, or of its dry run.

    :param batches: how many batches it deleted
    :param bytes: the bytes of their data
    :param earliest: the earliest batch that may be read now; 1 more than the newest in an empty mailbox
    :param waiting: how many batches are out of reach, and go with the first purge after the grace
    :param waiting_bytes: the bytes of their data
    :param leftovers: how many objects it deleted that belong to no batch: of publishes that broke off, and receipts
        that have expired
    """

    batches: int
    bytes: int
    earliest: int
    waiting: int
    waiting_bytes: int
    leftovers: int


def purge(mailbox: Mailbox, *, now: datetime, dry_run: bool = False) -> Purged:
    """
    Delete what an earlier purge put out of reach, if the grace is over, and put out of reach what is due now.

    The newest batch always stays. Purges may run at the same time.

    :param now: the time that ages are counted to
    :param dry_run: change nothing, and return what would be done
    :raises StorageError: when the store cannot be read or written; the next purge goes on
    """
    store = mailbox.store
    horizon = load_horizon(store)
    found = take_inventory(mailbox, horizon.delete_below)
    leftovers = find_leftovers(store, found, now)
    waiting = list(entries_of(mailbox, horizon.delete_below, horizon.seq))
    deleted: list[Entry] = []
    if waiting and horizon.at is not None and now - horizon.at >= GRACE:
        waiting, deleted = [], waiting
        if not dry_run:
            _delete(store, deleted)
    # Batches that wait keep their time: a purge every minute must not put off their deletion for ever.
    reach = horizon
    if waiting and horizon.at is not None and horizon.at > now:
        # A clock that ran ahead must not put it off for as long as it did.
        reach = Horizon(horizon.seq, horizon.delete_below, now.astimezone(UTC))
    if not waiting:
        reach = Horizon(horizon.seq, horizon.seq, horizon.at)
        due = _due(mailbox, found.tail, horizon.seq, found.data_bytes - sum(each.bytes for each in deleted), now)
        if due:
            reach, waiting = Horizon(due[-1].seq + 1, horizon.seq, now.astimezone(UTC)), due
    if not dry_run:
        _settle(store, waiting if reach != horizon else [])
        _move(store, horizon, reach)
        store.delete(leftovers)
        mailbox.log.earliest(fresh=True)
    return Purged(
        batches=len(deleted),
        bytes=sum(each.bytes for each in deleted),
        earliest=reach.seq,
        waiting=len(waiting),
        waiting_bytes=sum(each.bytes for each in waiting),
        leftovers=len(leftovers),
    )


def _due(mailbox: Mailbox, tail: int, earliest: int, data_bytes: int, now: datetime) -> list[Entry]:
    """
    Return the oldest batches that are too old, or that make the mailbox too large.

    :param tail: the newest batch, which is never among them
    :param data_bytes: of all batches from ``earliest`` on
    """
    settings = mailbox.settings
    if settings.max_age is None and (settings.max_bytes is None or data_bytes <= settings.max_bytes):
        return []
    due = []
    for entry in entries_of(mailbox, earliest, tail):
        age = now - datetime.fromisoformat(entry.published_at)
        too_old = settings.max_age is not None and age.total_seconds() > settings.max_age
        too_large = settings.max_bytes is not None and data_bytes > settings.max_bytes
        if not too_old and not too_large:
            break
        due.append(entry)
        data_bytes -= entry.bytes
    return due


def _delete(store: Store, entries: list[Entry]) -> None:
    """Delete batches, the oldest first; of each its data first, which only its entry names."""
    for start in range(0, len(entries), _AT_ONCE):
        some = entries[start : start + _AT_ONCE]
        store.delete([each.data for each in some])
        store.delete([entry_name(each.seq) for each in some])


def _settle(store: Store, entries: list[Entry]) -> None:
    """Note in the claims of batches that they were in the log, which a repeated publish cannot see any more."""
    with ThreadPoolExecutor(store.parallel) as pool:
        for _ in pool.map(partial(settle, store), entries):
            pass


def _move(store: Store, seen: Horizon, horizon: Horizon) -> None:
    """
    Write where the mailbox begins, unless another purge has done so meanwhile.

    Two that do so at the same time are harmless: both say that the same is gone, and what only one of them put out
    of reach is not deleted before the grace is over.
    """
    if horizon == seen or load_horizon(store) != seen:
        return
    at = None if horizon.at is None else horizon.at.isoformat()
    document = {"seq": horizon.seq, "delete_below": horizon.delete_below, "at": at}
    store.put(EARLIEST_NAME, json.dumps(document).encode())
