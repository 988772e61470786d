"""Seeing a mailbox as a whole: what housekeeping and people want to know, and reading never needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.mailbox.listing import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_osmosdest.core.mailbox.entries import Entry
    from airflow_provider_osmosdest.core.mailbox.listing import Listed
    from airflow_provider_osmosdest.core.mailbox.log import Log
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox

__all__ = ["Survey", "entries_of", "survey"]

_AT_ONCE = 16
_WINDOW = 256


@dataclass(frozen=True, slots=True)
class Survey:
    """
    What lies in a mailbox.

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


def survey(mailbox: Mailbox, first: int) -> Survey:
    """
    List the data of a mailbox, and tell what belongs to its batches from what does not.

    :param first: number of the earliest batch that is still in the store
    :raises StorageError: when the store cannot be read
    """
    # In this order: a batch that is published meanwhile has an entry whose data is not listed, which does no harm.
    found = listing(mailbox.store.root, "data")
    newest = mailbox.log.tail()
    tail = 0 if newest is None else newest.seq
    if len(found) == tail + 1 - first:
        # Each batch has data of its own, so there is nothing else, and no entry need be read to know it.
        return Survey(tail, found, {})
    named = {each.data.rpartition("/")[2] for each in entries_of(mailbox.log, first, tail + 1)}
    return Survey(
        tail,
        {name: each for name, each in found.items() if name in named},
        {name: each for name, each in found.items() if name not in named},
    )


def entries_of(log: Log, start: int, stop: int) -> Iterator[Entry]:
    """
    Yield the entries from ``start`` to before ``stop`` that are there, some requests ahead of who takes them.

    :raises StorageError: when the store cannot be read
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for window in range(start, stop, _WINDOW):
            for entry in pool.map(log.entry, range(window, min(window + _WINDOW, stop))):
                if entry is not None:
                    yield entry
