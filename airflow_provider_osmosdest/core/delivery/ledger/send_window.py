"""Bound which records may be sent before the ledger is written again, so that a killed task leaves few in doubt."""

from __future__ import annotations

__all__ = ["SendWindow"]

_FEWEST = 16
_MOST = 65_536


class SendWindow:
    """
    Choose windows of indexes to note before they are sent: one ledger write a second, not one a record.

    After a crash every unsettled record of the window is in doubt, sent or not: the smaller it is, the fewer.
    """

    def __init__(self) -> None:
        self._stop = 0
        self._size = _FEWEST
        self._noted = float("-inf")

    def needs(self, index: int) -> bool:
        """Whether a record lies outside the window, so that a new one must be written before it is sent."""
        return index >= self._stop

    def move(self, under_way: tuple[int, int], now: float) -> tuple[int, int]:
        """
        Return a new window: its first index, and the one behind its last.

        :param under_way: the lowest and the highest index that is not settled, those about to be sent among them
        :param now: seconds that only ever grow
        """
        # A window should last about a second at the speed of this API.
        self._size = min(_MOST, self._size * 2) if now - self._noted < 1.0 else max(_FEWEST, self._size // 2)
        self._noted = now
        self._stop = under_way[1] + 1 + self._size
        return under_way[0], self._stop
