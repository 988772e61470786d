"""Gather, unpack and decode a file's bytes, chunk by chunk."""

from __future__ import annotations

import codecs
import zlib
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["CHUNK_BYTES", "MAX_RECORD_BYTES", "gathered", "gunzip", "utf8", "whole_lines"]

CHUNK_BYTES = 256 * 1024
"""How much of a file is read at once, in bytes: a call on an object store's file is slow, whatever its size."""

MAX_RECORD_BYTES = 64 * 1024 * 1024
"""The longest single record a reader accepts, in bytes, so that a file without line ends does not fill memory."""

_GZIP_WBITS = 31


def gathered(chunks: Iterator[bytes], head_bytes: int) -> Iterator[bytes]:
    """
    Pass ``chunks`` on, the first of them holding at least ``head_bytes`` bytes if there are as many.

    :raises SourceError: whatever ``chunks`` raises, after what came before it was passed on
    """
    head = b""
    try:
        for chunk in chunks:
            head += chunk
            if len(head) >= head_bytes:
                break
    except SourceError:
        if head:
            yield head
        raise
    if head:
        yield head
    yield from chunks


def gunzip(
    chunks: Iterable[bytes], broken: Callable[[str], Exception], *, most_members: int | None = None
) -> Iterator[bytes]:
    """
    Unpack gzip data of several members (RFC 1952, section 2.2); zero padding at the end is no data.

    :param chunks: the data; what follows a member in its chunk is copied for each member, so they should be small
    :param broken: makes the error, of what is wrong with the data: it is damaged, breaks off, or has too many members.
        It is raised after all that could be unpacked
    :param most_members: how many there may be, ``None`` for any number
    :return: what was packed, in pieces of at most :data:`CHUNK_BYTES`
    """
    unpacker = zlib.decompressobj(_GZIP_WBITS)
    unpacked, members, inside = 0, 1, True
    for chunk in chunks:
        data = chunk
        while data:
            if not inside:
                data = data.lstrip(b"\0")
                if not data:
                    break
                if members == most_members:
                    raise broken(f"the gzip data has more than {most_members:,} members; compress it as one")
                members += 1
                unpacker, inside = zlib.decompressobj(_GZIP_WBITS), True
            try:
                piece = unpacker.decompress(data, CHUNK_BYTES)
            except zlib.error as e:
                raise broken(f"the gzip data is damaged after {unpacked:,} unpacked bytes ({e})") from e
            unpacked += len(piece)
            if piece:
                yield piece
            inside = not unpacker.eof
            data = unpacker.unconsumed_tail if inside else unpacker.unused_data
    if inside:
        raise broken(f"the gzip data breaks off after {unpacked:,} unpacked bytes")


def utf8(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """
    Drop a byte order mark, and bring text whose mark says UTF-16 to UTF-8; nothing else is checked or changed.

    :param chunks: the text; the first chunk holds at least 4 bytes if there are as many
    :param name: the file, for messages
    :raises SourceError: text marked as UTF-16 is not UTF-16, or it is UTF-32
    """
    head = next(chunks, b"")
    if head.startswith(codecs.BOM_UTF32_LE):
        raise SourceError(f"{name}: is UTF-32 text. Save it as UTF-8.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield from _utf16_to_utf8(head, chunks, name)
        return
    head = head.removeprefix(codecs.BOM_UTF8)
    if head:
        yield head
    yield from chunks


def _utf16_to_utf8(head: bytes, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-16")()
    done = 0
    data = head
    try:
        while data:
            text = decoder.decode(data)
            done += len(data)
            if text:
                yield text.encode()
            data = next(chunks, b"")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as e:
        raise SourceError(
            f"{name}: its UTF-16 text is damaged after byte {done:,} ({e.reason}). Save it as UTF-8."
        ) from e


def whole_lines(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    r"""
    Cut a text into runs of whole lines, each ending in ``\n`` but for a last line that has no line end.

    :param name: the file, for messages
    :raises SourceError: a line is longer than :data:`MAX_RECORD_BYTES`; or whatever ``chunks`` raises, the
        line it happened in being lost
    """
    done = 0
    pending: list[bytes | memoryview] = []
    pending_bytes = 0
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            pending.append(chunk)
            pending_bytes += len(chunk)
            if pending_bytes > MAX_RECORD_BYTES:
                most = MAX_RECORD_BYTES // 1024 // 1024
                raise SourceError(
                    f"{name}: byte {done:,}: the line that begins here is longer than {most} MiB, the most a line may "
                    "have. Is this a file of lines at all?"
                )
            continue
        # A view is copied once, where a slice of bytes would be another copy.
        run = b"".join([*pending, memoryview(chunk)[:cut]])
        done += len(run)
        yield run
        pending = [chunk[cut:]]
        pending_bytes = len(chunk) - cut
    last = b"".join(pending)
    if last:
        yield last
