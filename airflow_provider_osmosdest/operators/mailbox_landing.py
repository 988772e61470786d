"""Land what is new in a mailbox for a consumer: once per task instance, however often it is attempted."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.operators.airflow_limits import XCOM_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.mailbox.log.read import Page
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox

__all__ = ["RECORDS_FILE", "Landed", "Landing"]

RECORDS_FILE = "records.ndjson"
"""The name of the file with the records, in the folder of the task instance."""

_NOTE = "landed.json"


@dataclass(frozen=True, slots=True)
class Landed:
    """
    A range of a mailbox's log that a task instance took.

    :param mailbox: the mailbox's id
    :param consumer: the consumer's name
    :param cursor: where it begins
    :param next_cursor: where it ends, and the consumer goes on
    :param records: how many
    :param bytes: of NDJSON
    :param committed: whether the consumer is recorded as moved past it
    """

    mailbox: str
    consumer: str
    cursor: str
    next_cursor: str
    records: int
    bytes: int
    committed: bool = False


class Landing:
    """
    Read for a consumer, keep what was read, and commit it last.

    What was taken stands in a note beside it. An attempt that was killed after it had committed, and before Airflow
    got its result, is followed by one that lands the same records again: no other task would read those behind
    the commit. So does a task instance that is cleared.

    :param mailbox: what to read
    :param consumer: the consumer's name
    :param folder: where, a path with the interface of ``ObjectStoragePath``
    """

    def __init__(self, mailbox: Mailbox, consumer: str, folder: Any) -> None:
        self._mailbox = mailbox
        self._consumer = consumer
        self._folder = folder
        self._notes = Store(folder)

    @property
    def path(self) -> str:
        """Where the records are landed."""
        return str(self._folder / RECORDS_FILE)

    def earlier(self) -> Landed | None:
        """Return what an earlier attempt took and committed, ``None`` where there is nothing like that."""
        note = self._notes.get(_NOTE)
        landed = None if note is None else Landed(**json.loads(note))
        if landed is None or (landed.mailbox, landed.consumer) != (self._mailbox.settings.mailbox_id, self._consumer):
            return None
        return landed if landed.committed or self._is_committed(landed) else None

    def to_file(self, limit: int | None, earlier: Landed | None) -> Landed:
        """
        Land records as a file of NDJSON, over what an earlier attempt may have left there.

        :param limit: records at most, ``None`` for all there are
        :param earlier: take these instead of what is new
        :raises StorageError: when mailbox or file cannot be read or written
        :raises CursorExpiredError: when records were purged before they were read
        """
        if earlier is not None and self._is_here(earlier):
            return earlier
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / RECORDS_FILE).open("wb") as file:
                landed = self._copy(file, limit, earlier)
                _make_durable(file)
        except OSError as error:
            msg = f"{self.path} cannot be written: {error}. Nothing is committed; mend [osmosdest] storage_path."
            raise StorageError(msg) from error
        return landed

    def to_values(self, limit: int | None, earlier: Landed | None) -> tuple[Landed, list[Any]]:
        """
        Return records as values.

        :param limit: records at most, ``None`` for all there are
        :param earlier: take these instead of what is new
        :raises ConfigurationError: when they are more than fit into XCom
        :raises CursorExpiredError: when records were purged before they were read
        """
        values: list[Any] = []
        landed = self._nothing(self._start(earlier))
        for page in self._pages(landed, limit, earlier):
            landed = self._with(landed, page)
            if landed.bytes > XCOM_BYTES:
                msg = (
                    f"output: more than {XCOM_BYTES:,} bytes are new for consumer {self._consumer!r} of mailbox "
                    f"{landed.mailbox}, which is too much for XCom, and nothing is committed. Use output='file', or "
                    f"max_records={max(1, XCOM_BYTES * landed.records // landed.bytes // 2)}"
                )
                raise ConfigurationError(msg)
            values += [json.loads(line) for line in page.lines.split(b"\n") if line]
        return landed, values

    def commit(self, landed: Landed) -> bool:
        """
        Move the consumer past these records; note it before and after, for the next attempt.

        :return: ``False`` where another commit or a seek has moved the consumer, and this one changed nothing
        """
        self._note(landed)
        cursor = self._mailbox.position(landed.next_cursor)
        if not self._mailbox.consumers.commit(self._consumer, cursor):
            return False
        self._note(Landed(**{**asdict(landed), "committed": True}))
        return True

    def _copy(self, file: IO[bytes], limit: int | None, earlier: Landed | None) -> Landed:
        landed = self._nothing(self._start(earlier))
        for page in self._pages(landed, limit, earlier):
            file.write(page.lines)
            landed = self._with(landed, page)
        return landed

    def _pages(self, landed: Landed, limit: int | None, earlier: Landed | None) -> Iterator[Page]:
        """Yield pages up to where the log ends now: records published meanwhile must not keep the task for ever."""
        mailbox = self._mailbox
        tail = mailbox.log.tail()
        left = limit if earlier is None else earlier.records
        cursor = landed.cursor
        while tail is not None and (left is None or left > 0):
            most = mailbox.settings.page_limit
            page = mailbox.read(
                cursor, limit=most if left is None else min(most, left), max_bytes=mailbox.settings.page_bytes
            )
            if page.count == 0:
                break
            yield page
            left = None if left is None else left - page.count
            if page.next.position.seq > tail.seq:
                break
            cursor = mailbox.cursor_text(page.next.position, page.next.generation)

    def _start(self, earlier: Landed | None) -> str:
        if earlier is not None:
            return earlier.cursor
        mailbox = self._mailbox
        mailbox.consumers.note_poll(self._consumer)
        at = mailbox.standing(self._consumer)
        return mailbox.cursor_text(at.position, at.generation)

    def _nothing(self, cursor: str) -> Landed:
        return Landed(self._mailbox.settings.mailbox_id, self._consumer, cursor, cursor, 0, 0)

    def _with(self, landed: Landed, page: Page) -> Landed:
        after = self._mailbox.cursor_text(page.next.position, page.next.generation)
        return Landed(
            landed.mailbox,
            landed.consumer,
            landed.cursor,
            after,
            landed.records + page.count,
            landed.bytes + len(page.lines),
        )

    def _is_committed(self, landed: Landed) -> bool:
        at = self._mailbox.consumers.committed(self._consumer)
        end = self._mailbox.position(landed.next_cursor)
        return at is not None and at.generation == end.generation and at.position >= end.position

    def _is_here(self, landed: Landed) -> bool:
        return self._notes.size(RECORDS_FILE) == landed.bytes

    def _note(self, landed: Landed) -> None:
        self._notes.put(_NOTE, json.dumps(asdict(landed)).encode())


def _make_durable(file: IO[bytes]) -> None:
    """Have a file of this machine on its disk before anything is committed; an object is, once it is closed."""
    file.flush()
    try:
        number = file.fileno()
    except (AttributeError, OSError):
        return
    os.fsync(number)
