"""Read a request's body as the file object ``requests`` needs, count what was read, and cut it off."""

from __future__ import annotations

import threading

from airflow_provider_osmosdest.core.http.transport import Body

__all__ = ["BodyReader"]


class BodyReader:
    """
    Hand out a body piece by piece.

    :param body: what to hand out
    """

    def __init__(self, body: bytes | Body) -> None:
        self._pieces = body.pieces if isinstance(body, Body) else (body,)
        self._length = body.length if isinstance(body, Body) else len(body)
        self._piece = 0
        self._offset = 0
        self._taken = 0
        self._begun = False
        self._cut = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the bytes of the body."""
        return self._length

    def __iter__(self) -> BodyReader:
        """Return itself: ``requests`` takes only iterables for streams."""
        return self

    def __next__(self) -> bytes:
        """Return the next 64 kB."""
        if data := self.read(64 * 1024):
            return data
        raise StopIteration

    @property
    def begun(self) -> bool:
        """Whether reading has begun."""
        return self._begun

    @property
    def taken(self) -> int:
        """Bytes that were handed out."""
        return self._taken

    def read(self, size: int = -1) -> bytes:
        """
        Return the next ``size`` bytes at most, nothing at the end; all that is left of a piece where it is negative.

        :raises TimeoutError: when it was cut off
        """
        with self._lock:
            self._check()
            self._begun = True
            while self._piece < len(self._pieces):
                piece = self._pieces[self._piece]
                end = len(piece) if size < 0 else self._offset + size
                data = bytes(piece[self._offset : end])
                if data:
                    self._offset += len(data)
                    self._taken += len(data)
                    return data
                self._piece, self._offset = self._piece + 1, 0
            return b""

    def rewind(self) -> None:
        """
        Begin again, as for a request that was redirected: what was handed out before was answered.

        :raises TimeoutError: when it was cut off
        """
        with self._lock:
            self._check()
            self._piece = self._offset = self._taken = 0
            self._begun = False

    def cut(self) -> None:
        """Hand out no more: what is not taken by now never goes out."""
        with self._lock:
            self._cut = True
            self._pieces = ()

    def _check(self) -> None:
        if self._cut:
            msg = "the time for this request is over"
            raise TimeoutError(msg)
