"""The log's entries: one small JSON document for each batch, immutable once it is there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from datetime import UTC
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import StorageError

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Entry", "Point", "decode", "decode_at", "encode", "entry_name", "timestamp"]

# What an entry names is served to partners: nothing above or beside the data.
_DATA = re.compile(r"data/[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)

Point = tuple[int, int, int]
"""One restart segment: its records, its bytes of NDJSON and its bytes of gzip."""


@dataclass(frozen=True, slots=True)
class Entry:
    """
    The log's entry of one batch.

    :param seq: its number; the first is 1
    :param batch_id: identifies the batch: the same in every retry
    :param data: the name of the object that holds its records, below the mailbox's root
    :param records: how many records it has
    :param bytes: the size of that object
    :param raw_bytes: the size of its NDJSON
    :param sha256: of that object, in hex
    :param first: records of the log before this batch, purged ones included
    :param schema: the digest of the schema its records were checked against
    :param published_at: ISO 8601 in UTC, never before the previous entry's
    :param producer: who published it, for people
    :param points: its restart segments, in order
    """

    seq: int
    batch_id: str
    data: str
    records: int
    bytes: int
    raw_bytes: int
    sha256: str
    first: int
    schema: str | None
    published_at: str
    producer: str
    points: tuple[Point, ...]


def entry_name(seq: int) -> str:
    """Return the name of an entry's object, below the mailbox's root."""
    return f"log/{seq:020d}.json"


def timestamp(time: datetime) -> str:
    """Format a time as in ``published_at``; such texts sort like their times."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def encode(entry: Entry) -> bytes:
    """Return an entry's document."""
    document = {each.name: getattr(entry, each.name) for each in fields(entry)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def decode(data: bytes, name: str) -> Entry:
    """
    Decode an entry's document.

    :param data: what :func:`encode` wrote
    :param name: the object it was read from, for the message
    :raises StorageError: it is no entry
    """
    try:
        document = json.loads(data)
        values = {each.name: document[each.name] for each in fields(Entry)}
        _check_data(values["data"])
        values["points"] = tuple((int(r), int(raw), int(gz)) for r, raw, gz in values["points"])
        return Entry(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"{name} is no entry of a mailbox's log ({type(error).__name__}: {error}): something else has written "
            "there. Restore the object from a copy, or give the mailbox a folder of its own"
        ) from error


def decode_at(data: bytes, seq: int) -> Entry:
    """
    Decode the entry at a place in the log.

    :param data: its document
    :param seq: the place; with another's entry there, readers would read batches again or skip some
    :raises StorageError: it is no entry, or another one's
    """
    name = entry_name(seq)
    entry = decode(data, name)
    if entry.seq != seq:
        raise StorageError(
            f"{name} is the entry of batch {entry.seq}: something has moved objects of this mailbox. Restore it from "
            "a copy"
        )
    return entry


def _check_data(name: str) -> None:
    if not _DATA.fullmatch(name):
        raise ValueError("data: it names no object of the mailbox's data")
