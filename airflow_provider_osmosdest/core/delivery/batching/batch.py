"""Records that are sent together, kept as the runs they came in: no part of a batch is joined or serialised twice."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from airflow_provider_osmosdest.core.delivery.ledger.ledger import Chunk
from airflow_provider_osmosdest.core.http.transport import Body

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from airflow_provider_osmosdest.core.delivery.envelope import Envelope

__all__ = ["Batch", "Run"]

_NEWLINE = b"\n"
_LINE = re.compile(_NEWLINE)


@dataclass(slots=True)
class Run:
    r"""
    Valid records that stand together, as they go into a body.

    :param lines: the records as compact JSON, each followed by the separator
    :param indexes: the index of each record in the source, ascending
    :param separator: ``,\n`` in a JSON array, ``\n`` in NDJSON; the newline is what runs are cut at, as
        compact JSON holds none
    """

    lines: bytes
    indexes: Sequence[int]
    separator: bytes = b"\n"
    _ends: array[int] | None = field(default=None, repr=False)
    _checksum: int | None = field(default=None, repr=False)

    @property
    def ends(self) -> array[int]:
        """Where each record ends, in bytes from the start and with its separator; found when first needed."""
        if self._ends is None:
            self._ends = array("Q", [match.end() for match in _LINE.finditer(self.lines)])
        return self._ends

    @property
    def checksum(self) -> int:
        """CRC-32 of all its lines; found when first needed."""
        if self._checksum is None:
            self._checksum = crc32(self.lines)
        return self._checksum

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Return the bytes the records ``start`` to ``stop`` take, with the last separator."""
        if start == 0 and stop == len(self.indexes):
            return 0, len(self.lines)
        return self.ends[start - 1] if start else 0, self.ends[stop - 1]

    def cut(self, start: int, stop: int) -> Run:
        """Return the records ``start`` to ``stop`` as a run of their own."""
        if start == 0 and stop == len(self.indexes):
            return self
        first, last = self.span(start, stop)
        return Run(self.lines[first:last], self.indexes[start:stop], self.separator)


