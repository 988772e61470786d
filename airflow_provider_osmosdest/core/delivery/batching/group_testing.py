"""
Decide which parts of a refused batch to send next, until every record in it is settled.

This is group testing: a chunk is a test, and it comes back positive (refused) when it holds at least
one poison record. The strategy is F. K. Hwang's generalized binary splitting (*A method for detecting
all defective members in a population by group testing*, JASA 67, 1972), for an unknown number of
poison records, with three things changed because a test is a request that delivers what it accepts:

- the batch is first cut into 16 segments, which delivers most of it at once and gives a first estimate
  of the density of poison;
- the density is then estimated from where the last few poison records were found, so a run of them is
  walked record by record and the group size gallops up again behind it;
- a single record is settled only by an answer to itself alone, whatever could be inferred.

Nothing here does I/O: :class:`GroupTesting` names the next range, the caller reports what came of it.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass

__all__ = ["SEGMENTS", "GroupTesting"]

SEGMENTS = 16
"""Into how many segments a refused batch is cut first."""

_MEMORY = 4
"""How many of the latest poison records the local density is estimated from."""

_EAGERNESS = 0.5
"""
How much smaller than the size refused every other time a group is. That size (ln 2 / density) needs the
fewest requests, but a refused group is sent again: half of it costs 4 % more requests and sends 16 % less.
"""


@dataclass(frozen=True, slots=True)
class _Part:
    """A range of ordinals not settled yet; ``bad`` when it is known to hold a poison record."""

    start: int
    stop: int
    bad: bool


class GroupTesting:
    """
    Walk a refused batch of ``size`` records until each is accepted, or refused alone.

    Parts are worked off from the left, so that what is left behind a found record is one part again.
    Call :meth:`next_range`, send that range, then call :meth:`accepted` or :meth:`refused`. Ranges are
    half-open and count the records of the batch from 0. The whole batch counts as refused from the start.

    :param size: records in the refused batch, at least 1
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._current: _Part | None = None
        self._rest: _Part | None = None
        segments = _segments(size)
        self._segments = deque(segments)
        self._segments_sent = len(segments)
        self._segments_bad = 0
        self._parts: deque[_Part] = deque()  # the one to work on next stands last
        self._found: deque[int] = deque(maxlen=_MEMORY)

    def next_range(self) -> tuple[int, int] | None:
        """Return the next range to send as ``(start, stop)``, or ``None`` when all is settled."""
        if self._segments:
            self._current, self._rest = self._segments.popleft(), None
        elif self._parts:
            part = self._parts.pop()
            length = self._group(part)
            self._current = _Part(part.start, part.start + length, part.bad)
            self._rest = _Part(part.start + length, part.stop, part.bad)
        else:
            return None
        return self._current.start, self._current.stop

    def accepted(self) -> None:
        """Record that the range returned last was accepted."""
        # Where the whole was known to be bad, the poison must now be in the rest: its mark stays on.
        _, rest = self._sent()
        self._push(rest)

    def refused(self) -> None:
        """Record that the range returned last was refused."""
        current, rest = self._sent()
        bad = _Part(current.start, current.stop, bad=True)
        alone = current.stop - current.start == 1
        if alone:
            self._found.append(current.start)
        if rest is None:
            self._segments_bad += 1
            if not alone:
                self._parts.appendleft(bad)
            return
        # One poison record is found in the front, so nothing is known of the rest any more.
        self._push(_Part(rest.start, rest.stop, bad=False))
        if not alone:
            self._parts.append(bad)

    def unsettled(self) -> list[tuple[int, int]]:
        """Return the ranges without a result, the one returned last included, in order."""
        parts = [*self._segments, *self._parts, *(part for part in (self._current, self._rest) if part)]
        return sorted((part.start, part.stop) for part in parts if part.start < part.stop)

    def _sent(self) -> tuple[_Part, _Part | None]:
        if self._current is None:
            msg = "no range is under way: call next_range() first"
            raise RuntimeError(msg)
        sent = self._current, self._rest
        self._current = self._rest = None
        return sent

    def _push(self, part: _Part | None) -> None:
        if part is None or part.start == part.stop:
            return
        if not part.bad and self._parts and not self._parts[-1].bad and self._parts[-1].start == part.stop:
            # What is unknown on both sides of a border is one part: most often one request delivers it.
            part = _Part(part.start, self._parts.pop().stop, bad=False)
        self._parts.append(part)

    def _group(self, part: _Part) -> int:
        """Return how many records to send from the front of ``part``."""
        length = part.stop - part.start
        if length == 1:
            return 1
        group = _best_group(self._density(part.start))
        # Of a part known to be bad, all of it would be refused for certain: at most half is worth sending.
        return min(group, length // 2) if part.bad else min(group, length)

    def _density(self, position: int) -> float:
        """Estimate the share of poison records just behind ``position``."""
        if len(self._found) >= 2:  # noqa: PLR2004 - a density needs a distance, and that needs two
            return min(1.0, (len(self._found) - 1) / max(1, position - 1 - self._found[0]))
        clean = max(self._segments_sent - self._segments_bad, 0.5) / self._segments_sent
        return min(1.0, max(1, -math.log(clean) * self._segments_sent) / self._size)


def _segments(size: int) -> list[_Part]:
    """Cut a batch into :data:`SEGMENTS` nearly equal parts (fewer where it is smaller)."""
    count = min(SEGMENTS, size)
    borders = [size * number // count for number in range(count + 1)]
    return [_Part(start, stop, bad=False) for start, stop in itertools.pairwise(borders)]


def _best_group(density: float) -> int:
    """Return how many records to send together, a power of two, where this share of them is poison."""
    # From 0.38 on, testing one by one is optimal (Ungar, 1960); this comes down to it from 0.25 on.
    return 1 << max(0, round(math.log2(_EAGERNESS * math.log(2) / density)))
