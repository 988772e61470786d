"""Decide which bytes of which batches a page needs, and cut the page from them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_osmosdest.core.mailbox.log.entry import Entry, Point

__all__ = ["Cutter", "Span", "spans"]


@dataclass(frozen=True, slots=True)
class Span:
    """
    Consecutive segments of one batch.

    :param entry: the batch
    :param first: the number of the first segment
    :param stop: the number of the segment to end before
    :param start_byte: where the first begins in the file
    :param stop_byte: where the last ends
    :param skip: records of the first segment that come before the page
    """

    entry: Entry
    first: int
    stop: int
    start_byte: int
    stop_byte: int
    skip: int

    def segments(self, data: bytes) -> Iterator[tuple[memoryview, Point, bool]]:
        """Yield each segment's bytes, its point, and whether it is the file's first."""
        view = memoryview(data)
        at = 0
        for number in range(self.first, self.stop):
            point = self.entry.points[number]
            yield view[at : at + point[2]], point, number == 0
            at += point[2]


def spans(entries: Iterable[Entry], offset: int, *, limit: int, max_bytes: int) -> list[Span]:
    """
    Return what must be read for a page: all that can be on it, and no segment that cannot.

    :param entries: batches in order
    :param offset: records of the first batch that come before the page
    :param limit: records of the page at most
    :param max_bytes: bytes of the page at most
    """
    found: list[Span] = []
    for entry in entries:
        if limit <= 0 or max_bytes <= 0:
            break
        first, skip, start_byte = _find(entry, offset)
        offset = 0
        stop, stop_byte = first, start_byte
        before = skip
        while stop < len(entry.points) and limit > 0 and max_bytes > 0:
            records, raw, packed = entry.points[stop]
            limit -= records - before
            # How many bytes of a segment follow the skipped records is known once it is read.
            max_bytes -= 0 if before else raw
            before = 0
            stop, stop_byte = stop + 1, stop_byte + packed
        if stop > first:
            found.append(Span(entry, first, stop, start_byte, stop_byte, skip))
    return found


def _find(entry: Entry, offset: int) -> tuple[int, int, int]:
    """Return the segment that has record number ``offset``, the records of it before that, and its first byte."""
    at = 0
    for number, (records, _, packed) in enumerate(entry.points):
        if offset < records:
            return number, offset, at
        offset -= records
        at += packed
    return len(entry.points), 0, at


class Cutter:
    """
    Put a page together from segments.

    :param limit: records at most
    :param max_bytes: bytes at most, unless the first record alone has more
    """

    def __init__(self, *, limit: int, max_bytes: int) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self.count = 0
        self.size = 0
        self._cut_short = False

    @property
    def lines(self) -> bytes:
        """The page so far."""
        return b"".join(self._parts)

    @property
    def records_left(self) -> int:
        """How many more records the page may have."""
        return self._limit - self.count

    @property
    def bytes_left(self) -> int:
        """How many more bytes the page may have."""
        return self._max_bytes - self.size

    def is_full(self) -> bool:
        """Tell whether nothing more fits; a method, as the answer changes while a page is put together."""
        return self._cut_short or self.records_left <= 0 or self.bytes_left <= 0

    def take(self, segment: bytes, records: int, skip: int) -> int:
        """
        Take of a segment what the page has room for; return how many records that were.

        :param segment: its NDJSON
        :param records: how many records it has
        :param skip: how many of them come before the page
        """
        start = _after(segment, 0, skip)
        wanted = min(records - skip, self.records_left)
        stop = len(segment) if wanted == records - skip else _after(segment, start, wanted)
        room = self.bytes_left
        if stop - start > room:
            stop = segment.rfind(b"\n", start, start + max(room, 0)) + 1 or start
            if stop == start and not self.count:
                stop = _after(segment, start, 1)
            wanted = segment.count(b"\n", start, stop)
            self._cut_short = True
        self._parts.append(segment[start:stop])
        self.count += wanted
        self.size += stop - start
        return wanted


def _after(segment: bytes, start: int, records: int) -> int:
    """Return where so many records end."""
    for _ in range(records):
        start = segment.index(b"\n", start) + 1
    return start
