"""Read the records of files."""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.records.formats import format_of
from airflow_provider_osmosdest.core.records.input import Input, display
from airflow_provider_osmosdest.core.records.paths import identity, matching_files, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.formats import Formats
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["FileSource"]


class FileSource:
    """
    The records of one file, or of several of one format, read one after the other.

    :param path: a path object, as for :func:`.source.open_source`
    :param records_format: a key of ``formats``, or ``None`` to go by the files' names
    :param formats: the formats there are
    :raises OptionsError: the format is unknown, or not the same for all files
    :raises SourceError: there is no such file, or the store does not answer
    """

    def __init__(self, path: Any, *, records_format: str | None, formats: Formats) -> None:
        files = matching_files(path)
        self._format = format_of(files[0], records_format, formats)
        for file in files:
            other = format_of(file, records_format, formats)
            if other != self._format:
                raise OptionsError(
                    f"{display(path)}: the files are of several formats: {files[0].name} is {self._format.name}, "
                    f"{file.name} is {other.name}. Name the files of one format, or set records_format."
                )
        self._inputs = [Input(file, size_of(file)) for file in files]
        # The query of a presigned URL is a secret.
        self._name: str = path.name.partition("?")[0] if "://" in str(path) else path.name

    @property
    def description(self) -> str:
        """Name the files, and say what they are."""
        many = f", {len(self._inputs):,} files" if len(self._inputs) > 1 else ""
        return f"{self._name} ({self._format.name}{many})"

    @property
    def format(self) -> str:
        """Name the format."""
        return self._format.name

    @cached_property
    def fingerprint(self) -> str | None:
        """Digest the format, and the names, sizes, times and checksums of the files, as far as their store has them."""
        parts = [self._format.name, *(identity(each.path) for each in self._inputs)]
        return sha256("\n".join(parts).encode()).hexdigest()

    @property
    def progress(self) -> float | None:
        """Return how much of the files' bytes has been read."""
        total = done = 0.0
        for each in self._inputs:
            if each.size is None or each.share is None:
                return None
            total += each.size
            done += each.size * each.share
        return done / total if total else None

    @property
    def name(self) -> str:
        """Name the file, or what the files were found by."""
        return self._name

    def each(self) -> list[FileSource]:
        """Return a source for each of the files, in order."""
        found = []
        for file in self._inputs:
            source = object.__new__(FileSource)
            source._format, source._inputs, source._name = self._format, [Input(file.path, file.size)], file.path.name
            found.append(source)
        return found

    def content(self) -> Iterator[bytes]:
        """
        Yield what the files hold, unpacked where they are gzip; records can be read all the same.

        :raises SourceError: a file cannot be read
        """
        for file in self._inputs:
            yield from Input(file.path, None).content()

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of one file after the other."""
        for each in self._inputs:
            yield from self._format.read(each)
            each.share = None if each.size is None else 1.0
