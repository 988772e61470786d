"""Deliver the records of a failures file again; a new failure keeps where and why the record failed first."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections import Counter
from itertools import chain, groupby
from operator import attrgetter
from sys import intern
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_BYTES, JsonLines, Rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from airflow_provider_osmosdest.core.delivery.ledger.failures import RecordForm
    from airflow_provider_osmosdest.core.records import Source
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["ReplaySource", "SelectedFailures", "count_failures", "is_failure_record"]

_KEYS = frozenset({"index", "outcome", "status", "error", "attempts", "record"})
_MORE = frozenset({"textual", "as_sent", "row", "first_index", "first_error"})
_MOST_GAPS = 100_000
"""Empty rows, and cells with line breaks, behind which rows are numbered no more."""


_members_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def is_failure_record(members: Mapping[str, Any]) -> bool:
    """Whether an object is a line of a failures file: its keys are those, and no others."""
    return _KEYS <= members.keys() <= _KEYS | _MORE


def count_failures(source: Source) -> Counter[str]:
    """
    Count the failure records of a failures file by their outcome.

    :raises SourceError: when it cannot be read, or a line is no failure record
    """
    return Counter(outcome for _, outcome in _failures(source))


class _RowNumbers:
    """
    Which row of a sheet, or line of a file, each record begins in.

    That is its index and a constant up to the next empty row, so that a few numbers do for most files; of one with more
    gaps than :data:`_MOST_GAPS`, the rest has no rows.
    """

    def __init__(self) -> None:
        self._indexes = array("q")
        self._offsets = array("q")
        self._end: int | None = None

    def add(self, index: int, numbers: Sequence[int]) -> None:
        """
        Take in the rows of consecutive records.

        :param index: of the first of them; ascending from call to call
        :param numbers: their rows
        """
        # A range has no gaps.
        for at, number in enumerate(numbers[:1] if isinstance(numbers, range) else numbers, start=index):
            if self._end is not None or (self._offsets and self._offsets[-1] == number - at):
                continue
            if len(self._offsets) == _MOST_GAPS:
                self._end = at
                continue
            self._indexes.append(at)
            self._offsets.append(number - at)

    def of(self, index: int) -> int | None:
        """Return the row of a record, ``None`` where it has none."""
        at = bisect_right(self._indexes, index) - 1
        return None if at < 0 or (self._end is not None and index >= self._end) else index + self._offsets[at]


class SelectedFailures:
    """
    The failure records of some outcomes, as a source.

    :param source: where lines come from
    :param outcomes: which to take
    """

    def __init__(self, source: Source, outcomes: Collection[str]) -> None:
        self._source = source
        self._outcomes = sorted(outcomes)
        self.format = source.format

    @property
    def description(self) -> str:
        """What is read, for the log."""
        return f"the {' and '.join(self._outcomes)} records of {self._source.description}"

    @property
    def fingerprint(self) -> str | None:
        """A digest that changes when the records may have changed."""
        return f"{self._source.fingerprint},{'+'.join(self._outcomes)}"

    @property
    def progress(self) -> float | None:
        """The part read so far, 0 to 1."""
        return self._source.progress

    def blocks(self) -> Iterator[Block]:
        """
        Yield the lines in order, in blocks.

        :raises SourceError: when they cannot be read, or one is no failure record
        """
        lines: list[bytes] = []
        size = 0
        for line, outcome in _failures(self._source):
            if outcome not in self._outcomes:
                continue
            lines.append(line)
            size += len(line)
            if size >= BLOCK_BYTES:
                yield JsonLines(b"\n".join(lines) + b"\n")
                lines, size = [], 0
        if lines:
            yield JsonLines(b"\n".join(lines) + b"\n")


class ReplaySource:
    """
    A source that takes the records out of failure records, and passes other records through.

    :param source: where lines come from
    :param first_index: index of the first record
    """

    def __init__(self, source: Source, *, first_index: int = 0) -> None:
        self._source = source
        self._first_index = first_index
        self._first_indexes = array("q")
        self._first_errors: list[str] = []
        self._first_rows = array("q")
        self._rows = _RowNumbers()
        self.format = source.format

    @property
    def description(self) -> str:
        """What is read, for the log."""
        return self._source.description

    @property
    def fingerprint(self) -> str | None:
        """A digest that changes when the records may have changed."""
        return self._source.fingerprint

    @property
    def progress(self) -> float | None:
        """The part read so far, 0 to 1."""
        return self._source.progress

    def blocks(self) -> Iterator[Block]:
        """Yield the records in order, in blocks."""
        blocks = self._source.blocks()
        first = next(blocks, None)
        if first is None:
            return
        whole = chain([first], blocks)
        if isinstance(first, JsonLines) and is_failure_record(_members(first.data.partition(b"\n")[0])):
            for block in whole:
                yield from self._unwrapped(block)
        else:
            index = self._first_index
            for block in whole:
                if isinstance(block, Rows) and block.numbers is not None:
                    self._rows.add(index, block.numbers)
                    index += len(block.rows)
                yield block

    def origin(self, index: int) -> bytes:
        """Return where a record stands and how it failed first, for its failure record, as the end of a JSON object."""
        at = index - self._first_index
        if at >= len(self._first_indexes):
            row = self._rows.of(index)
            return b"" if row is None else b',"row":%d' % row
        error = json.dumps(self._first_errors[at], ensure_ascii=False).encode(errors="replace")
        row = self._first_rows[at]
        first = b',"first_index":%d,"first_error":%s' % (self._first_indexes[at], error)
        return first if row < 0 else b',"row":%d%s' % (row, first)

    def _unwrapped(self, block: Block) -> Iterator[Block]:
        """Yield the records of a block of failure records, those that are in different forms apart."""
        assert isinstance(block, JsonLines)
        lines = filter(bytes.strip, block.data.split(b"\n"))
        for form, failures in groupby(map(_Failure, lines), attrgetter("form")):
            texts: list[bytes] = []
            for failure in failures:
                texts.append(failure.text)
                self._first_indexes.append(failure.first_index)
                self._first_rows.append(failure.row)
                self._first_errors.append(intern(failure.first_error))
            if form == "textual":
                yield Rows(list(map(msgspec.json.decode, texts)), textual=True)
            else:
                yield JsonLines(b"\n".join(texts), as_sent=form == "as_sent")


class _Failure:
    """
    A line of a failures file, or another one that stands between those.

    Its record is kept as text: a number's digits are none of a double's business.
    """

    def __init__(self, line: bytes) -> None:
        self.form: RecordForm = "source"
        self.text, self.first_index, self.row, self.first_error = line, -1, -1, ""
        members = _members(line)
        if not is_failure_record(members):
            return
        self.text = bytes(members.pop("record"))
        failure = {name: msgspec.json.decode(raw) for name, raw in members.items()}
        self.first_index = failure.get("first_index", failure["index"])
        self.row = failure.get("row", -1)
        self.first_error = str(failure.get("first_error", failure["error"]))
        if failure.get("as_sent") or (failure["outcome"] != "invalid" and self.text.startswith(b"{")):
            self.form = "as_sent"
        elif failure.get("textual"):
            self.form = "textual"


def _failures(source: Source) -> Iterator[tuple[bytes, str]]:
    """Yield the lines of a failures file, each with its outcome."""
    number = 0
    for block in source.blocks():
        for line in block.data.split(b"\n") if isinstance(block, JsonLines) else ():
            if not line.strip():
                continue
            number += 1
            failure = _members(line)
            if not is_failure_record(failure):
                raise SourceError(f"{source.description}: record {number:,} is no failure record. Was the file edited?")
            yield line, msgspec.json.decode(failure["outcome"])


def _members(line: bytes) -> dict[str, msgspec.Raw]:
    """Return the texts of an object's members, none of what is no object."""
    try:
        return _members_of(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
