"""Choose the segments to merge, so that no reader has to open many small ones."""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_osmosdest.core.seen.segments import Segment

__all__ = ["LARGEST", "foldable"]

LARGEST = 1024 * 1024
"""A segment of this many keys (16 MB) is left as it is."""

_SMALLEST = 1024
_MANY = 8
_MOST_KEYS = 2 * LARGEST


def foldable(segments: Iterable[Segment]) -> list[Segment]:
    """
    Return segments of like size to merge into one, none while there are few.

    A key is thus rewritten once for every eightfold growth of its segment, four times at most, and 10 million keys
    are in some 40 segments at most. A merge takes 32 MB at most.

    :param segments: all there are
    """
    tiers: dict[int, list[Segment]] = defaultdict(list)
    for segment in segments:
        if segment.keys < LARGEST:
            tiers[(segment.keys // _SMALLEST).bit_length() // 3].append(segment)
    for _, tier in sorted(tiers.items()):
        if len(tier) >= _MANY:
            totals = accumulate(segment.keys for segment in tier)
            return [segment for segment, total in zip(tier, totals, strict=True) if total <= _MOST_KEYS]
    return []
