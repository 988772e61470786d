"""The option ``incremental``: the cursor field, how to request newer records, and how far to go back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.source.incremental.cursors import COMPARISONS, Comparison, comparison_of

__all__ = ["Incremental", "comparison_for", "read_incremental"]

_EXAMPLE = '{"cursor_path": "updated_at", "param": "since", "initial_value": "2026-01-01T00:00:00Z"}'
_LONG = 1e12


@dataclass(frozen=True, slots=True)
class Incremental:
    """
    How to tell new records, and how to request them.

    :param cursor_path: the field that grows, as names with points between them
    :param param: the query parameter that takes the cursor value from which on records are wanted
    :param body_path: where in the request's JSON body it goes instead
    :param initial_value: what the first run sends; ``None`` sends nothing
    :param overlap: how far to go back from the highest value: a count for numbers, seconds for times
    :param record_key: the field, or fields, that tell one record from another; by default all of a record does
    :param compare: ``number``, ``datetime`` or ``text``; by default by the form of the first value
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
            if not isinstance(place, dict):
                raise OptionsError(
                    f"incremental: body_path {self.body_path!r} leads through {name!r}, which is no object"
                )
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
    names = [each.name for each in fields(Incremental)]
    if unknown := [name for name in value if name not in names]:
        raise OptionsError(f"incremental: there is no option {unknown[0]!r}; there are {', '.join(names)}")
    given = dict(value)
    key = given.pop("record_key", None) or ()
    key = (key,) if isinstance(key, str) else key
    if not isinstance(key, (list, tuple)) or not all(isinstance(name, str) for name in key):
        raise OptionsError(f"incremental: found record_key {key!r}, expected the name of a field, or a list of names")
    read = Incremental(**{"cursor_path": "", **given, "record_key": tuple(key)})
    _check(read)
    return read


def _check(read: Incremental) -> None:
    path: Any = read.cursor_path
    if not isinstance(path, str) or not path:
        raise OptionsError(f"incremental: cursor_path is missing; expected an object like {_EXAMPLE}")
    if bool(read.param) == bool(read.body_path):
        raise OptionsError("incremental: expected param or body_path, the place the value is sent in, and not both")
    place: Any = read.param or read.body_path
    if not isinstance(place, str):
        raise OptionsError(f"incremental: found {place!r}, expected the name of a parameter, or a path into the body")
    overlap: Any = read.overlap
    if isinstance(overlap, bool) or not isinstance(overlap, (int, float)) or not 0 <= overlap < _LONG:
        raise OptionsError(f"incremental: found overlap {read.overlap!r}, expected a number, 0 or more")
    if read.compare is not None and read.compare not in COMPARISONS:
        raise OptionsError(f"incremental: found compare {read.compare!r}, expected one of {', '.join(COMPARISONS)}")
    if read.overlap and read.compare == "text":
        raise OptionsError("incremental: overlap cannot go back in text; leave one of overlap and compare 'text' out")
    if read.initial_value is not None:
        try:
            comparison_for(read, read.initial_value).key(read.initial_value)
        except ValueError as error:
            raise OptionsError(f"incremental: initial_value cannot be compared as {read.compare!r}: {error}") from None


def comparison_for(incremental: Incremental, value: Any) -> Comparison:
    """
    Return how to compare the cursor.

    :param value: one of its values
    :raises OptionsError: when nothing says how to compare values like it
    """
    kind: Any = incremental.compare
    return comparison_of(value) if kind is None else Comparison(kind)
