"""Leave out files whose content was delivered before, and note those that are delivered now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.deduplication import seen_folder
from airflow_provider_osmosdest.core.delivery.ledger.ledger import read_ledger
from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.records.files import FileSource
from airflow_provider_osmosdest.core.seen.files import SeenFiles, content_digest
from airflow_provider_osmosdest.core.seen.paths import FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_osmosdest.core.delivery.ledger.ledger import LedgerStore
    from airflow_provider_osmosdest.core.delivery.model import Delivery
    from airflow_provider_osmosdest.core.delivery.report import Tally
    from airflow_provider_osmosdest.core.http.target import Destination
    from airflow_provider_osmosdest.core.records import Source
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["NewFiles", "new_files"]


class NewFiles:
    """
    The files of a source that no earlier run has taken.

    :param source: all the files
    :param files: what was taken
    :param own: id of this delivery, if it was begun before: what it took itself is read again
    :param tally: the running counts
    :raises SourceError: when a file cannot be read
    :raises StorageError: when what was taken cannot be read
    """

    def __init__(self, source: FileSource, files: SeenFiles, own: str | None, tally: Tally) -> None:
        self._source = source
        self._files = files
        self._tally = tally
        self._new: list[tuple[FileSource, str]] = []
        self._counts: list[int] = []
        self.skipped = 0
        self._skipped_records = 0
        parts = source.each()
        self.total = len(parts)
        for each in parts:
            digest = content_digest(each.content())
            taken = files.find(digest)
            if taken is None or taken.delivery == own:
                self._new.append((each, digest))
            else:
                self.skipped += 1
                self._skipped_records += taken.records

    @property
    def description(self) -> str:
        """What is read, for the log."""
        return self._source.description

    @property
    def format(self) -> str:
        """The name of the format."""
        return self._source.format

    @property
    def fingerprint(self) -> str | None:
        """A digest that changes when the records may have changed, or when other files are new."""
        return ",".join([self._source.format, *(digest for _, digest in self._new)])

    @property
    def progress(self) -> float | None:
        """The part read so far, 0 to 1."""
        shares = [each.progress for each, _ in self._new]
        known = [share for share in shares if share is not None]
        return sum(known) / len(shares) if known and len(known) == len(shares) else None

    def blocks(self) -> Iterator[Block]:
        """Yield the records of the new files in order, in blocks."""
        for each, _ in self._new:
            before = self._tally.read
            yield from each.blocks()
            # The pipeline has counted the block before it asks for the next.
            self._counts.append(self._tally.read - before)

    def count(self) -> None:
        """Count the records of the files that are left out: they have no index, and come after all others."""
        self._tally.read += self._skipped_records
        self._tally.duplicate = self._skipped_records

    def take(self, delivery: str) -> None:
        """
        Note the new files as taken.

        :param delivery: id of the delivery that took them
        :raises StorageError: when that cannot be written
        """
        for (each, digest), records in zip(self._new, self._counts, strict=True):
            self._files.take(digest, each.name, records, delivery)


def new_files(
    delivery: Delivery[Destination], source: Source, store: LedgerStore, tally: Tally, say: Callable[[str], None]
) -> NewFiles | None:
    """
    Return the new files of a source, ``None`` where ``deduplicate`` is not ``files``.

    :param delivery: the delivery
    :param source: the records
    :param store: keeps the delivery's ledger
    :param tally: the running counts
    :param say: takes a line that says how many files are left out
    :raises OptionsError: when the records do not come from files
    :raises SourceError: when a file cannot be read
    :raises StorageError: when ledger, or what was taken, cannot be read
    """
    if delivery.options.deduplicate != "files":
        return None
    if not isinstance(source, FileSource):
        msg = f"deduplicate: found 'files', and the records are no files but {source.description}; take 'records'"
        raise OptionsError(msg)
    document = store.load()
    own = None if document is None else read_ledger(document, delivery.folder).delivery_id
    files = NewFiles(source, SeenFiles(seen_folder(delivery) / FILES), own, tally)
    if files.skipped:
        say(
            f"An earlier run has taken the content of {files.skipped:,} of {files.total:,} files; it is not sent again."
        )
    return files
