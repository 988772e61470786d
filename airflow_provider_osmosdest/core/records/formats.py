"""The registry of formats: which reader reads which files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.records.input import display
from airflow_provider_osmosdest.core.records.readers.csv_rows import read_csv, read_tsv
from airflow_provider_osmosdest.core.records.readers.json_array import read_json
from airflow_provider_osmosdest.core.records.readers.ndjson import read_ndjson
from airflow_provider_osmosdest.core.records.readers.parquet import read_parquet
from airflow_provider_osmosdest.core.records.readers.xlsx import read_xlsx

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.records.input import Input
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["FORMATS", "Format", "Formats", "format_of"]


@dataclass(frozen=True, slots=True)
class Format:
    """
    A file format and its reader.

    :param name: what ``records_format`` calls it
    :param suffixes: the endings of file names that mean it, in lower case with their dot
    :param read: yields the blocks of one file, and raises ``SourceError`` after all that came before a fault.
        It imports what it needs when it is called.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Input], Iterator[Block]]


Formats = Mapping[str, Format]

FORMATS: Formats = {
    each.name: each
    for each in (
        Format("ndjson", (".ndjson", ".jsonl"), read_ndjson),
        Format("json", (".json",), read_json),
        Format("csv", (".csv",), read_csv),
        Format("tsv", (".tsv", ".tab"), read_tsv),
        Format("parquet", (".parquet", ".pq"), read_parquet),
        Format("xlsx", (".xlsx", ".xlsm"), read_xlsx),
    )
}
"""All formats, by name. Pass a mapping of your own to :func:`.source.open_source` to read others."""


def format_of(path: Any, records_format: str | None, formats: Formats) -> Format:
    """
    Pick the format of a file: ``records_format`` if it is set, else by the ending of its name (``.gz`` aside).

    :raises OptionsError: there is no such format, or the name does not show it
    """
    if records_format is not None:
        chosen = formats.get(records_format)
        if chosen is None:
            raise OptionsError(f"records_format is {records_format!r}, expected one of: {', '.join(formats)}.")
        return chosen
    name = path.name.lower().removesuffix(".gz")
    for each in formats.values():
        if name.endswith(each.suffixes):
            return each
    raise OptionsError(
        f"{display(path)}: the ending of its name does not tell its format. "
        f"Set records_format to one of: {', '.join(formats)}."
    )
