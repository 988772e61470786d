"""A part of a dataset as a value: where it begins and ends, and what its files were when it was cut."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.records.paths import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Part", "Position", "identity_of"]


@dataclass(frozen=True, slots=True)
class Position:
    """
    A place between two records of a file.

    :param file: its path
    :param records: how many records of the file stand before it
    :param at: its byte, in a text that is cut by bytes; ``None`` where records have to be counted to find it
    :param lines: how many lines stand before it, in such a text
    :param header: how many bytes at the file's start are its header, in such a text
    """

    file: str
    records: int = 0
    at: int | None = None
    lines: int = 0
    header: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """
    Consecutive records of a dataset, as a small value that JSON can hold.

    :param number: of the part, from 0
    :param first_index: of its first record in the whole dataset
    :param records: how many it holds, as far as the plan could count them
    :param start: where it begins
    :param last: path of its last file; those between are found again by listing
    :param stop: where it ends in that file, ``None`` for the file's end
    :param fingerprint: digest of the format and of what its files were
    """

    number: int
    first_index: int
    records: int
    start: Position
    last: str
    stop: Position | None
    fingerprint: str

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain values, of less than 64 KB."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Part:
        """
        Read what :meth:`to_dict` returned.

        :raises ConfigurationError: when it cannot be that
        """
        try:
            stop = values["stop"]
            return cls(
                number=int(values["number"]),
                first_index=int(values["first_index"]),
                records=int(values["records"]),
                start=Position(**values["start"]),
                last=str(values["last"]),
                stop=None if stop is None else Position(**stop),
                fingerprint=str(values["fingerprint"]),
            )
        except (KeyError, TypeError, ValueError) as e:
            raise ConfigurationError(
                f"part: found {str(values)[:200]!r}, expected one that the plan of 'deliver_in_parts' made: {e!r}."
            ) from e

    @property
    def digest(self) -> str:
        """A digest of all of it: the fingerprint of the part's records."""
        return sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def identity_of(format_name: str, files: Iterable[Any]) -> str:
    """
    Digest a format, and what files are by their names, sizes, times and checksums, as far as their store has them.

    :param files: path objects
    :raises SourceError: their store does not answer
    """
    return sha256("\n".join([format_name, *map(identity, files)]).encode()).hexdigest()
