"""Read a range of one file: by bytes where its text can be cut, else by leaving records out."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.input import Input, reason
from airflow_provider_osmosdest.core.records.streams import CHUNK_BYTES
from airflow_provider_osmosdest.core.schema.validation.blocks import JsonElements, JsonLines, Rows
from airflow_provider_osmosdest.core.schema.validation.json_cut import BYTE_ORDER_MARK, split_elements, split_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.parts.part import Position
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["RangeInput", "count_of", "only"]

_STORE_BLOCK_BYTES = 8 * 1024 * 1024
"""How much an object store is asked for at once, in bytes: its library's own measure may be 50 MB, of a part of 10."""


class RangeInput(Input):
    """
    A range of a file as its reader sees it: its header, if it has one, and the bytes or rows of the range.

    :param path: the file
    :param size: its size as stored, in bytes
    :param start: where the range begins, ``None`` for the file's begin
    :param stop: where it ends, ``None`` for the file's end
    """

    def __init__(self, path: Any, size: int | None, start: Position | None, stop: Position | None) -> None:
        super().__init__(path, size)
        self.rows = (
            start.records if start and start.at is None else 0,
            stop.records if stop and stop.at is None else None,
        )
        self._header = start.header if start else 0
        self._from = (start.at if start else None) or 0
        self._to = stop.at if stop else None
        if self._from:
            assert start is not None
            self.begins = False
            self.lines_before = start.lines
            self.name = f"{self.name} (from byte {self._from:,})"

    def text(self) -> Iterator[bytes]:
        """
        Yield the text of the range in chunks, behind the header.

        :raises SourceError: the file cannot be read, or is no text where the range begins with it
        """
        if self.begins:
            yield from super().text()
            return
        for number, chunk in enumerate(self._stored()):
            text = chunk.removeprefix(BYTE_ORDER_MARK) if self._header and not number else chunk
            if text:
                yield text

    def stored(self, chunk_bytes: int) -> Iterator[bytes]:
        """
        Yield the bytes of the range as they are stored, behind the header.

        :param chunk_bytes: how many at once
        :raises SourceError: the file cannot be read, or ends before the range does
        """
        with closing(self._open()) as file:
            if self._header:
                yield self._read(file, self._header)
            done = self._from
            if done:
                self._seek(file, done)
            while chunk := self._read(file, self._next(chunk_bytes, done), done):
                done += len(chunk)
                if self.size:
                    self.share = min(1.0, (done - self._from) / max(1, (self._to or self.size) - self._from))
                yield chunk
        if self._to is not None and done < self._to:
            raise SourceError(f"{self.name}: ends at byte {done:,}, and held {self._to:,} when the parts were planned.")

    def _stored(self) -> Iterator[bytes]:
        return self.stored(CHUNK_BYTES)

    def _next(self, chunk_bytes: int, done: int) -> int:
        return chunk_bytes if self._to is None else min(chunk_bytes, self._to - done)

    def _open(self) -> Any:
        if not hasattr(self.path, "fs"):
            return super()._open()
        try:
            return self.path.open("rb", block_size=_STORE_BLOCK_BYTES)
        except Exception as e:  # a store's library may raise anything
            raise SourceError(f"{self.name}: cannot be opened: {reason(e)}") from e

    def _seek(self, file: Any, place: int) -> None:
        try:
            file.seek(place)
        except Exception as e:  # as above
            raise SourceError(f"{self.name}: cannot be read from there on: {reason(e)}") from e


def count_of(block: Block) -> int:
    """Return how many records a block holds."""
    return len(_texts(block))


def only(blocks: Iterator[Block], start: int, stop: int | None) -> Iterator[Block]:
    """
    Yield the records from one position up to, but without, another; nothing behind that is read.

    :param blocks: of all records
    :param start: position of the first record
    :param stop: position behind the last one, ``None`` for all that follow
    """
    at = 0
    while stop is None or at < stop:
        block = next(blocks, None)
        if block is None:
            return
        texts = _texts(block)
        first, last = max(0, start - at), len(texts) if stop is None else min(len(texts), stop - at)
        at += len(texts)
        if first == 0 and last == len(texts):
            yield block
        elif first < last:
            yield _slice_of(block, texts, first, last)


def _texts(block: Block) -> Any:
    if isinstance(block, Rows):
        return block.rows
    return split_elements(block.data) if isinstance(block, JsonElements) else split_lines(block.data)


def _slice_of(block: Block, texts: Any, first: int, last: int) -> Block:
    texts = texts[first:last]
    if isinstance(block, Rows):
        return replace(block, rows=texts, numbers=None if block.numbers is None else block.numbers[first:last])
    return JsonElements(b",".join(texts)) if isinstance(block, JsonElements) else JsonLines(b"\n".join(texts))
