"""The flag by which one part of a delivery stops the others: a small object in the folder of the whole."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import MisconfiguredError, StorageError, SystemicError
from airflow_provider_osmosdest.core.storage import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.errors import DeliveryError
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["StopFlag"]

_NAME = "stop"
_PERIOD = 1.0
"""Seconds between two looks at most, while a part sends."""


class StopFlag:
    """
    Tell the parts of a delivery to stop, and find out whether they are to.

    :param folder: of the whole
    :param clock: seconds that only ever grow
    """

    def __init__(self, folder: Folder, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._path: Any = folder / _NAME
        self._clock = clock
        self._looked: float | None = None
        self.reason: str | None = None
        """Why the parts are to stop, as far as was looked."""

    def why(self) -> str | None:
        """
        Return why to stop and how to go on, ``None`` not to stop; looked up once a second at most.

        :raises StorageError: when it cannot be looked up
        """
        now = self._clock()
        if self.reason is None and (self._looked is None or now - self._looked >= _PERIOD):
            self._looked = now
            self.reason = self._read()
        return self.reason

    def stop_the_others(self, part: int, error: DeliveryError) -> None:
        """
        Raise the flag, where every other part would end for the same reason.

        :param part: number of the part that stopped
        :param error: why it did
        :raises StorageError: when that cannot be written
        """
        if not isinstance(error, (MisconfiguredError, SystemicError)):
            return
        reason = f"Part {part:,} stopped, and with it all others, which would have ended alike: {error}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, reason.encode(errors="replace"))
        # The clients of object stores have trees of errors of their own.
        except Exception as fault:
            raise self._failed("written", fault) from fault

    def lower(self) -> None:
        """
        Let the next attempts of all parts go on.

        :raises StorageError: when it cannot be removed
        """
        try:
            with suppress(FileNotFoundError):
                self._path.unlink()
        except Exception as error:
            raise self._failed("removed", error) from error

    def _read(self) -> str | None:
        try:
            with self._path.open("rb") as file:
                content: bytes = file.read()
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed("read", error) from error
        return content.decode(errors="replace")

    def _failed(self, what: str, error: Exception) -> StorageError:
        return StorageError(
            f"{self._path}, by which one part of a delivery stops the others, cannot be {what}: {error}. Mend the "
            "storage ([osmosdest] storage_path), then clear the task."
        )
