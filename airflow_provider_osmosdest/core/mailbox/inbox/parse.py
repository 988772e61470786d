"""Cut the text of a posted body into runs of records, each of which is validated at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import UnreadableRejection
from airflow_provider_osmosdest.core.records.input import Input
from airflow_provider_osmosdest.core.records.readers.csv_rows import read_csv
from airflow_provider_osmosdest.core.records.readers.json_array import read_json
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_BYTES, Block, JsonElements, JsonLines, Rows
from airflow_provider_osmosdest.core.schema.validation.json_cut import WHITE_SPACE, split_elements, split_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

__all__ = ["Run", "TooDeepError", "runs_of"]

_element = msgspec.json.Decoder(msgspec.Raw).decode


class TooDeepError(Exception):
    """
    The body is nested deeper than a parser can follow.

    :param array: it, as a JSON array of records
    """

    def __init__(self, array: bytes) -> None:
        super().__init__()
        self.array = array


@dataclass(frozen=True, slots=True)
class Run:
    """
    Some consecutive records.

    :param block: the records, for the validator
    :param items: the JSON text or table row of each
    """

    block: Block
    items: Sequence[Any]

    def array(self) -> bytes:
        """Return the texts as one JSON array, if they are JSON each."""
        return b"[%b]" % b",".join(self.items)

    def without(self, positions: Collection[int]) -> Block:
        """
        Return the block without some records.

        :param positions: of those to leave out
        """
        kept = [item for position, item in enumerate(self.items) if position not in positions]
        match self.block:
            case JsonElements():
                return JsonElements(b",".join(kept))
            case JsonLines():
                return JsonLines(b"\n".join(kept))
            case Rows():
                return Rows(kept, textual=True)


def runs_of(media_type: str, text: bytes) -> Iterator[Run]:
    """
    Yield the records of a body.

    :param media_type: one of :data:`.body.MEDIA_TYPES`
    :param text: of :func:`.body.text_of`
    :raises UnreadableRejection: the body is not of its media type
    :raises TooDeepError: for a body of JSON nested too deep to be cut
    """
    if media_type == "application/json":
        return _json(text)
    return _lines(text) if media_type == "application/x-ndjson" else _csv(text)


def _json(text: bytes) -> Iterator[Run]:
    array = b"[%b]" % text if text.lstrip(WHITE_SPACE).startswith(b"{") else text
    try:
        _element(text)
    except RecursionError:
        raise TooDeepError(array) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise UnreadableRejection(f"the body is not one JSON object or one array of them: {error}") from None
    if not array.lstrip(WHITE_SPACE).startswith(b"["):
        raise UnreadableRejection("the body is one JSON value; expected an object, or an array of objects")
    try:
        # Block by block: a body of nothing but [1,1,1...] has millions of elements.
        for block in read_json(_Body(text)):
            yield Run(block, split_elements(block.data))
    except SourceError:
        # It is JSON, so nothing but its depth can keep it from being read.
        raise TooDeepError(array) from None


def _lines(text: bytes) -> Iterator[Run]:
    if text.lstrip(WHITE_SPACE).startswith(b"["):
        raise UnreadableRejection(
            "the body looks like a JSON array, and its Content-Type says application/x-ndjson: an object a line"
        )
    start = 0
    while start < len(text):
        cut = text.rfind(b"\n", start, start + BLOCK_BYTES) + 1 or text.find(b"\n", start + BLOCK_BYTES) + 1
        data = text[start : cut or len(text)]
        start += len(data)
        yield Run(JsonLines(data), split_lines(data))


def _csv(text: bytes) -> Iterator[Run]:
    if _looks_like_json(text):
        raise UnreadableRejection("the body looks like JSON, and its Content-Type says text/csv")
    try:
        for block in read_csv(_Body(text)):
            yield Run(block, block.rows)
    except SourceError as error:
        raise UnreadableRejection(str(error)) from None


def _looks_like_json(text: bytes) -> bool:
    start = text.lstrip(WHITE_SPACE)[:2]
    if not start.startswith(b"["):
        return start.startswith(b"{")
    try:
        _element(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return start == b"[{"
    # What does not parse is a header with column names in brackets.
    return True


class _Body(Input):
    """A body in memory as an input of the file readers; decompressed and UTF-8 already."""

    def __init__(self, text: bytes) -> None:
        super().__init__(PurePosixPath("the body"), len(text))
        self._text = text

    def text(self) -> Iterator[bytes]:
        for start in range(0, len(self._text), BLOCK_BYTES):
            yield self._text[start : start + BLOCK_BYTES]
