"""
The committed cursors of a mailbox's named readers, its consumers.

A commit is the creation of a marker, ``consumers/{name}/{generation}.{seq}.{offset}``, and what is committed is the
greatest there is. So a commit needs no compare-and-swap, which object stores do not all have: one that comes late
creates a lower marker, which changes nothing. Moving a consumer, also backwards, begins its next generation.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Consumers", "MarkerStore", "valid_consumer"]

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", re.ASCII)
_MARKER = re.compile(r"(\d{6,})\.(\d{20})\.(\d{10})", re.ASCII)
_FOLDER = "consumers"
_POLLED = "polled.json"
_POLL_NOTE = timedelta(minutes=1)

_Mark = tuple[int, int, int]


class MarkerStore(Protocol):
    """The part of a mailbox's store that consumers are kept in."""

    def create(self, name: str, data: bytes) -> bool:
        """Create an object; ``False`` where it exists."""

    def put(self, name: str, data: bytes) -> None:
        """Write an object, whether or not it exists."""

    def get(self, name: str) -> bytes | None:
        """Return an object; ``None`` where there is none."""

    def names(self, folder: str) -> list[str]:
        """List what is right below a folder, now."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, where they exist."""


def valid_consumer(name: Any) -> bool:
    """Tell whether a consumer may have this name: 1 to 64 letters, digits, ``.``, ``_`` and ``-``, no dot first."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


class Consumers:
    """
    The consumers of one mailbox.

    :param store: the mailbox's store
    :param now: returns the current time
    """

    def __init__(self, store: MarkerStore, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._now = now
        self._noted: dict[str, datetime] = {}
        self._noting = threading.Lock()

    def committed(self, name: str) -> Cursor | None:
        """
        Return a consumer's committed cursor, with its generation; one request.

        ``None`` for one that has never committed: it begins at the earliest record, in generation 0.

        :raises ConfigurationError: for a name that cannot be one
        """
        marks = self._marks(name)
        return _cursor(max(marks)) if marks else None

    def commit(self, name: str, cursor: Cursor) -> bool:
        """
        Commit a cursor for a consumer, unless a later one is committed.

        Committing the same cursor again changes nothing and is no error: a response may have been lost.

        :param cursor: one that was handed out for this consumer; without a generation, it is one of the current
        :return: ``False`` where the cursor is stale, of another generation or behind what is committed
        :raises ConfigurationError: for a name that cannot be one
        """
        marks = self._marks(name)
        latest = max(marks, default=None)
        current = 0 if latest is None else latest[0]
        generation = current if cursor.generation is None else cursor.generation
        mark = (generation, cursor.position.seq, cursor.position.offset)
        if generation != current or (latest is not None and mark < latest):
            return False
        if mark != latest:
            self._store.create(_object(name, mark), b"")
            self._clean(name, [each for each in marks if each != latest])
        return True

    def seek(self, name: str, position: Position) -> Cursor:
        """
        Move a consumer to any position, and make every cursor that it was handed before stale.

        :return: its new cursor
        :raises ConfigurationError: for a name that cannot be one
        """
        marks = self._marks(name)
        latest = max(marks, default=None)
        mark = (1 if latest is None else latest[0] + 1, position.seq, position.offset)
        # Where it exists, another seek has just written the same.
        self._store.create(_object(name, mark), b"")
        self._clean(name, [each for each in marks if each != latest])
        return _cursor(mark)

    def names(self) -> list[str]:
        """Return the sorted names of all consumers that have committed, been moved or asked for records."""
        found = (name for name in self._store.names(_FOLDER) if valid_consumer(name))
        # A file system keeps the empty folder of a consumer that is forgotten.
        return sorted(name for name in found if self._store.names(f"{_FOLDER}/{name}"))

    def note_poll(self, name: str) -> None:
        """
        Record that a consumer has asked for records: once a minute at most; a failed write is ignored.

        :raises ConfigurationError: for a name that cannot be one
        """
        _check(name)
        now = self._now()
        with self._noting:
            noted = self._noted.get(name)
            if noted is not None and now - noted < _POLL_NOTE:
                return
            self._noted[name] = now
        with suppress(StorageError):
            self._store.put(f"{_FOLDER}/{name}/{_POLLED}", json.dumps({"at": now.isoformat()}).encode())

    def polled(self, name: str) -> datetime | None:
        """
        Return when a consumer last asked for records, to about a minute; ``None`` if it never did.

        :raises ConfigurationError: for a name that cannot be one
        """
        _check(name)
        data = self._store.get(f"{_FOLDER}/{name}/{_POLLED}")
        try:
            return None if data is None else datetime.fromisoformat(json.loads(data)["at"])
        except (ValueError, TypeError, KeyError):
            # It is shown to people, and nothing depends on it.
            return None

    def forget(self, name: str) -> None:
        """
        Remove a consumer; if it reads again, it begins at the earliest record.

        :raises ConfigurationError: for a name that cannot be one
        """
        _check(name)
        self._store.delete([f"{_FOLDER}/{name}/{each}" for each in sorted(self._store.names(f"{_FOLDER}/{name}"))])
        with self._noting:
            self._noted.pop(name, None)

    def _marks(self, name: str) -> list[_Mark]:
        _check(name)
        found = (_MARKER.fullmatch(each) for each in self._store.names(f"{_FOLDER}/{name}"))
        # Compared as numbers: the millionth generation would be a lower text than the one before.
        return [(int(match[1]), int(match[2]), int(match[3])) for match in found if match]

    def _clean(self, name: str, marks: Iterable[_Mark]) -> None:
        """
        Delete markers that later ones have overtaken; the next commit deletes what is left.

        The one that was the greatest until now stays: a listing that is under way may have passed the place of the
        new one, and must not come out empty.
        """
        with suppress(StorageError):
            self._store.delete([_object(name, each) for each in marks])


def _object(name: str, mark: _Mark) -> str:
    generation, seq, offset = mark
    return f"{_FOLDER}/{name}/{generation:06d}.{seq:020d}.{offset:010d}"


def _cursor(mark: _Mark) -> Cursor:
    generation, seq, offset = mark
    return Cursor(Position(seq, offset), generation)


def _check(name: str) -> None:
    if not valid_consumer(name):
        msg = f"consumer: found {name!r}, expected 1 to 64 letters, digits, dots, hyphens or underscores, no dot first"
        raise ConfigurationError(msg)
