"""Compress request bodies piece by piece; what comes out is small enough to keep until it is sent."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import MissingExtraError
from airflow_provider_osmosdest.core.http.transport import Body

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compressor"]

# Measured on 230 MB of records (docs/architecture/delivery.md, Fast): zlib-6 takes 4.3 s and zstd-1 0.46 s; zlib-1 is
# the fair middle.
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 1
_GZIP_WRAPPER = 31  # zlib's window of 15 bits, plus 16 for a gzip header and trailer


def compressor(compression: str) -> Callable[[Body], Body] | None:
    """
    Return a function that compresses a body, ``None`` for ``none``.

    :param compression: ``none``, ``gzip`` (RFC 1952) or ``zstd`` (RFC 8878)
    :raises MissingExtraError: when zstandard is needed and not installed
    """
    if compression == "none":
        return None
    if compression == "gzip":
        return _gzip
    try:
        import zstandard
    except ImportError:
        what = "compression 'zstd'"
        raise MissingExtraError(what, "zstd") from None

    def _zstd(body: Body) -> Body:
        worker = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj(size=body.length)
        return _run(body, worker.compress, worker.flush)

    return _zstd


def _gzip(body: Body) -> Body:
    worker = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WRAPPER)
    return _run(body, worker.compress, worker.flush)


def _run(body: Body, compress: Callable[[bytes | memoryview], bytes], flush: Callable[[], bytes]) -> Body:
    pieces: list[bytes | memoryview] = [piece for piece in map(compress, body.pieces) if piece]
    pieces.append(flush())
    return Body(pieces, sum(map(len, pieces)))
