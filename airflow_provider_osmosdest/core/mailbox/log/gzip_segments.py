"""
A batch's bytes: NDJSON as one gzip member that can be read from the middle.

Each segment is compressed by itself and ends on a byte border with an empty stored block (``Z_FULL_FLUSH``), so that
inflating may begin at any of them. The bytes are the same for the same NDJSON, however it was cut into pieces.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_osmosdest.core.mailbox.log.entry import Point

__all__ = ["SEGMENT_BYTES", "SEGMENT_RECORDS", "Packed", "pack", "read_segment"]

SEGMENT_RECORDS = 1000
"""A segment ends after this many records at the latest."""

SEGMENT_BYTES = 256 * 1024
"""A segment ends with the record in which it reaches this many bytes of NDJSON."""

# RFC 1952, 2.3: magic, deflate, no flags, no time, no extra flags, unknown system: equal input gives equal bytes.
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# RFC 1951, 3.2.3 and 3.2.6: a last block with fixed codes that holds nothing.
_END = b"\x03\x00"
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Packed:
    """
    One batch, ready to be stored.

    :param data: the gzip file
    :param points: its segments: the records, the bytes of NDJSON and the bytes of the file of each; the first begins
        with the gzip header and the last ends with its trailer, so that they add up to the file
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
    Compress NDJSON, in the memory of the result, one piece and one segment.

    :param lines: the NDJSON, cut anywhere; each record ends in a newline
    :raises ValueError: there is no record, a line is empty, or the last one has no newline
    """
    packer = _Packer()
    for piece in lines:
        packer.add(bytes(piece))
    return packer.finish()


def read_segment(data: bytes | memoryview, point: Point, *, first: bool) -> bytes:
    """
    Return the NDJSON of one segment.

    :param data: the segment's bytes of the file
    :param point: the segment
    :param first: it is the file's first one, which begins with the header
    :raises StorageError: these are not the segment's bytes
    """
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        raw = inflater.decompress(data[len(_HEADER) :] if first else data, point[1] + 1)
    except zlib.error as error:
        raise StorageError(
            f"a batch is damaged: a segment of {len(data):,} bytes cannot be inflated ({error}). Restore it from a copy"
        ) from error
    if len(raw) != point[1]:
        raise StorageError(
            f"a batch is damaged: a segment inflates to {len(raw):,} bytes, and its entry says {point[1]:,}. "
            "Restore it from a copy"
        )
    return raw


class _Packer:
    """The state of one packing."""

    def __init__(self) -> None:
        self._file = bytearray(_HEADER)
        self._ended = 0
        self._points: list[Point] = []
        self._crc = self._records = self._raw_bytes = 0
        self._segment = bytearray()
        self._lines = 0

    def add(self, piece: bytes) -> None:
        """Take a piece, and end each segment that is full with it."""
        start = 0
        while start < len(piece):
            stop, lines, full = self._cut(piece, start)
            self._segment += piece if stop - start == len(piece) else piece[start:stop]
            self._lines += lines
            start = stop
            if full:
                self._end_segment()

    def _cut(self, piece: bytes, start: int) -> tuple[int, int, bool]:
        """Return where the segment or the piece ends, the lines up to there, and whether the segment does."""
        # The first newline at which the segment has its bytes, if no limit of records comes before.
        at = piece.find(b"\n", max(start, start + SEGMENT_BYTES - len(self._segment) - 1))
        stop = at + 1 if at >= 0 else len(piece)
        room = SEGMENT_RECORDS - self._lines
        lines = piece.count(b"\n", start, stop)
        if lines < room:
            return stop, lines, at >= 0
        at = start
        for _ in range(room):
            at = piece.find(b"\n", at) + 1
        return at, room, True

    def _end_segment(self) -> None:
        segment = bytes(self._segment)
        if segment[:1] == b"\n" or b"\n\n" in segment:
            raise ValueError("an empty line is no record; records are JSON objects, each on a line of its own")
        self._crc = zlib.crc32(segment, self._crc)
        deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._file += deflater.compress(segment)
        self._file += deflater.flush(zlib.Z_FULL_FLUSH)
        self._points.append((self._lines, len(segment), len(self._file) - self._ended))
        self._ended = len(self._file)
        self._records += self._lines
        self._raw_bytes += len(segment)
        self._segment.clear()
        self._lines = 0

    def finish(self) -> Packed:
        """End the file."""
        if self._segment:
            if self._segment[-1:] != b"\n":
                raise ValueError("the last record does not end in a newline")
            self._end_segment()
        if not self._points:
            raise ValueError("there is no record to publish")
        trailer = _END + struct.pack("<LL", self._crc, self._raw_bytes & 0xFFFFFFFF)
        records, raw, packed = self._points[-1]
        self._points[-1] = (records, raw, packed + len(trailer))
        self._file += trailer
        data = bytes(self._file)
        return Packed(data, tuple(self._points), self._records, self._raw_bytes, hashlib.sha256(data).hexdigest())
