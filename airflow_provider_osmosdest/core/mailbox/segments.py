"""A batch's bytes: NDJSON as one gzip member that can be read from the middle."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_osmosdest.core.mailbox.entries import Point

__all__ = ["SEGMENT_BYTES", "SEGMENT_RECORDS", "Packed", "pack", "read_segment"]

SEGMENT_RECORDS = 1000
"""A segment ends after this many records at the latest."""
SEGMENT_BYTES = 256 * 1024
"""A segment ends with the record in which it reaches this many bytes of NDJSON."""

# RFC 1952, 2.3: magic, deflate, no flags, no time, no extra flags, unknown system: equal input gives equal bytes.
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_NEWLINE = 10
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Packed:
    """
    One batch, ready to be stored.

    :param data: the gzip file
    :param points: its segments: the records, the bytes of NDJSON and the bytes of the file of each; the first begins
        with the gzip header, and the last ends with its trailer
    :param records: in all
    :param raw_bytes: bytes of NDJSON
    :param sha256: of the file, in hex
    """

    data: bytes
    points: tuple[Point, ...]
    records: int
    raw_bytes: int
    sha256: str


def pack(lines: Iterable[bytes | memoryview]) -> Packed:
    """
    Compress NDJSON, in the memory of the result and of one piece.

    :param lines: the NDJSON, cut anywhere; each record ends in a newline
    :raises ValueError: there is no record, a line is empty, or the last one has no newline
    """
    packer = _Packer()
    for piece in lines:
        packer.add(memoryview(piece).cast("B"))
    return packer.finish()


def read_segment(data: bytes, point: Point, *, first: bool) -> bytes:
    """
    Return the NDJSON of one segment.

    :param data: the segment's bytes of the file
    :param point: the segment
    :param first: it is the file's first one, which begins with the header
    :raises StorageError: these are not the segment's bytes
    """
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        raw = inflater.decompress(data[len(_HEADER) :] if first else data)
    except zlib.error as error:
        raise StorageError(f"a batch is damaged: a segment of {len(data):,} bytes cannot be inflated ({error})") from error
    if len(raw) != point[1]:
        raise StorageError(f"a batch is damaged: a segment has {len(raw):,} bytes, and its entry says {point[1]:,}")
    return raw


class _Packer:
    """The state of one packing."""

    def __init__(self) -> None:
        self._deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._chunks = [_HEADER]
        self._points: list[Point] = []
        self._crc = 0
        self._total = self._records = 0
        # Of the segment at hand: records, bytes of NDJSON, bytes of the file; and whether a record is unfinished.
        self._lines = self._raw = 0
        self._packed = len(_HEADER)
        self._last = _NEWLINE

    def add(self, piece: memoryview) -> None:
        data = bytes(piece)
        start = 0
        while start < len(data):
            stop, lines = self._cut(data, start)
            self._write(data[start:stop], lines)
            start = stop
            if self._last == _NEWLINE and (self._lines >= SEGMENT_RECORDS or self._raw >= SEGMENT_BYTES):
                self._end(zlib.Z_FULL_FLUSH)

    def _cut(self, data: bytes, start: int) -> tuple[int, int]:
        """Return where the segment at hand ends in the data, or the data ends, and how many lines end before it."""
        lines, at = 0, start
        while True:
            found = data.find(b"\n", at)
            if found < 0:
                return len(data), lines
            at = found + 1
            lines += 1
            if self._lines + lines >= SEGMENT_RECORDS or self._raw + at - start >= SEGMENT_BYTES:
                return at, lines

    def _write(self, data: bytes, lines: int) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._last = data[-1]
        self._lines += lines
        self._raw += len(data)
        self._keep(self._deflater.compress(data))

    def _keep(self, packed: bytes) -> None:
        if packed:
            self._chunks.append(packed)
            self._packed += len(packed)

    def _end(self, flush: int) -> None:
        self._keep(self._deflater.flush(flush))
        self._points.append((self._lines, self._raw, self._packed))
        self._records += self._lines
        self._total += self._raw
        self._lines = self._raw = self._packed = 0

    def finish(self) -> Packed:
        if self._last != _NEWLINE:
            raise ValueError("the last record does not end in a newline")
        if self._lines:
            self._end(zlib.Z_FULL_FLUSH)
        if not self._records:
            raise ValueError("there is no record to publish")
        # The trailer belongs to the last segment, so that the segments' sizes add up to the file's.
        self._keep(self._deflater.flush(zlib.Z_FINISH))
        self._keep(struct.pack("<LL", self._crc, self._total & 0xFFFFFFFF))
        records, raw, packed = self._points[-1]
        self._points[-1] = (records, raw, packed + self._packed)
        data = b"".join(self._chunks)
        return Packed(data, tuple(self._points), self._records, self._total, hashlib.sha256(data).hexdigest())
