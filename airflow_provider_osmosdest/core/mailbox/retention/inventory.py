"""Take the inventory of a whole mailbox, for purges and people; reading does not need it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.mailbox.retention.horizon import load_horizon
from airflow_provider_osmosdest.core.mailbox.store.listing import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_osmosdest.core.mailbox.log.entry import Entry
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
    from airflow_provider_osmosdest.core.mailbox.store.listing import Listed

__all__ = ["Inventory", "Overview", "entries_of", "overview", "take_inventory"]

_WINDOW = 256


@dataclass(frozen=True, slots=True)
class Inventory:
    """
    The batches of a mailbox, and the objects beside them.

    :param tail: number of the newest batch; 0 in an empty mailbox
    :param data: the data of its batches, by name below ``data/``
    :param strays: other objects there: of publishes that broke off, or are under way
    """

    tail: int
    data: Mapping[str, Listed]
    strays: Mapping[str, Listed]

    @property
    def data_bytes(self) -> int:
        """The bytes of the data of all batches."""
        return sum(each.size for each in self.data.values())


@dataclass(frozen=True, slots=True)
class Overview:
    """
    The counts of what a mailbox holds.

    :param earliest: number of the earliest batch that may be read; 1 in an empty mailbox
    :param tail: number of the newest batch; 0 in an empty mailbox
    :param records: records in the batches between them, both included
    :param bytes: their data, as stored
    :param oldest: when the earliest batch was published, ISO 8601 in UTC
    :param newest: when the newest one was
    :param waiting: how many batches are out of reach, and go with a purge after the grace
    :param stray_bytes: data of publishes that broke off or are under way
    """

    earliest: int
    tail: int
    records: int
    bytes: int
    oldest: str | None
    newest: str | None
    waiting: int
    stray_bytes: int

    @property
    def batches(self) -> int:
        """How many batches may be read."""
        return self.tail + 1 - self.earliest


def overview(mailbox: Mailbox) -> Overview:
    """
    Count what a mailbox holds: some requests, and one more for each thousand batches.

    :raises StorageError: when the store cannot be read
    """
    horizon = load_horizon(mailbox.store)
    found = take_inventory(mailbox, horizon.delete_below)
    waiting = list(entries_of(mailbox, horizon.delete_below, horizon.seq))
    first, last = mailbox.log.entry(horizon.seq), mailbox.log.entry(found.tail)
    return Overview(
        earliest=horizon.seq,
        tail=found.tail,
        records=last.first + last.records - first.first if first and last else 0,
        bytes=found.data_bytes - sum(each.bytes for each in waiting),
        oldest=first.published_at if first else None,
        newest=last.published_at if last else None,
        waiting=len(waiting),
        stray_bytes=sum(each.size for each in found.strays.values()),
    )


def take_inventory(mailbox: Mailbox, first: int) -> Inventory:
    """
    List the data of a mailbox, split into what belongs to its batches and what does not.

    :param first: number of the earliest batch that is still in the store
    :raises StorageError: when the store cannot be read
    """
    # In this order: a batch that is published meanwhile has an entry whose data is not listed, which does no harm.
    found = listing(mailbox.store.root, "data")
    newest = mailbox.log.tail()
    tail = 0 if newest is None else newest.seq
    if len(found) == tail + 1 - first:
        # Each batch has data of its own, so there is nothing else, and no entry need be read.
        return Inventory(tail, found, {})
    named = {each.data.rpartition("/")[2] for each in entries_of(mailbox, first, tail + 1)}
    return Inventory(
        tail,
        {name: each for name, each in found.items() if name in named},
        {name: each for name, each in found.items() if name not in named},
    )


def entries_of(mailbox: Mailbox, start: int, stop: int) -> Iterator[Entry]:
    """
    Yield the entries from ``start`` to before ``stop`` that are there, some requests ahead of the caller.

    :raises StorageError: when the store cannot be read
    """
    parallel = mailbox.store.parallel
    with ThreadPoolExecutor(parallel, "osmosdest-inventory") as pool:
        for window in range(start, stop, _WINDOW):
            seqs = range(window, min(window + _WINDOW, stop))
            # On a disk, threads would only slow each other down.
            for entry in pool.map(mailbox.log.entry, seqs) if parallel > 1 else map(mailbox.log.entry, seqs):
                if entry is not None:
                    yield entry
