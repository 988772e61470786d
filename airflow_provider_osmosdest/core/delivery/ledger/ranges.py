"""Sets of record indexes, kept as few sorted ranges."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["RangeSet"]


class RangeSet:
    """
    Indexes as half-open ranges that neither touch nor overlap.

    :param ranges: ``(start, stop)`` pairs, in any order
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self.add_ranges(ranges)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the ranges in order."""
        return zip(self._starts, self._stops, strict=True)

    def __len__(self) -> int:
        """Return how many indexes are in the set."""
        return sum(self._stops) - sum(self._starts)

    def __contains__(self, index: int) -> bool:
        """Whether an index is in the set."""
        at = bisect_right(self._starts, index) - 1
        return at >= 0 and index < self._stops[at]

    def __eq__(self, other: object) -> bool:
        """Whether two sets hold the same indexes."""
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        """Show the ranges."""
        return f"RangeSet({list(self)})"

    def add(self, start: int, stop: int) -> None:
        """Add the indexes from ``start`` up to, but without, ``stop``."""
        if start >= stop:
            return
        if not self._stops or start > self._stops[-1]:
            self._starts.append(start)
            self._stops.append(stop)
            return
        # All ranges from low to high touch or overlap the new one.
        low = bisect_left(self._stops, start)
        high = bisect_right(self._starts, stop)
        if low < high:
            start = min(start, self._starts[low])
            stop = max(stop, self._stops[high - 1])
        self._starts[low:high] = [start]
        self._stops[low:high] = [stop]

    def add_ranges(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Add ``(start, stop)`` pairs, in any order."""
        for start, stop in ranges:
            self.add(start, stop)

    def add_all(self, indexes: Iterable[int]) -> None:
        """Add single indexes, in any order; cheap where many are neighbours."""
        first = last = None
        for index in sorted(indexes):
            if last is not None and index <= last + 1:
                last = index
                continue
            if first is not None and last is not None:
                self.add(first, last + 1)
            first = last = index
        if first is not None and last is not None:
            self.add(first, last + 1)

    def copy(self) -> RangeSet:
        """Return another set of the same indexes."""
        result = RangeSet()
        result._starts, result._stops = self._starts.copy(), self._stops.copy()
        return result

    def covers(self, start: int, stop: int) -> bool:
        """Whether every index from ``start`` up to, but without, ``stop`` is in the set."""
        at = bisect_right(self._starts, start) - 1
        return start >= stop or (at >= 0 and stop <= self._stops[at])

    def touches(self, start: int, stop: int) -> bool:
        """Whether any index from ``start`` up to, but without, ``stop`` is in the set."""
        at = bisect_right(self._stops, start)
        return start < stop and at < len(self._starts) and self._starts[at] < stop

    def minus(self, indexes: Iterable[int]) -> RangeSet:
        """Return the set without some indexes."""
        result = RangeSet()
        holes = iter(sorted(indexes))
        hole = next(holes, None)
        for start, stop in self:
            begin = start
            while hole is not None and hole < stop:
                if hole >= begin:
                    result.add(begin, hole)
                    begin = hole + 1
                hole = next(holes, None)
            result.add(begin, stop)
        return result

    def without(self, other: RangeSet) -> RangeSet:
        """Return the set without the indexes of another set."""
        result = RangeSet()
        holes = iter(other)
        hole = next(holes, None)
        for start, stop in self:
            begin = start
            while hole is not None and hole[0] < stop:
                result.add(begin, hole[0])
                begin = max(begin, hole[1])
                if hole[1] > stop:
                    break
                hole = next(holes, None)
            result.add(begin, stop)
        return result

    def flat(self) -> list[int]:
        """Return the ranges as distances: gap, length, gap, length, … which stays short as text."""
        numbers: list[int] = []
        position = 0
        for start, stop in self:
            numbers += [start - position, stop - start]
            position = stop
        return numbers

    @classmethod
    def from_flat(cls, numbers: Iterable[int]) -> RangeSet:
        """
        Read what :meth:`flat` wrote.

        :raises ValueError: when it cannot be that
        """
        values = list(numbers)
        if len(values) % 2 or any(isinstance(number, bool) or not isinstance(number, int) for number in values):
            msg = "not the distances of a set of ranges"
            raise ValueError(msg)
        result = cls()
        position = 0
        for gap, length in zip(values[::2], values[1::2], strict=True):
            if gap < 0 or length <= 0:
                msg = "not the distances of a set of ranges"
                raise ValueError(msg)
            result.add(position + gap, position + gap + length)
            position += gap + length
        return result
