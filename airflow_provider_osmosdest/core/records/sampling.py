"""Read the first records of a source, to infer a schema from them."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.formats import FORMATS
from airflow_provider_osmosdest.core.records.source import open_source
from airflow_provider_osmosdest.core.schema.validation.blocks import JsonElements, Rows

if TYPE_CHECKING:
    from collections.abc import Generator

    from airflow_provider_osmosdest.core.records.formats import Formats
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["records_in", "sample_rows"]


def sample_rows(
    records: Any, *, records_format: str | None = None, limit: int = 1000, formats: Formats = FORMATS
) -> tuple[list[dict[str, Any]], bool]:
    """
    Read the first records of a source.

    :param records: as for :func:`open_source`
    :param records_format: as for :func:`open_source`
    :param limit: how many records to return at most
    :param formats: as for :func:`open_source`
    :return: the records, and whether their values come from a format without types
    :raises ConfigurationError: as for :func:`open_source`
    :raises SourceError: the source cannot be read that far, or one of the records is no JSON object
    """
    source = open_source(records, records_format=records_format, formats=formats)
    rows: list[dict[str, Any]] = []
    textual = False
    with closing(cast("Generator[Block]", source.blocks())) as blocks:
        for block in blocks:
            textual = isinstance(block, Rows) and block.textual
            try:
                found = records_in(block)
            except ValueError as e:
                raise SourceError(
                    f"{source.description}: record {len(rows):,} (counted from 0) or one after it is not JSON: {e}."
                ) from e
            for row in found[: limit - len(rows)]:
                if not isinstance(row, dict):
                    raise SourceError(
                        f"{source.description}: record {len(rows):,} (counted from 0) is a {type(row).__name__}, "
                        "expected an object."
                    )
                rows.append(row)
            if len(rows) == limit:
                break
    return rows, textual


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
