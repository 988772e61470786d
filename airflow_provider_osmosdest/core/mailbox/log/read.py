"""Read a page: consecutive records from a position on, across as many batches as needed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NoReturn

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position
from airflow_provider_osmosdest.core.mailbox.log.gzip_segments import read_segment
from airflow_provider_osmosdest.core.mailbox.log.page import Cutter, spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_osmosdest.core.mailbox.log.log import Log
    from airflow_provider_osmosdest.core.mailbox.log.page import Span
    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["Gone", "Page", "read_page"]

_WIDEST = 32


class Gone(Exception):  # noqa: N818 - the mailbox turns it into the error with a cursor in it
    """A position points to what is not there: it was purged, or is of another log."""


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


def read_page(store: Store, log: Log, start: Cursor, *, limit: int, max_bytes: int) -> Page:
    """
    Return the records from a position on.

    :param store: the mailbox's store
    :param log: its log
    :param start: where the page begins
    :param limit: records at most
    :param max_bytes: bytes of NDJSON at most, unless the first record alone has more
    :raises ValueError: ``limit`` or ``max_bytes`` is not above 0
    :raises Gone: the position is not in the log
    :raises StorageError: the store cannot be read, or a batch in it is damaged
    """
    if limit < 1 or max_bytes < 1:
        raise ValueError(f"a page has at least 1 record and 1 byte; limit is {limit}, max_bytes is {max_bytes}")
    cutter = Cutter(limit=limit, max_bytes=max_bytes)
    at = _collect(store, log, start.position, cutter)
    if cutter.count:
        return Page(cutter.lines, cutter.count, start, Cursor(at, start.generation), _is_end(log, at))
    if not log.is_next(at.seq):
        raise Gone
    return Page(b"", 0, start, Cursor(at, start.generation), up_to_date=True)


def _collect(store: Store, log: Log, at: Position, cutter: Cutter) -> Position:
    """Fill a page from a position on, some batches at once, and return where it ends."""
    entries = log.entries(at.seq)
    ahead = 1
    while not cutter.is_full() and (window := list(islice(entries, ahead))):
        if at.offset > window[0].records:
            raise Gone
        needed = spans(window, at.offset, limit=cutter.records_left, max_bytes=cutter.bytes_left)
        for span, data in zip(needed, _fetch(store, needed), strict=True):
            if cutter.is_full():
                break
            if data is not None:
                at = _cut(cutter, span, data)
            elif cutter.count:
                # What was read is a page; reading the next one raises the error.
                return at
            else:
                _check_purged(log, span)
        if not cutter.is_full():
            at = Position(window[-1].seq + 1)
        ahead = min(ahead * 2, _WIDEST)
    return at


def _cut(cutter: Cutter, span: Span, data: bytes) -> Position:
    """Add to the page what fits of a batch; return the position after it."""
    offset = sum(point[0] for point in span.entry.points[: span.first]) + span.skip
    skip = span.skip
    for packed, point, first in span.segments(data):
        if cutter.is_full():
            break
        try:
            segment = read_segment(packed, point, first=first)
        except StorageError as error:
            raise StorageError(f"{span.entry.data} of batch {span.entry.seq:,}: {error}") from error
        offset += cutter.take(segment, point[0], skip)
        skip = 0
    return Position(span.entry.seq, offset) if offset < span.entry.records else Position(span.entry.seq + 1)


def _is_end(log: Log, at: Position) -> bool:
    return not at.offset and log.entry(at.seq) is None


def _check_purged(log: Log, span: Span) -> NoReturn:
    if log.earliest(fresh=True) > span.entry.seq:
        raise Gone
    raise StorageError(
        f"{span.entry.data} of batch {span.entry.seq:,} is missing, and was not purged: something else has deleted "
        "objects of this mailbox. Restore it from a copy; readers that can do without it may seek to the next batch"
    )


def _fetch(store: Store, needed: Sequence[Span]) -> Iterator[bytes | None]:
    def fetch(span: Span) -> bytes | None:
        return store.get_range(span.entry.data, span.start_byte, span.stop_byte)

    if len(needed) < 2 or store.parallel < 2:  # noqa: PLR2004 - one needs no pool
        yield from map(fetch, needed)
        return
    with ThreadPoolExecutor(min(store.parallel, len(needed)), "osmosdest-page") as pool:
        yield from pool.map(fetch, needed)
