"""Store the keys of everything a connector has delivered, in object storage."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.seen.compaction import foldable
from airflow_provider_osmosdest.core.seen.key_table import KeyTable
from airflow_provider_osmosdest.core.seen.keys import KEY_BYTES
from airflow_provider_osmosdest.core.seen.segments import Block, GoneError, list_segments, write_segment
from airflow_provider_osmosdest.core.seen.storage import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airflow_provider_osmosdest.core.seen.segments import Segment
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["SeenStore"]

# Other processes may merge segments all the time: each attempt waits longer, 2 s in all.
_ATTEMPTS = 9
_PAUSE = 0.05


class SeenStore:
    """
    Keep keys in segments below a folder.

    Any number of deliveries may use one at the same time: none changes an object of another.

    :param folder: where the segments are
    :param clock: seconds since 1970
    :param sleep: waits for seconds
    """

    def __init__(
        self,
        folder: Folder,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._sleep = sleep

    def load(self, *, without: str = "") -> KeyTable:
        """
        Return all keys.

        :param without: id of a delivery whose own keys are left out
        :raises StorageError: when they cannot be read
        """
        for attempt in range(_ATTEMPTS):
            self._sleep(attempt * _PAUSE)
            # What is gone when its turn comes is in a segment that was not there when they were listed.
            with suppress(GoneError):
                return self._load(without)
        return self._load(without)

    def _load(self, without: str) -> KeyTable:
        segments = list_segments(self._folder)
        table = KeyTable(sum(segment.keys for segment in segments))
        for _, keys in _each_block_once(segments, lambda block: block.delivery != without):
            table.add_sorted(keys)
        return table

    def append(self, delivery: str, keys: Collection[bytes]) -> None:
        """
        Add keys, as one new object.

        :param delivery: id of the delivery that sent the records
        :raises StorageError: when they cannot be written
        """
        if keys:
            distinct = sorted(set(keys))
            write_segment(self._folder, [Block.new(delivery, self._clock(), len(distinct))], distinct)

    def fold(self) -> None:
        """
        Merge small segments while there are many of one size.

        An interruption loses no key: the old segments are removed only once the new one is there,
        and a block that is there twice counts once.

        :raises StorageError: when they cannot be read or written
        """
        while chosen := foldable(list_segments(self._folder)):
            try:
                parts = list(_each_block_once(chosen, lambda _: True))
            except GoneError:
                return
            blocks = list(dict.fromkeys(block for block, _ in parts))
            folded = write_segment(self._folder, blocks, [keys for _, keys in parts])
            there = {str(segment.path) for segment in list_segments(self._folder)}
            if not there.issuperset(str(segment.path) for segment in chosen):
                # Another process has merged them, or removed some of their keys, in the meantime.
                remove(folded.path)
                return
            for segment in chosen:
                remove(segment.path)

    def segments(self) -> Iterator[tuple[Segment, list[Block]]]:
        """
        Yield the segments with their blocks, the oldest first.

        :raises StorageError: when they cannot be read
        """
        for segment in list_segments(self._folder):
            yield segment, segment.blocks()

    def forget_since(self, since: float) -> int:
        """
        Forget what was added at some time or later.

        :param since: seconds since 1970
        :return: how many keys
        :raises StorageError: when they cannot be read or written
        """
        return self._rewrite(lambda block, keys: keys if block.at < since else b"")

    def forget(self, keys: Collection[bytes]) -> int:
        """
        Forget some keys.

        :return: how many of them were there
        :raises StorageError: when they cannot be read or written
        """
        gone = frozenset(keys)
        forgotten: set[bytes] = set()

        def kept(_: Block, block_keys: bytes) -> bytes:
            each = [block_keys[at : at + KEY_BYTES] for at in range(0, len(block_keys), KEY_BYTES)]
            forgotten.update(gone.intersection(each))
            return b"".join([key for key in each if key not in gone])

        self._rewrite(kept)
        return len(forgotten)

    def _rewrite(self, kept: Callable[[Block, bytes], bytes]) -> int:
        """Rewrite the segments that lose keys, remove the old ones, and return how many keys fewer there are."""
        fewer = 0
        for segment in list_segments(self._folder):
            blocks: dict[Block, list[bytes]] = {}
            for block, keys in segment.read():
                blocks.setdefault(block, []).append(kept(block, keys))
            counts = {block: sum(map(len, parts)) // KEY_BYTES for block, parts in blocks.items()}
            if sum(counts.values()) == segment.keys:
                continue
            left = [
                (Block.new(block.delivery, block.at, count), blocks[block]) for block, count in counts.items() if count
            ]
            if left:
                write_segment(self._folder, [block for block, _ in left], [part for _, each in left for part in each])
            remove(segment.path)
            fewer += segment.keys - sum(counts.values())
        return fewer


def _each_block_once(segments: Collection[Segment], wanted: Callable[[Block], bool]) -> Iterator[tuple[Block, bytes]]:
    """Yield blocks with their keys; one that two segments hold, after a crash, comes once."""
    done: set[tuple[str, str]] = set()
    for segment in segments:
        here: set[tuple[str, str]] = set()
        for block, keys in segment.read():
            name = (block.delivery, block.number)
            if name not in done and wanted(block):
                here.add(name)
                yield block, keys
        done |= here
