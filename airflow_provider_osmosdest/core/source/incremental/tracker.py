"""Track a cursor through one run, and keep between runs its highest value and the records in its overlap."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.errors import OptionsError, PagingError, StorageError
from airflow_provider_osmosdest.core.source.incremental.cursors import COMPARISONS, Comparison
from airflow_provider_osmosdest.core.source.incremental.incremental import comparison_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_osmosdest.core.source.incremental.incremental import Incremental

__all__ = ["Tracker", "Watermark"]

_VERSION = 1
# A window this much larger than it was after the last pruning is pruned again.
_SLACK = 10_000


@dataclass(frozen=True, slots=True)
class Watermark:
    """
    What an incremental pull keeps between runs.

    :param value: the highest cursor value taken, ``None`` before the first
    :param seen: of each record taken with a value in the overlap: digest of its key, digest of all of it, its value
    :param cursor: the field it is of, ``None`` where it was not recorded
    """

    value: Any = None
    seen: tuple[tuple[str, str, Any], ...] = ()
    cursor: str | None = None

    def of(self, cursor: str) -> Watermark:
        """Return it if it is this field's, else an empty one: values of two fields cannot be compared."""
        return self if self.cursor in (None, cursor) else Watermark()

    @classmethod
    def read(cls, document: bytes | None) -> Watermark:
        """
        Read what :meth:`to_json` wrote.

        :raises StorageError: when it is something else
        """
        if document is None:
            return cls()
        try:
            found = json.loads(document)
            if found["version"] != _VERSION:
                raise ValueError(found["version"])  # noqa: TRY301 - one message for all that is wrong with it
            seen = tuple((key, content, value) for key, content, value in found["seen"])
            return cls(found["value"], seen, found.get("cursor"))
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"what was kept of earlier runs is not what this version writes ({error}). Mend or remove the "
                "incremental state of this task; without it everything is taken again."
            ) from None

    def to_json(self) -> bytes:
        """Return it as a document."""
        document = {"version": _VERSION, "value": self.value, "seen": self.seen, "cursor": self.cursor}
        return json.dumps(document, separators=(",", ":")).encode()


class Tracker:
    """
    Track the cursor through the records of one run, and leave out those that were taken before.

    :param incremental: the task's option
    :param before: the watermark of earlier runs
    """

    def __init__(self, incremental: Incremental, before: Watermark) -> None:
        self._incremental = incremental
        before = before.of(incremental.cursor_path)
        self._path = incremental.cursor_path.split(".")
        self._keys = [name.split(".") for name in incremental.record_key]
        self._before = {key: content for key, content, _ in before.seen}
        self._seen: dict[str, tuple[str, Any]] = {key: (content, value) for key, content, value in before.seen}
        self._comparison: Comparison | None = None
        self._high: Any = None
        self._high_key: Any = None
        self._pruned = len(self._seen)
        self.without = 0
        """Records that have no cursor value: they are taken, and move nothing."""
        if before.value is not None:
            self._see(before.value, "what was kept of earlier runs")

    @property
    def since(self) -> Any:
        """The value from which to request records, ``None`` to request all."""
        if self._high is None:
            return self._incremental.initial_value
        assert self._comparison is not None
        return self._comparison.back(self._high, self._incremental.overlap)

    def fresh(self, records: Iterable[Any], name: str) -> list[Any]:
        """
        Record the cursor values of records from the API; return those that were not taken by an earlier run.

        :raises PagingError: for a record whose cursor value cannot be compared
        """
        return [record for record in records if self._take(record, name)]

    def observe(self, records: Iterable[Any], name: str) -> None:
        """Record the cursor values of records that an earlier attempt of this run has taken."""
        for record in records:
            self._take(record, name)

    def watermark(self, stored: Watermark) -> Watermark:
        """
        Return what to keep now that all of it is taken.

        :param stored: what is kept as yet; another run may have got further than this one
        """
        stored = stored.of(self._incremental.cursor_path)
        for key, content, value in stored.seen:
            self._seen.setdefault(key, (content, value))
        if stored.value is not None:
            self._see(stored.value, "what was kept of earlier runs")
        self._prune()
        seen = tuple((key, *rest) for key, rest in self._seen.items())
        return Watermark(self._high, seen, self._incremental.cursor_path)

    def _take(self, record: Any, name: str) -> bool:
        try:
            document = msgspec.json.decode(record)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            # The schema will say what is wrong with it.
            document = None
        value = _at(document, self._path)
        if value is None:
            self.without += 1
            return True
        self._see(value, name)
        content = _digest(document)
        key = content if not self._keys else _digest([_at(document, path) for path in self._keys])
        if self._before.get(key) == content:
            return False
        # A record that changes back must not pass for the version before the last.
        self._before.pop(key, None)
        self._seen[key] = (content, value)
        if len(self._seen) > 2 * self._pruned + _SLACK:
            self._prune()
        return True

    def _see(self, value: Any, name: str) -> None:
        try:
            if self._comparison is None:
                self._comparison = comparison_for(self._incremental, value)
            key = self._comparison.key(value)
        except (ValueError, OptionsError) as error:
            raise PagingError(
                f"{name}: the cursor {self._incremental.cursor_path!r} cannot be compared: {error}. Take another "
                f'field, or say how with "compare": one of {", ".join(COMPARISONS)}.'
            ) from None
        if self._high_key is None or key > self._high_key:
            self._high, self._high_key = value, key

    def _prune(self) -> None:
        """Forget what lies before the overlap."""
        if self._comparison is not None:
            floor = self._comparison.floor(self._high, self._incremental.overlap)
            key = self._comparison.key
            self._seen = {name: kept for name, kept in self._seen.items() if key(kept[1]) >= floor}
        self._pruned = len(self._seen)


def _at(document: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


def _digest(value: Any) -> str:
    """Return a digest of a value, whatever the order of its keys."""
    return blake2b(msgspec.json.encode(value, order="sorted"), digest_size=12).hexdigest()