class Batch:
    """
    Records that are sent together; parts of it can be sent again without being serialised again.

    Within a batch a record goes by its ordinal, from 0; :meth:`index` gives its index in the source.

    :param runs: the records, in order; none empty
    :param holes: indexes of valid records that lie between these and are not among them
    """

    def __init__(self, runs: Sequence[Run], holes: Collection[int] = ()) -> None:
        self._runs = runs
        self._holes = sorted(holes)
        self._starts: list[int] = []
        total = 0
        for run in runs:
            self._starts.append(total)
            total += len(run.indexes)
        self.size = total

    def index(self, ordinal: int) -> int:
        """Return the index in the source of a record of this batch."""
        number, within = self._find(ordinal)
        return self._runs[number].indexes[within]

    def record(self, ordinal: int) -> bytes:
        """Return the JSON of one record."""
        number, within = self._find(ordinal)
        run = self._runs[number]
        first, last = run.span(within, within + 1)
        return run.lines[first : last - len(run.separator)]

    def items(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield index and JSON of the records from ordinal ``start`` to ``stop``."""
        for run, first, last in self._overlaps(start, stop):
            begin, end = run.span(first, last)
            lines = run.lines[begin : end - len(run.separator)].split(run.separator)
            yield from zip(run.indexes[first:last], lines, strict=True)

    def body(self, start: int, stop: int, envelope: Envelope) -> Body:
        """
        Return the request body of the records from ordinal ``start`` to ``stop``, as views of their runs.

        :param envelope: what goes around the records, the brackets of an array included
        """
        pieces: list[bytes | memoryview] = [envelope.prefix]
        separator = b""
        for run, first, last in self._overlaps(start, stop):
            begin, end = run.span(first, last)
            whole = begin == 0 and end == len(run.lines)
            # Of a view, the transport has to make bytes again.
            pieces.append(run.lines if whole else memoryview(run.lines)[begin:end])
            separator = run.separator
        if separator != _NEWLINE:
            # Behind the last element of an array no comma may stand; behind the last line a newline must.
            pieces[-1] = memoryview(pieces[-1])[: -len(separator)]
        pieces.append(envelope.suffix)
        return Body(pieces, sum(map(len, pieces)))

    def part(self, start: int, stop: int) -> Batch:
        """Return the records from ordinal ``start`` to ``stop`` as a batch of their own."""
        return Batch(self.runs(start, stop), self._holes)

    def chunk(self, start: int, stop: int) -> Chunk:
        """Return what the ledger calls the records from ordinal ``start`` to ``stop``."""
        first, last = self.index(start), self.index(stop - 1) + 1
        return Chunk(first, last, tuple(hole for hole in self._holes if first <= hole < last))

    def index_ranges(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return the indexes the records from ordinal ``start`` to ``stop`` lie in, without the holes."""
        return self.chunk(start, stop).ranges()

    def ordinals(self, start: int, stop: int) -> tuple[int, int]:
        """Return from which to which ordinal the records with an index from ``start`` to ``stop`` stand."""
        return self._first_from(start), self._first_from(stop)

    def key(self, delivery_id: str, start: int, stop: int) -> str:
        """
        Return the idempotency key of a chunk: of the delivery, its index range and its bytes.

        The checksum is CRC-32: it need only tell two bodies of one index range of one delivery apart, and it is the
        one that costs next to nothing.
        """
        checksum = 0
        for run, first, last in self._overlaps(start, stop):
            begin, end = run.span(first, last)
            whole = begin == 0 and end == len(run.lines)
            part = run.checksum if whole else crc32(memoryview(run.lines)[begin:end])
            checksum = crc32(part.to_bytes(4, "big"), checksum)
        return f"{delivery_id}-{self.index(start)}-{self.index(stop - 1)}-{checksum:08x}"

    def runs(self, start: int, stop: int) -> list[Run]:
        """Return the records from ordinal ``start`` to ``stop`` as runs."""
        return [run.cut(first, last) for run, first, last in self._overlaps(start, stop)]

    def without(self, ordinals: Collection[int]) -> Batch | None:
        """Return the batch without some of its records, ``None`` when none are left."""
        borders = sorted(set(ordinals))
        runs: list[Run] = []
        start = 0
        for stop in [*borders, self.size]:
            runs += self.runs(start, stop)
            start = stop + 1
        holes = {*self._holes, *(self.index(ordinal) for ordinal in borders)}
        return Batch(runs, holes) if runs else None

    def as_noted(self, chunk: Chunk) -> Batch | None:
        """
        Return the records of a chunk of an earlier attempt, ``None`` when none are left.

        They come in the runs that they were in, which is what their key depends on beside their bytes: a hole parts
        two of them, also where what was in it is settled by now and not in the batch any more.

        :param chunk: one that begins and ends where the batch does
        """
        runs: list[Run] = []
        start = 0
        for hole in chunk.without:
            stop, after = self.ordinals(hole, hole + 1)
            runs += self.runs(start, stop)
            start = after
        runs += self.runs(start, self.size)
        return Batch(runs, chunk.without) if runs else None

    def bytes_between(self, start: int, stop: int) -> int:
        """Return the bytes the records from ordinal ``start`` to ``stop`` take, separators included."""
        spans = (run.span(first, last) for run, first, last in self._overlaps(start, stop))
        return sum(end - begin for begin, end in spans)

    def fitting(self, start: int, stop: int, limit: int) -> int:
        """Return the last ordinal up to which the records from ``start`` take ``limit`` bytes, at least one record."""
        end = start
        for run, first, last in self._overlaps(start, stop):
            begin, after = run.span(first, last)
            if after - begin > limit:
                end += bisect_right(run.ends, begin + limit, first, last) - first
                break
            limit -= after - begin
            end += last - first
        return max(end, start + 1)

    def _first_from(self, index: int) -> int:
        """Return the first ordinal whose record's index is ``index`` or more."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            if self.index(middle) < index:
                low = middle + 1
            else:
                high = middle
        return low

    def _find(self, ordinal: int) -> tuple[int, int]:
        number = bisect_right(self._starts, ordinal) - 1
        return number, ordinal - self._starts[number]

    def _overlaps(self, start: int, stop: int) -> Iterator[tuple[Run, int, int]]:
        if start >= stop:
            return
        number, within = self._find(start)
        left = stop - start
        while left:
            run = self._runs[number]
            taken = min(left, len(run.indexes) - within)
            yield run, within, within + taken
            left -= taken
            number, within = number + 1, 0
