"""Chunks: records of a batch that are sent together, and into what they are cut."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_osmosdest.core.delivery.batching.batch import Batch
    from airflow_provider_osmosdest.core.delivery.ledger.ledger import Chunk as NotedChunk

__all__ = ["Chunk", "resumed"]


@dataclass(slots=True)
class Chunk:
    """
    Records of a batch that are sent together.

    :param batch: the batch
    :param start: ordinal of the first record
    :param stop: ordinal behind the last
    :param in_doubt: an earlier attempt sent exactly these records, and their outcome is not known
    :param earlier_error: the error of a larger chunk with them, or of a send of their own, that may have been taken;
        empty where there is none
    :param attempts: requests that it took, once it was sent
    """

    batch: Batch
    start: int
    stop: int
    in_doubt: bool = False
    earlier_error: str = ""
    attempts: int = 0

    @classmethod
    def whole(cls, batch: Batch, *, in_doubt: bool = False, earlier_error: str = "") -> Chunk:
        """Return all records of a batch."""
        return cls(batch, 0, batch.size, in_doubt, earlier_error)

    @property
    def size(self) -> int:
        """How many records it has."""
        return self.stop - self.start

    @property
    def length(self) -> int:
        """Bytes of its records, separators included."""
        return self.batch.bytes_between(self.start, self.stop)

    @property
    def items(self) -> Iterator[tuple[int, bytes]]:
        """Index and JSON of each record."""
        return self.batch.items(self.start, self.stop)

    @property
    def noted(self) -> NotedChunk:
        """What the ledger calls it."""
        return self.batch.chunk(self.start, self.stop)

    def part(self, start: int, stop: int) -> Chunk:
        """Return the records from the chunk's ``start``-th up to, but without, its ``stop``-th."""
        return replace(self, start=self.start + start, stop=self.start + stop, in_doubt=False)

    def cut_by_bytes(self, limit: int) -> list[Chunk]:
        """Cut it into the fewest parts of at most ``limit`` bytes each, or single records that are larger."""
        parts: list[Chunk] = []
        start = 0
        while start < self.size:
            stop = self.batch.fitting(self.start + start, self.stop, limit) - self.start
            parts.append(self.part(start, stop))
            start = stop
        return parts


def resumed(batch: Batch, in_doubt: Iterable[NotedChunk]) -> list[Chunk]:
    """
    Return what of a batch to send: first the chunk that an earlier attempt left in doubt, exactly as it was.

    :param batch: the batch
    :param in_doubt: the chunks that an earlier attempt left in doubt, of this batch and of others
    """
    for noted in in_doubt:
        first, last = batch.ordinals(noted.start, noted.stop)
        if first < last:
            around = [Chunk(batch, 0, first), Chunk(batch, last, batch.size)]
            return [*_exactly(batch.part(first, last), noted), *(chunk for chunk in around if chunk.size)]
    return [Chunk.whole(batch)]


def _exactly(inside: Batch, noted: NotedChunk) -> list[Chunk]:
    """Return the chunk that was noted, and each record that lies inside its borders and was not part of it."""
    left_out = [at for hole in noted.without for at in range(*inside.ordinals(hole, hole + 1))]
    same = inside.as_noted(noted)
    chunks = [] if same is None else [Chunk.whole(same, in_doubt=True)]
    return [*chunks, *(Chunk(inside, at, at + 1) for at in left_out)]
