"""The horizon of a mailbox: its earliest batch, as the last purge left it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.log.log import EARLIEST_NAME

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["Horizon", "load_horizon"]


@dataclass(frozen=True, slots=True)
class Horizon:
    """
    The earliest batches of a mailbox.

    :param seq: the earliest batch that may be read
    :param delete_below: the earliest batch that may still be in the store
    :param at: since when ``seq`` is the earliest; ``None`` before the first purge
    """

    seq: int = 1
    delete_below: int = 1
    at: datetime | None = None


def load_horizon(store: Store) -> Horizon:
    """
    Read where a mailbox begins.

    :raises StorageError: when ``earliest.json`` cannot be understood
    """
    data = store.get(EARLIEST_NAME)
    if data is None:
        return Horizon()
    try:
        document = json.loads(data)
        return Horizon(int(document["seq"]), int(document["delete_below"]), datetime.fromisoformat(document["at"]))
    except (ValueError, TypeError, KeyError) as error:
        msg = (
            f"{EARLIEST_NAME} of the mailbox cannot be understood ({type(error).__name__}: {error}): something else "
            "has written there. Restore the object from a copy, or give the mailbox a folder of its own"
        )
        raise StorageError(msg) from error
