"""Reopen the records that an earlier attempt settled as failed: ``retry_rejected``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import StorageError

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.ledger.ledger import Ledger, LedgerStore
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["reopen"]

_TAKEN_UP = ("rejected", "invalid")


def reopen(ledger: Ledger, store: LedgerStore, folder: Folder) -> None:
    """
    Unsettle the records that were ``rejected`` or ``invalid``; those that are ``unknown`` stay as they are.

    :param ledger: the ledger, which is changed
    :param store: where it is kept; it is written, as parts that it does not name are removed next
    :param folder: the delivery's folder
    :raises StorageError: when failures file or ledger cannot be read or written
    """
    kept: list[bytes] = []
    indexes: set[int] = set()
    name = f"failures-kept-{ledger.attempts}.ndjson"
    try:
        for part in ledger.parts:
            with (folder / part).open("rb") as file:
                for line in file.read().splitlines(keepends=True):
                    failure = json.loads(line)
                    if failure["outcome"] in _TAKEN_UP:
                        indexes.add(failure["index"])
                    else:
                        kept.append(line)
        if not indexes:
            return
        if kept:
            with (folder / name).open("wb") as file:
                file.write(b"".join(kept))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"the failures file in {folder} cannot be taken up again: {error}") from error
    # What was refused is in no doubt, whatever else was noted along with it as about to be sent.
    ledger.in_doubt, ledger.window = ledger.doubts(), (0, 0)
    ledger.settled = ledger.settled.minus(indexes)
    ledger.parts = [name] if kept else []
    for outcome in _TAKEN_UP:
        ledger.counts[outcome] = 0
    for reason in list(ledger.reasons):
        if reason.startswith(tuple(f"{outcome}: " for outcome in _TAKEN_UP)):
            del ledger.reasons[reason]
    store.save(ledger.to_json())
