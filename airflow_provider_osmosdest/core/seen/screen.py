"""Find the keys that came before, in the order of the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.seen.key_table import KeyTable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KeyFilter"]


class KeyFilter:
    """
    Find duplicates among the keys of earlier runs and of the records that came before in this one.

    The result depends only on the table and the records before: an attempt that reads the same records again gets
    the same result.

    :param seen: the keys of earlier runs, to which those of this one are added
    """

    def __init__(self, seen: KeyTable | None = None) -> None:
        self._seen = KeyTable() if seen is None else seen

    def duplicates(self, keys: Sequence[bytes]) -> list[int]:
        """
        Return the positions of the keys that came before, in an earlier run or in this one.

        :param keys: of the next records, in order
        """
        seen = self._seen.contains(keys)
        if all(seen):
            return list(range(len(keys)))
        distinct = set(keys)
        if len(distinct) == len(keys) and True not in seen:
            self._seen.add(keys)
            return []
        fresh: set[bytes] = set()
        found: list[int] = []
        for position, key in enumerate(keys):
            if seen[position] or key in fresh:
                found.append(position)
            else:
                fresh.add(key)
        self._seen.add(fresh)
        return found
