"""Read NDJSON: one JSON document a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.readers.json_scan import TooDeepError, scan_value
from airflow_provider_osmosdest.core.records.streams import whole_lines
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_BYTES, JsonLines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.input import Input

__all__ = ["read_ndjson"]

_EXPECTED = "expected one JSON object a line"


def read_ndjson(source: Input) -> Iterator[JsonLines]:
    """
    Yield the lines of an NDJSON file in blocks; the validator checks what is in a line.

    A line that is not JSON is an invalid record, not a fault of the file, unless it is where the file breaks off:
    a last line without line end that is not whole JSON.

    :raises SourceError: the file cannot be read any further, breaks off, or is something other than NDJSON
    """
    lines, done = source.lines_before, 0
    for run in whole_lines(source.text(), source.name):
        if not done and source.begins:
            _check_first_line(run, source.name)
        whole = len(run) if run.endswith(b"\n") else run.rfind(b"\n") + 1
        yield from _blocks(run, whole)
        # Deleting and measuring takes an eighth of the time of bytes.count (CPython 3.11).
        lines += len(run) - len(run.replace(b"\n", b""))
        done += len(run)
        tail = run[whole:]
        if tail.strip():
            if not _is_json(tail):
                raise SourceError(
                    f"{source.name}: breaks off in line {lines + 1:,}, byte {done:,}: the last line has no line end "
                    "and is not whole JSON. Fetch or write the file again."
                )
            yield JsonLines(tail)


def _blocks(run: bytes, end: int) -> Iterator[JsonLines]:
    start = 0
    while start < end:
        stop = min(start + BLOCK_BYTES, end)
        cut = run.rfind(b"\n", start, stop) + 1 or run.find(b"\n", stop) + 1
        yield JsonLines(run[start:cut])
        start = cut


def _check_first_line(run: bytes, name: str) -> None:
    line = run.lstrip().partition(b"\n")[0].strip()
    if not line:
        return
    if line.startswith(b"[") and (line.startswith(b"[{") or not _is_json(line)):
        raise SourceError(f"{name}: looks like a JSON array, {_EXPECTED}. Set records_format to 'json'.")
    if line == b"{":
        raise SourceError(f"{name}: looks like JSON over several lines, {_EXPECTED}. Set records_format to 'json'.")
    if not line.startswith(b"{") and not _is_json(line):
        raise SourceError(f"{name}: line 1 begins with {chr(line[0])!r} and is not JSON, {_EXPECTED}.")


def _is_json(line: bytes) -> bool:
    text = line.decode("latin-1").strip()
    try:
        return scan_value(text, 0) == len(text)
    except TooDeepError:
        return True
