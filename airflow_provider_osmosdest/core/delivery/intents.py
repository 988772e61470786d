"""Which records may have been sent, noted ahead of sending them: what ``at_most_once`` rests on in ``record`` mode."""

from __future__ import annotations

from airflow_provider_osmosdest.core.delivery.ledger import Chunk

__all__ = ["Intents"]

_FEWEST = 16
_MOST = 65_536


class Intents:
    """
    Note a window of indexes before any of them is sent, so that the ledger is written once a second, not once a record.

    After a crash every unsettled record of the window is ``unknown``, sent or not: the smaller it is, the fewer.

    :param fewest: records of a window at least
    """

    def __init__(self, fewest: int = _FEWEST) -> None:
        self._stop = 0
        self._fewest = self._size = fewest
        self._noted = float("-inf")

    def needs(self, index: int) -> bool:
        """Whether a record lies outside the window, so that a new one must be written before it is sent."""
        return index >= self._stop

    def chunk(self, under_way: tuple[int, int], now: float) -> Chunk:
        """
        Return a new window.

        :param under_way: the lowest and the highest index that is not settled, those about to be sent among them
        :param now: seconds that only ever grow
        """
        # A window should last about a second at the speed of this API.
        self._size = min(_MOST, self._size * 2) if now - self._noted < 1.0 else max(self._fewest, self._size // 2)
        self._noted = now
        self._stop = under_way[1] + 1 + self._size
        return Chunk(under_way[0], self._stop)
