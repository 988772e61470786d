"""Find the objects of a mailbox that belong to no batch and are old enough to be deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.mailbox.store.listing import listing

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_osmosdest.core.mailbox.retention.inventory import Inventory
    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["MEMORY_DAYS", "STRAY_DAYS", "find_leftovers"]

STRAY_DAYS = 1
"""How long an upload may take until its entry is in the log, in days."""

MEMORY_DAYS = 7
"""For how many days a mailbox recognises what was sent or published to it before."""


def find_leftovers(store: Store, inventory: Inventory, now: datetime) -> list[str]:
    """
    Return the names of what may be deleted.

    That is data which no entry names, after a day; and after a week receipts, and the claims of batches that are gone.
    Objects whose age the store does not tell stay.

    :param store: the mailbox's store
    :param inventory: the mailbox's inventory
    :param now: the time that ages are counted to
    :raises StorageError: when the store cannot be read
    """
    upload, memory = now - timedelta(days=STRAY_DAYS), now - timedelta(days=MEMORY_DAYS)
    # A publish that is tried again makes an object of another name, so what is old stays unnamed.
    found = [f"data/{name}" for name, each in inventory.strays.items() if each.before(upload)]
    found += _old(store, "receipts", memory)
    # The data of a batch has its id before the last hyphen.
    there = {name.rpartition("-")[0] for name in inventory.data}
    found += [name for name in _old(store, "claims", memory) if _batch_id(name) not in there]
    return sorted(found)


def _old(store: Store, folder: str, cutoff: datetime) -> list[str]:
    return [f"{folder}/{name}" for name, each in listing(store.root, folder).items() if each.before(cutoff)]


def _batch_id(claim: str) -> str:
    return claim.removeprefix("claims/").removesuffix(".json")
