"""Stream the bytes of a stored batch: in pieces of 1 MB, one at a time, whatever its size."""

from __future__ import annotations

import zlib
from contextlib import aclosing
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.web.state import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from starlette.requests import Request

    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["packed", "unpacked"]

_PIECE = 2**20
_GZIP_WRAPPER = 31  # zlib's window of 15 bits, plus 16 for a gzip header and trailer


async def packed(request: Request, store: Store, name: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
    """
    Yield a part of an object as it is stored.

    :param request: whose answer it is
    :param store: where it is
    :param name: the object
    :param start: its first byte
    :param stop: the one after the last
    :raises StorageError: it is shorter than it was
    """
    path = store.local_path(name)
    pieces = store.stream(name, start, stop, _PIECE) if path is None else _file(path, start, stop)
    left = stop - start
    while left:
        piece = await in_thread(request, next, pieces, b"")
        if not piece:
            raise StorageError(f"{name} ends {left} bytes early: it was changed or deleted meanwhile")
        left -= len(piece)
        yield piece


async def unpacked(request: Request, store: Store, name: str, size: int) -> AsyncGenerator[bytes, None]:
    """
    Yield the records of an object as NDJSON.

    :param request: whose answer it is
    :param store: where it is
    :param name: the object, one member of gzip
    :param size: its bytes
    """
    inflater = zlib.decompressobj(_GZIP_WRAPPER)
    async with aclosing(packed(request, store, name, 0, size)) as pieces:
        async for piece in pieces:
            rest = piece
            while rest:
                yield await in_thread(request, inflater.decompress, rest, _PIECE)
                rest = inflater.unconsumed_tail
    yield inflater.flush()


def _file(path: Path, start: int, stop: int) -> Generator[bytes, None, None]:
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(_PIECE, stop - start))):
            start += len(piece)
            yield piece
