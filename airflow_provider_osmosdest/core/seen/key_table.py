"""Hold millions of keys in memory, in some 20 bytes each, look up more than a million a second, and find duplicates."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.seen.keys import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["KeyFilter", "KeyTable"]

_MOST_PER_BUCKET = 32
_CHUNK_BYTES = 64 * 1024 * KEY_BYTES
_PREFIX_BITS = 32
_WORDS_PER_KEY = 4


class KeyTable:
    """
    A set of keys.

    Keys with the same first bits stand one behind the other in one text, their bucket. It is text (Latin-1, a byte
    for a character) because Python finds a text in a text four times as fast as bytes in bytes. A key could be found
    across the border of two others; that takes 128 bits that are right by chance, as a collision does.

    :param expected: how many keys to make room for; more only cost time
    """

    def __init__(self, expected: int = 0) -> None:
        self._bits = max(0, (expected * 4 // (3 * _MOST_PER_BUCKET)).bit_length())
        self._buckets = [""] * (1 << self._bits)
        self._size = 0

    def __len__(self) -> int:
        """Return how many keys were added; one that was added twice counts twice."""
        return self._size

    def contains(self, keys: Sequence[bytes]) -> list[bool]:
        """Return for each key whether it is in the table."""
        if not keys:
            return []
        # Fetched first and searched afterwards: so the waits for memory, most of the time this takes, overlap.
        buckets = itemgetter(*self._numbers(b"".join(keys)), 0)(self._buckets)
        return [key.decode("latin-1") in bucket for key, bucket in zip(keys, buckets, strict=False)]

    def add(self, keys: Collection[bytes]) -> None:
        """Add some keys, in any order."""
        buckets = self._buckets
        for key, number in zip(keys, self._numbers(b"".join(keys)), strict=True):
            buckets[number] += key.decode("latin-1")
        self._size += len(keys)
        self._keep_buckets_small()

    def add_sorted(self, keys: bytes) -> None:
        """
        Add many sorted keys, in a sixth of the time.

        :param keys: sorted, one behind the other
        """
        for start in range(0, len(keys), _CHUNK_BYTES):
            chunk = keys[start : start + _CHUNK_BYTES]
            text, begin = chunk.decode("latin-1"), 0
            # Sorted, so the keys of one bucket stand together, and the counter meets them in order.
            for bucket, count in Counter(self._numbers(chunk)).items():
                end = begin + count * KEY_BYTES
                self._buckets[bucket] += text[begin:end]
                begin = end
            self._size += len(chunk) // KEY_BYTES
            self._keep_buckets_small()

    def _keep_buckets_small(self) -> None:
        while self._size > _MOST_PER_BUCKET << self._bits:
            self._grow()

    def _grow(self) -> None:
        """Split every bucket in two."""
        self._bits += 1
        shift = _PREFIX_BITS - self._bits
        buckets: list[str] = []
        for number, text in enumerate(self._buckets):
            keys = sorted([text[at : at + KEY_BYTES] for at in range(0, len(text), KEY_BYTES)])
            border = ((2 * number + 1) << shift).to_bytes(_PREFIX_BITS // 8, "big").decode("latin-1")
            middle = bisect_left(keys, border)
            buckets += ("".join(keys[:middle]), "".join(keys[middle:]))
        self._buckets = buckets

    def _numbers(self, keys: bytes) -> list[int]:
        """Return the number of each key's bucket: its first bits."""
        prefixes = array("I", keys)[::_WORDS_PER_KEY]
        if sys.byteorder == "little":
            prefixes.byteswap()
        shift = _PREFIX_BITS - self._bits
        return [prefix >> shift for prefix in prefixes]


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
