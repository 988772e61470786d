"""Learn how large a request body an API takes, from the 413s it answers."""

from __future__ import annotations

__all__ = ["SizeLimit"]


class SizeLimit:
    """The largest body that passed and the smallest that was too large, in bytes, in one delivery."""

    def __init__(self) -> None:
        self._passed = 0
        self._failed: int | None = None

    @property
    def limit(self) -> int | None:
        """The most bytes a body should have; ``None`` while no body was too large."""
        if self._failed is None:
            return None
        # What passed once passes again; below it there is nothing to win, and half is the safe guess.
        return max(self._passed, self._failed // 2)

    def passed(self, length: int) -> None:
        """Record that a body of this many bytes was accepted."""
        self._passed = max(self._passed, length)
        if self._failed is not None and self._passed >= self._failed:
            # The API takes more than it did before: what was learned is out of date.
            self._failed = None

    def failed(self, length: int) -> None:
        """Record that a body of this many bytes was too large."""
        self._failed = length if self._failed is None else min(self._failed, length)
        if self._passed >= self._failed:
            self._passed = 0
