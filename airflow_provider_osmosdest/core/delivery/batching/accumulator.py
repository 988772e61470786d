"""
Cut validated records into batches.

Batch borders depend on record indexes alone (and on sizes, where ``max_batch_bytes`` is set), so a retried task
cuts the same batches.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.batching.batch import Batch, Run

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

__all__ = ["BatchAccumulator"]


class BatchAccumulator:
    """
    Collect runs and hand out batches.

    A batch covers the indexes ``k * batch_size`` to ``(k + 1) * batch_size``; invalid records among them are left
    out, so it may hold fewer. Where ``max_batch_bytes`` is set it may end sooner.

    :param batch_size: records
    :param max_bytes: bytes of a body at most, ``None`` for no bound; one record that is larger goes alone
    :param overhead: bytes of a body that are not records and their separators
    :param whole: index ranges that were a chunk before and must come out in one batch, whatever the bounds are now
    """

    def __init__(
        self,
        batch_size: int,
        max_bytes: int | None = None,
        overhead: int = 0,
        whole: Collection[tuple[int, int]] = (),
    ) -> None:
        self._batch_size = batch_size
        self._room = None if max_bytes is None else max_bytes - overhead
        self._whole = sorted(whole)
        self._runs: list[Run] = []
        self._bytes = 0
        self._section: tuple[int, int] | None = None

    def add(self, run: Run) -> Iterator[Batch]:
        """Add a run; yield the batches it completes."""
        start, size = 0, len(run.indexes)
        while start < size:
            section, end, bounded = self._find_section(run.indexes[start])
            if section != self._section:
                yield from self.flush()
                self._section = section
            stop = _first_at(run.indexes, end, start)
            if bounded and self._room is not None:
                stop = self._fitting(run, start, stop)
                if stop == start:
                    yield from self.flush()
                    continue
            part = run.cut(start, stop)
            self._runs.append(part)
            self._bytes += len(part.lines)
            start = stop

    def _find_section(self, index: int) -> tuple[tuple[int, int], int, bool]:
        """Return an index's section, the index its batch ends before, and whether bytes may end it sooner."""
        number = index // self._batch_size
        end = (number + 1) * self._batch_size
        passed = 0
        for first, last in self._whole:
            if first <= index < last:
                return (-1, first), last, False
            if index < first:
                end = min(end, first)
                break
            passed += 1
        return (number, passed), end, True

    def flush(self) -> Iterator[Batch]:
        """Yield what is collected, if anything."""
        if self._runs:
            runs, self._runs, self._bytes = self._runs, [], 0
            yield Batch(runs)

    def _fitting(self, run: Run, start: int, stop: int) -> int:
        """Return how far a run fits into the batch begun; at least one record into an empty one."""
        assert self._room is not None
        before = run.ends[start - 1] if start else 0
        fits = bisect_right(run.ends, self._room - self._bytes + before, start, stop)
        return start + 1 if fits == start and not self._runs else fits


def _first_at(indexes: Sequence[int], border: int, start: int) -> int:
    """Return the first position from ``start`` whose index is at or behind ``border``."""
    if indexes[-1] < border:
        return len(indexes)
    if isinstance(indexes, range):
        return start + border - indexes[start]
    low, high = start, len(indexes)
    while low < high:
        middle = (low + high) // 2
        if indexes[middle] < border:
            low = middle + 1
        else:
            high = middle
    return low
