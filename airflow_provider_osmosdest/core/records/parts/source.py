"""Read one part of a dataset, as a source of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.formats import FORMATS, format_of
from airflow_provider_osmosdest.core.records.input import display
from airflow_provider_osmosdest.core.records.parts.part import identity_of
from airflow_provider_osmosdest.core.records.parts.ranges import RangeInput, only
from airflow_provider_osmosdest.core.records.paths import matching_files, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.formats import Formats
    from airflow_provider_osmosdest.core.records.parts.part import Part, Position
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["PartSource"]


class PartSource:
    """
    The records of one part.

    :param path: the path object that the plan was made of
    :param part: the part
    :param records_format: as the plan had it
    :param formats: as the plan had them
    :raises OptionsError: the format is unknown
    :raises SourceError: a file is not there or has changed since the plan
    """

    def __init__(self, path: Any, part: Part, *, records_format: str | None = None, formats: Formats = FORMATS) -> None:
        self._part = part
        # What lies before or behind has no part in it: files may be added there.
        files = [file for file in matching_files(path) if part.start.file <= str(file) <= part.last]
        self._name: str = path.name
        if files:
            self._format = format_of(files[0], records_format, formats)
        if not files or identity_of(self._format.name, files) != part.fingerprint:
            raise SourceError(
                f"{display(path)}: has changed since its parts were planned: part {part.number:,} is about other "
                f"content of {display(part.start.file)}. Clear the plan and all after it, so that it is cut anew, as "
                "what was sent of the old content cannot be told from the new."
            )
        self._inputs = [RangeInput(file, size_of(file), self._start(file), self._stop(file)) for file in files]

    def _start(self, file: Any) -> Position | None:
        return self._part.start if str(file) == self._part.start.file else None

    def _stop(self, file: Any) -> Position | None:
        return self._part.stop if str(file) == self._part.last else None

    @property
    def description(self) -> str:
        """Name the file, and which of its records are read."""
        part = self._part
        which = f"part {part.number:,} ({part.records:,} records from index {part.first_index:,})"
        return f"{self._name} ({self._format.name}), {which}"

    @property
    def format(self) -> str:
        """Name the format."""
        return self._format.name

    @property
    def fingerprint(self) -> str | None:
        """Digest the part: its range, and what its files were."""
        return self._part.digest

    @property
    def progress(self) -> float | None:
        """Return how much of the part has been read."""
        shares = [each.share for each in self._inputs]
        return None if None in shares else sum(filter(None, shares)) / len(shares)

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of one file after the other."""
        for each in self._inputs:
            yield from self._read(each)
            each.share = 1.0

    def _read(self, source: RangeInput) -> Iterator[Block]:
        blocks = self._format.read(source)
        # Parquet leaves rows out itself, and so need not read them.
        return blocks if source.rows == (0, None) or self._format.name == "parquet" else only(blocks, *source.rows)
