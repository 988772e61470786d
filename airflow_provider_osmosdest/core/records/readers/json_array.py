"""
Read JSON: a file that is one array of records, or one record.

Cutting an array into blocks needs the places where its elements end. They are guessed and the guess is checked, which
is faster than finding them: a cut is tried where one element ends and the next begins *with the same key*
(``},{"id"``), and holds if the text before it is, between brackets, a whole array. A proper prefix of an element is
never whole, so a guess that holds is never wrong. Where none holds, the exact scan finds the cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

import msgspec

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.readers.json_scan import Fault, TooDeepError, scan_elements, scan_value
from airflow_provider_osmosdest.core.records.readers.json_window import Window
from airflow_provider_osmosdest.core.records.streams import MAX_RECORD_BYTES
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_BYTES, JsonElements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.input import Input

__all__ = ["read_json"]

_SEAM = re.compile(rb'\}[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*"[^"\\]{0,256}"')
_GUESSES = 3
_WHOLE = msgspec.json.Decoder(list[msgspec.Raw])


def read_json(source: Input) -> Iterator[JsonElements]:
    """
    Yield the elements of the file's one array in blocks, or its one object as the only record.

    The validator checks what is in an element; a text of nothing but white space holds no records.

    :raises SourceError: the text is not JSON, breaks off, or holds more than one document
    """
    window = Window(source.text())
    try:
        match window.skip_blank():
            case b"[":
                window.position += 1
                yield from _array(window, source.name)
            case b"{":
                yield _object(window, source.name)
            case b"":
                _raise_fault(window)
            case other:
                raise SourceError(
                    f"{source.name}: byte {window.offset:,}: begins with {chr(other[0])!r} and is not JSON of records, "
                    "expected '[' or '{'."
                )
    except TooDeepError as e:
        raise SourceError(
            f"{source.name}: byte {window.offset:,}: a record from here on is nested too deeply to be read."
        ) from e


def _array(window: Window, name: str) -> Iterator[JsonElements]:
    seam: bytes | None = None
    first = True
    size = BLOCK_BYTES
    while True:
        window.fill(size)
        block = _guessed(window, seam) if seam is not None and size == BLOCK_BYTES else None
        if block is not None and seam is not None:
            yield JsonElements(block)
            window.position += len(block) - 1 + seam.index(b"{")
            continue
        piece = window.peek(size)
        scan = scan_elements(piece.decode("latin-1"), 0, first=first)
        broken = scan.fault is not None and (scan.fault.hard or window.is_all(size))
        end = scan.whole if broken else scan.end
        if end is not None:
            yield JsonElements(piece[:end])
            first = False
        if scan.fault is not None and broken:
            _raise_broken(window, name, scan.fault)
        if end is not None:
            match = _SEAM.match(window.data, window.position + end - 1)
            seam = match.group() if match else seam
        window.position += scan.resume
        if scan.fault is None:
            _check_end(window, name, "the array's end")
            return
        size = BLOCK_BYTES if end is not None else _doubled(size, window, name)


def _object(window: Window, name: str) -> JsonElements:
    size = BLOCK_BYTES
    while True:
        window.fill(size)
        piece = window.peek(size)
        found = scan_value(piece.decode("latin-1"), 0)
        if isinstance(found, int):
            window.position += found
            _check_end(window, name, "the object's end")
            return JsonElements(piece[:found])
        if found.hard or window.is_all(size):
            _raise_broken(window, name, found)
        size = _doubled(size, window, name)


def _guessed(window: Window, seam: bytes) -> bytes | None:
    start = window.position
    stop = start + BLOCK_BYTES
    for _ in range(_GUESSES):
        cut = window.data.rfind(seam, start, stop)
        if cut < 0:
            return None
        block = window.data[start : cut + 1]
        try:
            _WHOLE.decode(b"[" + block + b"]")
        except (msgspec.DecodeError, RecursionError):
            stop = cut + 1
        else:
            return block
    return None


def _doubled(size: int, window: Window, name: str) -> int:
    if size >= MAX_RECORD_BYTES:
        raise SourceError(
            f"{name}: byte {window.offset:,}: the record that begins here is longer than "
            f"{MAX_RECORD_BYTES // 1024 // 1024} MiB, the most a record may have. Is a quote not closed?"
        )
    return size * 2


def _check_end(window: Window, name: str, after: str) -> None:
    following = window.skip_blank()
    _raise_fault(window)
    if following == b"{":
        raise SourceError(
            f"{name}: byte {window.offset:,}: another object begins after {after}, expected one JSON document. "
            "If the file holds one object a line, set records_format to 'ndjson'."
        )
    if following:
        raise SourceError(
            f"{name}: byte {window.offset:,}: found {chr(following[0])!r} after {after}, expected nothing more."
        )


def _raise_fault(window: Window) -> None:
    if window.fault is not None:
        raise window.fault


def _raise_broken(window: Window, name: str, fault: Fault) -> NoReturn:
    _raise_fault(window)
    raise SourceError(
        f"{name}: byte {window.offset + fault.position:,}: {fault.what}: the JSON breaks off or is damaged here. "
        "Fetch or write the file again."
    )
