"""The part of a JSON text that is held in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Window"]


class Window:
    """
    What is held of a text: ``data`` from ``position`` on is still to be read.

    :param chunks: the text. What it raises is kept as ``fault``, so that what came before can be used first.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._dropped = 0
        self.data = b""
        self.position = 0
        self.ended = False
        self.fault: SourceError | None = None

    @property
    def offset(self) -> int:
        """Return the position in the whole text of the next byte to be read."""
        return self._dropped + self.position

    def fill(self, size: int) -> None:
        """Hold at least ``size`` unread bytes, or as many as there are."""
        held = len(self.data) - self.position
        if held >= size or self.ended:
            return
        parts = [self.data[self.position :]]
        self._dropped += self.position
        self.position = 0
        while held < size and not self.ended:
            try:
                chunk = next(self._chunks, b"")
            except SourceError as e:
                self.fault, chunk = e, b""
            self.ended = not chunk
            parts.append(chunk)
            held += len(chunk)
        self.data = b"".join(parts)

    def peek(self, size: int) -> bytes:
        """Return up to ``size`` of the unread bytes held."""
        return self.data[self.position : self.position + size]

    def is_all(self, size: int) -> bool:
        """Tell whether nothing comes after the next ``size`` bytes."""
        return self.ended and self.position + size >= len(self.data)

    def skip_blank(self) -> bytes:
        """Skip white space; return the next byte, or nothing at the end of the text."""
        while True:
            self.fill(1)
            rest = self.data[self.position :]
            blank = len(rest) - len(rest.lstrip(b" \t\r\n"))
            self.position += blank
            if blank < len(rest) or self.ended:
                return self.peek(1)
