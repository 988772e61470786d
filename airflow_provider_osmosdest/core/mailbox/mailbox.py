"""The facade of a mailbox: publish, read, and what a reader's cursor means."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import CursorExpiredError, StorageError
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position, decode_cursor, encode_cursor
from airflow_provider_osmosdest.core.mailbox.entries import Entry
from airflow_provider_osmosdest.core.mailbox.log import Log
from airflow_provider_osmosdest.core.mailbox.segments import pack, read_segment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
    from airflow_provider_osmosdest.core.mailbox.store import Store

__all__ = ["Mailbox", "Page", "Published"]

_BATCH_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True, slots=True)
class Published:
    """
    What became of one publish.

    :param entry: the batch's entry in the log
    :param already: an earlier publish of the same ``batch_id`` had put it there
    """

    entry: Entry
    already: bool


@dataclass(frozen=True, slots=True)
class Page:
    """
    Consecutive records of the log.

    :param lines: them as NDJSON; every record ends in a newline
    :param count: how many
    :param start: where the page begins
    :param next: where the next one begins
    :param up_to_date: there was nothing after it when it was read
    """

    lines: bytes
    count: int
    start: Cursor
    next: Cursor
    up_to_date: bool


class Mailbox:
    """
    One mailbox.

    :param store: where it is
    :param settings: how it behaves
    """

    def __init__(self, store: Store, settings: MailboxSettings) -> None:
        self.store = store
        self.settings = settings
        self.log = Log(store)

    def publish(self, lines: Iterable[bytes | memoryview], *, batch_id: str, producer: str = "") -> Published:
        if not _BATCH_ID.fullmatch(batch_id):
            raise ValueError(f"batch_id {batch_id!r}")
        packed = pack(lines)
        data = f"data/{batch_id}-{packed.sha256[:16]}.ndjson.gz"
        tail = self.log.tail()
        claim = f"claims/{batch_id}.json"
        found = self.store.create_or_read(claim, json.dumps({"after": tail.seq if tail else 0}).encode())
        after = int(json.loads(found)["after"]) if found else (tail.seq if tail else 0)
        self.store.put(data, packed.data)
        draft = Entry(
            0,
            batch_id,
            data,
            packed.records,
            len(packed.data),
            packed.raw_bytes,
            packed.sha256,
            0,
            None,
            "",
            producer,
            packed.points,
        )
        entry, already = self.log.append(draft, after=after)
        self.store.put(claim, json.dumps({"after": after, "seq": entry.seq}).encode())
        return Published(entry, already)

    def read(self, cursor: str | Position | None, *, limit: int, max_bytes: int) -> Page:
        if isinstance(cursor, Position):
            start = Cursor(cursor)
        else:
            start = self.position(cursor)
        lines: list[bytes] = []
        count = size = 0
        at = start.position
        while count < limit:
            entry = self.log.entry(at.seq)
            if entry is None:
                break
            for line in self._lines(entry, at.offset):
                if count == limit or (count and size + len(line) > max_bytes):
                    return Page(b"".join(lines), count, start, Cursor(at, start.generation), up_to_date=False)
                lines.append(line)
                count += 1
                size += len(line)
                at = Position(at.seq, at.offset + 1)
            at = Position(at.seq + 1)
        return Page(
            b"".join(lines),
            count,
            start,
            Cursor(at, start.generation),
            up_to_date=not self.has_new(at),
        )

    def _lines(self, entry: Entry, offset: int) -> list[bytes]:
        data = self.store.get(entry.data)
        if data is None:
            raise StorageError(entry.data)
        raw, at = [], 0
        for number, point in enumerate(entry.points):
            raw.append(read_segment(data[at : at + point[2]], point, first=number == 0))
            at += point[2]
        return b"".join(raw).splitlines(keepends=True)[offset:]

    def has_new(self, position: Position) -> bool:
        entry = self.log.entry(position.seq)
        return entry is not None and (
            position.offset < entry.records or self.log.entry(position.seq + 1) is not None
        )

    def cursor_text(self, position: Position, generation: int | None = None) -> str:
        return encode_cursor(self.settings.mailbox_id, Cursor(position, generation))

    def position(self, cursor: str | None) -> Cursor:
        earliest = Position(self.log.earliest())
        if cursor is None:
            return Cursor(earliest)
        found = decode_cursor(self.settings.mailbox_id, cursor)
        if found.position < earliest:
            raise CursorExpiredError("expired", self.cursor_text(earliest))
        return found

    def batches(self, cursor: str | None, *, limit: int) -> tuple[list[Entry], str]:
        start = self.position(cursor)
        found: list[Entry] = []
        seq = start.position.seq
        while len(found) < limit and (entry := self.log.entry(seq)) is not None:
            found.append(entry)
            seq += 1
        return found, self.cursor_text(Position(seq), start.generation)

    def lag(self, position: Position) -> int:
        tail = self.log.tail()
        if tail is None or position.seq > tail.seq:
            return 0
        entry = self.log.entry(position.seq)
        assert entry is not None
        return tail.first + tail.records - entry.first - position.offset
