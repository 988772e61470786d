"""The interface of a source of records, and how one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.records.files import FileSource
from airflow_provider_osmosdest.core.records.formats import FORMATS
from airflow_provider_osmosdest.core.records.sheet import SheetSource
from airflow_provider_osmosdest.core.records.values import ValueSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.formats import Formats
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["Source", "open_source"]


class Source(Protocol):
    """Records that can be read once, from front to end."""

    @property
    def description(self) -> str:
        """What is read, for the log: ``flights.csv.gz (csv)``."""

    @property
    def format(self) -> str:
        """The name of the format, or ``values``."""

    @property
    def fingerprint(self) -> str | None:
        """
        A digest that changes when the records may have changed; ``None`` if there is no way to find out.

        Working it out looks at files' properties, or at all of the values.
        """

    @property
    def progress(self) -> float | None:
        """The part read so far, 0 to 1; ``None`` if it cannot be determined. Cheap."""

    def blocks(self) -> Iterator[Block]:
        """
        Yield the records in order, in blocks. To be called once.

        :raises SourceError: the records cannot be read any further; all before the fault have been yielded
        """


def open_source(records: Any, *, records_format: str | None = None, formats: Formats = FORMATS) -> Source:
    """
    Return the source that ``records`` stands for.

    :param records: a path object (``ObjectStoragePath``, ``pathlib.Path``) of a file, of a folder of files or with a
        ``*`` in it; or values: one mapping, or any iterable of mappings or of lists of mappings; or a sheet's rows
    :param records_format: a key of ``formats``, for files whose name does not say; ``sheet`` for a list of rows that
        are lists of cells (:class:`~.sheet.SheetSource`); other values have no format
    :param formats: the formats there are
    :raises ConfigurationError: ``records`` is neither, or the format is unknown or given for values
    :raises SourceError: there is no such file, or the store does not answer
    """
    if hasattr(records, "open") and hasattr(records, "name"):
        return FileSource(records, records_format=records_format, formats=formats)
    if records_format == SheetSource.format:
        return SheetSource(records)
    source = ValueSource(records)
    if records_format is not None:
        raise OptionsError(
            f"records_format is {records_format!r}, but records is a {type(records).__name__}, and only files have a "
            "format. Leave records_format out, pass the path of a file, or take 'sheet' for a list of rows of cells."
        )
    return source
