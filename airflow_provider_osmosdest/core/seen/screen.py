"""Tell first deduplicator from duplicates, in the order of the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.seen.key_table import KeyTable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KeyFilter"]


class KeyFilter:
    """
    Know the keys of earlier runs, and of the records that passed in this one.

    What it says of a record depends on the records before it and on the table, and on nothing else: an attempt that
    reads the same records again hears the same again.

    :param seen: the keys of earlier runs; the screen adds those of this one
    """

    def __init__(self, seen: KeyTable | None = None) -> None:
        self._seen = KeyTable() if seen is None else seen

    def duplicates(self, keys: Sequence[bytes]) -> list[int]:
        """
        Return the positions of the keys that came before, in an earlier run or in this one.

        :param keys: of the next records, in order
        """
        known = self._seen.known(keys)
        if all(known):
            return list(range(len(keys)))
        distinct = set(keys)
        if len(distinct) == len(keys) and True not in known:
            self._seen.add(keys)
            return []
        fresh: set[bytes] = set()
        found: list[int] = []
        for position, key in enumerate(keys):
            if known[position] or key in fresh:
                found.append(position)
            else:
                fresh.add(key)
        self._seen.add(fresh)
        return found
