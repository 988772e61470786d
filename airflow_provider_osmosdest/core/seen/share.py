"""Share the records of a dataset out among several deliveries, so that equal records come to one of them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KeyShare"]


@dataclass(frozen=True, slots=True)
class KeyShare:
    """
    One of several shares of a dataset: the records whose key has a certain remainder.

    :param number: of the share, from 0
    :param shares: how many there are
    :param first: index of the first record that is shared out; those before it are another delivery's
    """

    number: int
    shares: int
    first: int = 0

    def has_key(self, key: bytes) -> bool:
        """Whether a record with this key, wherever it stands, is looked at for duplicates here."""
        return int.from_bytes(key[:4], "big") % self.shares == self.number

    def has_index(self, index: int) -> bool:
        """Whether a record without a key, as it is invalid, is settled here."""
        return index >= self.first and index % self.shares == self.number
