"""Read the first records of a source, to infer a schema from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.formats import FORMATS
from airflow_provider_osmosdest.core.records.source import open_source
from airflow_provider_osmosdest.core.schema.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.validation.blocks import JsonElements, Rows
from airflow_provider_osmosdest.core.schema.validation.bulk import BulkValidator

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from airflow_provider_osmosdest.core.records.formats import Formats
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["Sample", "records_in"]


class Sample:
    """
    The first records of a source, one after the other.

    What is no JSON object is left out, and a source that breaks off ends there, unless there was no record before.

    :param records: as for :func:`open_source`
    :param records_format: as for :func:`open_source`
    :param limit: how many records there are at most, ``None`` for all
    :param formats: as for :func:`open_source`
    :raises ConfigurationError: as for :func:`open_source`
    """

    def __init__(
        self,
        records: Any,
        *,
        records_format: str | None = None,
        limit: int | None = 1000,
        formats: Formats = FORMATS,
    ) -> None:
        self._source = open_source(records, records_format=records_format, formats=formats)
        self._limit = limit
        self._objects = BulkValidator(DestinationSchema.any_object(), keep_records=True)
        self.faults: list[str] = []
        """What was left out so far, and why: the first of each kind."""
        self.cut = False
        """Whether the source has more records than the sample."""

    def read(self) -> tuple[Iterator[dict[str, Any]], bool]:
        """
        Return the records, and whether their values come from a format without types.

        :raises SourceError: the source cannot be read so far as to its first record; also as the records are read
        """
        blocks = cast("Generator[Block]", self._source.blocks())
        first = next(blocks, None)
        return self._records(first, blocks), isinstance(first, Rows) and first.textual

    def _records(self, first: Block | None, blocks: Generator[Block]) -> Iterator[dict[str, Any]]:
        count = left_out = 0
        why = ""
        with closing(blocks):
            block = first
            while block is not None:
                found, invalid = self._found(block)
                if invalid and not left_out:
                    why = invalid[0]
                left_out += len(invalid)
                for record in found:
                    if count == self._limit:
                        self.cut = True
                        break
                    count += 1
                    yield record
                if self.cut:
                    break
                try:
                    block = next(blocks, None)
                except SourceError as error:
                    if not count:
                        raise
                    if count == self._limit:
                        self.cut = True
                    else:
                        self.faults.append(f"the sample ends after {count:,} records: {error}")
                    break
        if left_out:
            self.faults.append(
                f"{left_out:,} {'record is' if left_out == 1 else 'records are'} left out, the first as {why}"
            )

    def _found(self, block: Block) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the records of a block, and why the others are none."""
        if not isinstance(block, Rows):
            validated = self._objects.validate(block)
            return validated.records or [], [each.error for each in validated.invalid]
        found = [dict(row) for row in block.rows if isinstance(row, Mapping)]
        others = [row for row in block.rows if not isinstance(row, Mapping)]
        return found, [getattr(row, "problem", f"it is no object but {type(row).__name__}") for row in others]


def records_in(block: Block) -> list[Any]:
    """
    Return the records of a block as Python values.

    :raises ValueError: one of them is not JSON
    """
    if isinstance(block, Rows):
        return list(block.rows)
    if isinstance(block, JsonElements):
        return list(json.loads(b"[" + block.data + b"]"))
    return [json.loads(line) for line in block.data.split(b"\n") if line.strip()]
