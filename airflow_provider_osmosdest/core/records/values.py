"""Read records that are Python values: what a task returned, or a generator yields."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import Any

import msgspec

from airflow_provider_osmosdest.core.errors import ConfigurationError, SourceError
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_ROWS, Rows

__all__ = ["ValueSource", "digest_of"]

_EXPECTED = "expected a path object, one mapping, or an iterable of mappings"


class ValueSource:
    """
    The records of one mapping, or of an iterable of mappings or of lists of mappings.

    The lists are what mapped tasks return: each task's list is taken apart. Anything else found in the iterable is an
    invalid record, for the validator to report.

    :param records: the values; an iterator is consumed
    :raises ConfigurationError: it is neither
    """

    format = "values"

    def __init__(self, records: Any) -> None:
        _check(records)
        self._values: Iterable[Any] = [records] if isinstance(records, Mapping) else records
        self._taken = 0

    @property
    def description(self) -> str:
        """Name the type that holds the values."""
        if isinstance(self._values, list | tuple):
            count = len(self._values)
            return "1 value" if count == 1 else f"{count:,} values"
        return f"values from a {type(self._values).__name__}"

    @cached_property
    def fingerprint(self) -> str | None:
        """
        Digest the values, if they can be iterated more than once and have a JSON form; else ``None``.

        :raises SourceError: the values cannot be read
        """
        return digest_of(self._guarded()) if isinstance(self._values, Sequence) else None

    @property
    def progress(self) -> float | None:
        """Return how many of the values were taken, if their number can be had."""
        if isinstance(self._values, list | tuple) and self._values:
            return self._taken / len(self._values)
        return None

    def blocks(self) -> Iterator[Rows]:
        """
        Yield the values in blocks.

        :raises SourceError: the iterable raises; what it yielded before has been yielded
        """
        records = self._records()
        fault: SourceError | None = None
        while fault is None:
            rows: list[Any] = []
            try:
                rows.extend(islice(records, BLOCK_ROWS))
            except SourceError as e:
                fault = e
            if rows:
                yield Rows(rows)
            elif fault is None:
                return
        raise fault

    def _records(self) -> Iterator[Any]:
        for value in self._guarded():
            self._taken += 1
            if isinstance(value, list | tuple):
                yield from map(_plain, value)
            else:
                yield _plain(value)

    def _guarded(self) -> Iterator[Any]:
        taken = 0
        try:
            for value in self._values:
                taken += 1
                yield value
        except Exception as e:  # it is the user's own code that runs here
            raise SourceError(
                f"{self.description}: raised {type(e).__name__} after {taken:,} values; see that error for the cause."
            ) from e


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) and not isinstance(value, dict) else value


def _check(records: Any) -> None:
    if isinstance(records, Mapping):
        return
    found = f"records is a {type(records).__name__}"
    if records is None:
        raise ConfigurationError(f"records is None, {_EXPECTED}. Did the task it comes from return nothing?")
    if isinstance(records, str):
        raise ConfigurationError(f"{found}, {_EXPECTED}. Make a path object of it: ObjectStoragePath(...).")
    if isinstance(records, bytes | bytearray | memoryview):
        raise ConfigurationError(f"{found}, {_EXPECTED}. Write it to a file, or decode it.")
    if hasattr(records, "read"):
        raise ConfigurationError(f"{found}, {_EXPECTED}. Pass the path of the file instead of the open file.")
    if hasattr(records, "to_dicts") and hasattr(records, "columns"):
        raise ConfigurationError(f"{found}, {_EXPECTED}. Pass its to_dicts().")
    if hasattr(records, "to_dict") and hasattr(records, "columns"):
        raise ConfigurationError(f"{found}, {_EXPECTED}. Pass its to_dict('records').")
    if isinstance(records, AsyncIterable):
        raise ConfigurationError(f"{found}, {_EXPECTED}. An asynchronous one has to be gathered first.")
    if not isinstance(records, Iterable):
        raise ConfigurationError(f"{found}, {_EXPECTED}.")


def digest_of(values: Iterable[Any]) -> str | None:
    """Digest values; ``None`` if one has no JSON form."""
    digest = sha256()
    encoder = msgspec.json.Encoder()
    for value in values:
        try:
            digest.update(encoder.encode(value) + b"\n")
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
            return None
    return digest.hexdigest()
