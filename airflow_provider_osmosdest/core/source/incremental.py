"""Take only what is new: the highest cursor value of earlier runs, an overlap before it, and what was taken in that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.errors import OptionsError, PagingError, StorageError
from airflow_provider_osmosdest.core.source.cursors import COMPARISONS, Comparison, comparison_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Incremental", "Tracker", "Watermark", "read_incremental"]

_VERSION = 1
_EXAMPLE = '{"cursor_path": "updated_at", "param": "since", "initial_value": "2026-01-01T00:00:00Z"}'
# A window this much larger than it was after the last pruning is pruned again.
_SLACK = 10_000
_LONG = 1e12


@dataclass(frozen=True, slots=True)
class Incremental:
    """
    What is new, and how to ask for it.

    :param cursor_path: the field that grows, as names with points between them
    :param param: the query parameter that takes the cursor value from which on records are wanted
    :param body_path: where in the request's JSON body it goes instead
    :param initial_value: what the first run sends; ``None`` sends nothing
    :param overlap: how far to go back from the highest value: a count for numbers, seconds for times
    :param record_key: the field, or fields, that tell one record from another; by default all of a record does
    :param compare: ``number``, ``datetime`` or ``text``; by default what the first value looks like
    """

    cursor_path: str
    param: str | None = None
    body_path: str | None = None
    initial_value: Any = None
    overlap: float = 0
    record_key: tuple[str, ...] = ()
    compare: str | None = None

    def request(self, since: Any, query: Mapping[str, Any], body: Any) -> tuple[dict[str, Any], Any]:
        """Return query and body with the value from which on records are wanted."""
        query = dict(query)
        if since is None:
            return query, body
        if self.param is not None:
            query[self.param] = since
            return query, body
        body = json.loads(json.dumps(body or {}))
        *above, last = (self.body_path or "").split(".")
        place = body
        for name in above:
            place = place.setdefault(name, {})
        place[last] = since
        return query, body


def read_incremental(value: Any) -> Incremental | None:
    """
    Read the option.

    :raises OptionsError: saying what cannot be used
    """
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError:
            raise OptionsError(f"incremental: {value!r} is not JSON; expected an object like {_EXAMPLE}") from None
    if not value:
        return None
    if not isinstance(value, Mapping):
        raise OptionsError(f"incremental: found {value!r}, expected an object like {_EXAMPLE}")
    known = [each.name for each in fields(Incremental)]
    if unknown := [name for name in value if name not in known]:
        raise OptionsError(f"incremental: there is no option {unknown[0]!r}; there are {', '.join(known)}")
    given = dict(value)
    key = given.pop("record_key", None) or ()
    read = Incremental(**{"cursor_path": "", **given, "record_key": (key,) if isinstance(key, str) else tuple(key)})
    _check(read)
    return read


def _check(read: Incremental) -> None:
    path: Any = read.cursor_path
    if not isinstance(path, str) or not path:
        raise OptionsError(f"incremental: cursor_path is missing; expected an object like {_EXAMPLE}")
    if bool(read.param) == bool(read.body_path):
        raise OptionsError("incremental: expected param or body_path, the place the value is sent in, and not both")
    overlap: Any = read.overlap
    if isinstance(overlap, bool) or not isinstance(overlap, (int, float)) or not 0 <= overlap < _LONG:
        raise OptionsError(f"incremental: found overlap {read.overlap!r}, expected a number, 0 or more")
    if read.compare is not None and read.compare not in COMPARISONS:
        raise OptionsError(f"incremental: found compare {read.compare!r}, expected one of {', '.join(COMPARISONS)}")
    if read.overlap and read.compare == "text":
        raise OptionsError("incremental: overlap cannot go back in text; leave one of overlap and compare 'text' out")
    if read.initial_value is not None:
        try:
            _comparison(read, read.initial_value).key(read.initial_value)
        except ValueError as error:
            raise OptionsError(f"incremental: initial_value cannot be compared as {read.compare!r}: {error}") from None


def _comparison(incremental: Incremental, value: Any) -> Comparison:
    kind: Any = incremental.compare
    return comparison_of(value) if kind is None else Comparison(kind)


@dataclass(frozen=True, slots=True)
class Watermark:
    """
    What is kept between runs.

    :param value: the highest cursor value taken, ``None`` before the first
    :param seen: of each record taken with a value in the overlap: digest of its key, digest of all of it, its value
    """

    value: Any = None
    seen: tuple[tuple[str, str, Any], ...] = ()

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
            return cls(found["value"], tuple((key, content, value) for key, content, value in found["seen"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"what was kept of earlier runs is not what this version writes ({error}). Mend or remove the "
                "incremental state of this task; without it everything is taken again."
            ) from None

    def to_json(self) -> bytes:
        """Return it as a document."""
        return json.dumps({"version": _VERSION, "value": self.value, "seen": self.seen}, separators=(",", ":")).encode()


class Tracker:
    """
    Follow the cursor through the records of one run, and leave out those that were taken before.

    :param incremental: what is asked for
    :param before: what earlier runs left
    """

    def __init__(self, incremental: Incremental, before: Watermark) -> None:
        self._incremental = incremental
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
        """The value to ask from, ``None`` to ask for everything."""
        if self._high is None:
            return self._incremental.initial_value
        assert self._comparison is not None
        return self._comparison.back(self._high, self._incremental.overlap)

    def fresh(self, records: Iterable[Any], name: str) -> list[Any]:
        """
        Take note of records as they come from the API; return those that were not taken by an earlier run.

        :raises PagingError: for a record whose cursor value cannot be compared
        """
        return [record for record in records if self._take(record, name)]

    def observe(self, records: Iterable[Any], name: str) -> None:
        """Take note of records that an earlier attempt of this run has taken."""
        for record in records:
            self._take(record, name)

    def watermark(self, stored: Watermark) -> Watermark:
        """
        Return what to keep now that all of it is taken.

        :param stored: what is kept as yet; another run may have got further than this one
        """
        for key, content, value in stored.seen:
            self._seen.setdefault(key, (content, value))
        if stored.value is not None:
            self._see(stored.value, "what was kept of earlier runs")
        self._prune()
        return Watermark(self._high, tuple((key, *rest) for key, rest in self._seen.items()))

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
                self._comparison = _comparison(self._incremental, value)
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
    """Tell values apart, whatever the order of their keys."""
    return blake2b(msgspec.json.encode(value, order="sorted"), digest_size=12).hexdigest()
