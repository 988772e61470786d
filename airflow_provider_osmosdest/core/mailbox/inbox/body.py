"""Turn the bytes of a POST's body into the text of its records: within limits, decompressed and in UTF-8."""

from __future__ import annotations

import importlib.util
from email.message import Message
from functools import cache
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.mailbox.inbox.rejection import (
    EncodingRejection,
    MediaTypeRejection,
    SizeRejection,
    UnreadableRejection,
)
from airflow_provider_osmosdest.core.records.streams import gunzip

if TYPE_CHECKING:
    from zstandard import ZstdDecompressor

__all__ = ["MEDIA_TYPES", "body_encoding", "body_media_type", "encodings", "text_of", "too_large", "unpack"]

MEDIA_TYPES = ("application/json", "application/x-ndjson", "text/csv")
"""The media types that a body may have."""

_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_CHUNK_BYTES = 64 * 1024
_MOST_MEMBERS = 10_000

# What follows a frame is copied for each.
_MOST_FRAMES = 100

_ZSTD_WINDOW = 8 * 2**20
"""The largest window a body may ask for, in bytes: RFC 9659, section 3."""


def body_media_type(content_type: str | None) -> str:
    """
    Return which of :data:`MEDIA_TYPES` a body is.

    :param content_type: the header
    :raises MediaTypeRejection: any other, or in another charset than UTF-8
    """
    header = Message()
    header["Content-Type"] = content_type or ""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    charset = header.get_param("charset", "utf-8")
    if media_type in MEDIA_TYPES and isinstance(charset, str) and charset.strip().lower() in _CHARSETS:
        return media_type
    found = (content_type or "none")[:100]
    expected = ", ".join(MEDIA_TYPES)
    raise MediaTypeRejection(f"Content-Type: found {found}, expected one of {expected}, in UTF-8")


@cache
def encodings() -> tuple[str, ...]:
    """Return the content codings that a body may have."""
    return ("gzip", "zstd") if importlib.util.find_spec("zstandard") else ("gzip",)


def body_encoding(content_encoding: str | None) -> str | None:
    """
    Return how a body is compressed, ``None`` where it is not.

    :param content_encoding: the header
    :raises EncodingRejection: any other content coding
    """
    name = (content_encoding or "").strip().lower()
    if name in {"", "identity"}:
        return None
    # RFC 9110, section 8.4.1.3: x-gzip is to be taken as gzip.
    name = "gzip" if name == "x-gzip" else name
    if name in encodings():
        return name
    expected = ", ".join(encodings())
    raise EncodingRejection(f"Content-Encoding: found {name[:100]}, expected one of {expected}, or none")


def too_large(limit: int, what: str = "the body") -> SizeRejection:
    """
    Return the rejection of a body that is too large.

    :param limit: in bytes
    :param what: what is larger than that
    """
    return SizeRejection(
        f"{what} has more than {limit:,} bytes, the most this mailbox takes at once; send the records in "
        "several bodies",
        limit,
    )


def unpack(raw: bytes, encoding: str | None, limit: int) -> bytes:
    """
    Decompress a body, in at most twice the limit's memory, whatever it holds.

    :param raw: as it came
    :param encoding: of :func:`body_encoding`
    :param limit: the most bytes, before and after
    :raises SizeRejection: more than the limit
    :raises UnreadableRejection: the data is damaged or breaks off
    """
    if len(raw) > limit:
        raise too_large(limit)
    if encoding is None:
        return raw
    data = _gunzip(raw, limit) if encoding == "gzip" else _unzstd(raw, limit)
    if len(data) > limit:
        raise too_large(limit, "the decompressed body")
    return data


def text_of(data: bytes) -> bytes:
    """
    Return a body's text, without a byte order mark.

    :raises UnreadableRejection: it is not UTF-8
    """
    text = data.removeprefix(_BYTE_ORDER_MARK)
    try:
        text.decode()
    except UnicodeDecodeError as error:
        place = len(data) - len(text) + error.start
        raise UnreadableRejection(f"the body is not UTF-8: byte {place:,} ({error.reason})") from None
    return text


def _gunzip(raw: bytes, limit: int) -> bytes:
    """Unpack gzip data, up to one piece past the limit."""
    pieces: list[bytes] = []
    size = 0
    chunks = (raw[start : start + _CHUNK_BYTES] for start in range(0, len(raw), _CHUNK_BYTES))
    for piece in gunzip(chunks, UnreadableRejection, most_members=_MOST_MEMBERS):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            break
    return b"".join(pieces)


def _unzstd(raw: bytes, limit: int) -> bytes:
    """Unpack zstd frames (RFC 8878), up to one byte past the limit."""
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    try:
        with unpacker.stream_reader(raw, read_across_frames=True) as reader:
            data = reader.read(limit + 1)
        if len(data) <= limit:
            # The reader accepts a truncated frame; what detects one has no size limit, and needs none any more.
            _check_frames(unpacker, raw)
    except zstandard.ZstdError as error:
        raise UnreadableRejection(f"the zstd data is damaged ({error})") from None
    return data


def _check_frames(unpacker: ZstdDecompressor, raw: bytes) -> None:
    frames, rest = 0, raw
    while rest or not frames:
        frame = unpacker.decompressobj()
        frame.decompress(rest)
        if not frame.eof:
            raise UnreadableRejection("the zstd data breaks off")
        frames, rest = frames + 1, frame.unused_data
        if frames > _MOST_FRAMES:
            raise UnreadableRejection(f"the zstd data has more than {_MOST_FRAMES:,} frames; compress it as one")
