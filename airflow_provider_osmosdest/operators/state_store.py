"""Store the ledger in Airflow's task state store, where there is one (Airflow 3.3), else in the delivery's folder."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.hooks.shared_storage import one_machine_only
from airflow_provider_osmosdest.operators.airflow_limits import STATE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.ledger.ledger import LedgerStore
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["LEDGER_KEY", "TaskStateLedgerStore", "ledger_store"]

LEDGER_KEY = "osmosdest_ledger"
"""The key of the ledger in the task's state."""

_HOLDER_KEY = "osmosdest_attempt"
_COMPRESSED = "zlib"
# Through supervisor, API server and database a write takes some 10 ms, as long as 50 requests to a fast API.
_OFTEN = 4
_OFTEN_SECONDS = 1.0
_HOLDER_SECONDS = 1.0
_GONE = "another attempt"


class TaskStateLedgerStore:
    """
    Keep a ledger in the task state store; in the delivery's folder while it is large, or is written all the time.

    The state then says that the ledger is in the folder, so only one of the two is ever valid. A ledger that must not
    go to the folder, as a retry may not find it there, is compressed while it is large.

    :param store: ``context["task_state_store"]``
    :param folder: the delivery's folder
    :param spills: whether the ledger may go to the folder
    :param clock: seconds that only ever grow
    """

    SPILLED: ClassVar = {"in": "folder"}
    """The value in the state while the ledger is in the folder."""

    def __init__(
        self, store: Any, folder: Folder, *, spills: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._file = FolderLedgerStore(folder)
        self._spills = spills
        self._clock = clock
        self._written: deque[float] = deque(maxlen=_OFTEN)
        self._spilled = False
        self._attempt: str | None = None
        self._holder: str | None = None
        self._asked = 0.0

    def load(self) -> bytes | None:
        """Return the document, ``None`` if there is none."""
        try:
            value = self._store.get(LEDGER_KEY)
        except Exception as error:
            raise _failed("read", error) from error
        if value is None:
            return None
        if value == self.SPILLED:
            self._spilled = True
            document = self._file.load()
            if document is None:
                raise StorageError(
                    "the ledger of this delivery is not in its folder, where the task's state says it is. Restore it; "
                    "or begin anew with 'airflow osmosdest delivery forget --new-id', after which all is sent again."
                )
            return document
        if isinstance(value, dict) and _COMPRESSED in value:
            try:
                return zlib.decompress(base64.b85decode(value[_COMPRESSED]))
            except (ValueError, TypeError, zlib.error) as error:
                raise _failed("read", error) from error
        return json.dumps(value).encode()

    def save(self, document: bytes, *, last: bool = False) -> None:
        """Replace the document."""
        now = self._clock()
        # An object store is no faster than the state store; a local file is, fifty times over.
        often = len(self._written) == _OFTEN and now - self._written[0] < _OFTEN_SECONDS
        large = len(document) > STATE_BYTES
        spill = self._spills and (large or (often and not last and self._file.is_local))
        self._written.append(now)
        if spill:
            self._file.save(document)
            if self._spilled:
                return
        try:
            self._store.set(LEDGER_KEY, self.SPILLED if spill else _value(document, compress=large))
        except Exception as error:
            raise _failed("written", error) from error
        self._spilled = spill

    def claim(self, attempt: str) -> None:
        """Make an attempt the one that goes on, wherever the ledger is."""
        try:
            self._store.set(_HOLDER_KEY, attempt)
        except Exception as error:
            raise _failed("written", error) from error
        self._attempt = attempt
        if self._file.load() is not None:
            self._file.claim(attempt)

    def holder(self) -> str | None:
        """
        Return the attempt that claimed the delivery last, as the task's state said a second ago at most.

        Airflow writes the state only for the attempt that it takes for the last one, so a second is soon enough. A
        file in the folder may be written by any attempt, and so beside it the holder is looked up each time.
        """
        if self._spilled and (holder := self._file.holder()) not in {None, self._attempt}:
            return holder
        now = self._clock()
        if self._holder is None or now - self._asked >= _HOLDER_SECONDS:
            try:
                # Airflow has no state for a task instance whose next try has begun.
                self._holder = str(self._store.get(_HOLDER_KEY) or _GONE)
            except Exception as error:
                raise _failed("read", error) from error
            self._asked = now
        return self._holder


def ledger_store(state: Any, folder: Folder) -> LedgerStore:
    """
    Return where the ledger of a task instance is kept.

    :param state: ``context["task_state_store"]``, ``None`` before Airflow 3.3
    :param folder: the delivery's folder
    """
    if state is None:
        return FolderLedgerStore(folder)
    return TaskStateLedgerStore(state, folder, spills=one_machine_only(folder) is None)


def _value(document: bytes, *, compress: bool) -> Any:
    return {_COMPRESSED: base64.b85encode(zlib.compress(document)).decode()} if compress else json.loads(document)


def _failed(what: str, error: Exception) -> StorageError:
    return StorageError(
        f"the ledger cannot be {what} in Airflow's task state store: {error}. Without it a retry would send records "
        "twice; check that the API server works, then retry the task."
    )
