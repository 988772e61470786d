"""Cut a dataset into parts of about one size: read its files once, and note where each part begins."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.records.formats import FORMATS, format_of
from airflow_provider_osmosdest.core.records.input import GZIP_MAGIC, binary_kind, display, markup_kind
from airflow_provider_osmosdest.core.records.parts.part import Part, Position, identity_of
from airflow_provider_osmosdest.core.records.parts.ranges import RangeInput, count_of
from airflow_provider_osmosdest.core.records.parts.scan import LineScan, RowScan, Span
from airflow_provider_osmosdest.core.records.paths import matching_files, size_of
from airflow_provider_osmosdest.core.records.readers.csv_rows import delimiter_of
from airflow_provider_osmosdest.core.records.readers.parquet import row_groups
from airflow_provider_osmosdest.core.records.streams import MAX_RECORD_BYTES
from airflow_provider_osmosdest.core.schema.validation.json_cut import BYTE_ORDER_MARK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_osmosdest.core.records.formats import Format, Formats
    from airflow_provider_osmosdest.core.records.parts.scan import Scan

__all__ = ["MOST_PARTS", "PROBE_RECORDS", "plan_parts"]

PROBE_RECORDS = 1_000
"""How many records the first part holds: enough to find out that an API refuses everything, and soon sent."""

MOST_PARTS = 1_000
"""How many parts there may be beside the first; Airflow maps a task 1,024 times at most (``[core] max_map_length``)."""

_READ_BYTES = 1024 * 1024
_TEXTS = ("ndjson", "csv", "tsv")


def plan_parts(
    path: Any, *, parts: int, records_format: str | None = None, probe: int = PROBE_RECORDS, formats: Formats = FORMATS
) -> list[Part]:
    """
    Cut the files of a path into parts: a small first one, and up to ``parts`` more of about as many bytes each.

    Every record is in one part, with the index that it has when all is read in one. NDJSON, CSV and TSV are cut
    anywhere between two records, Parquet between row groups. All else (gzip, JSON, Excel, UTF-16) only between two
    files, and behind the records of the first part, as only reading it shows where a record begins.

    :param path: a path object, as for :func:`.source.open_source`
    :param parts: how many parts to make beside the first; fewer where the data has no place to cut
    :param records_format: as for :func:`.source.open_source`
    :param probe: how many records the first part holds at most, 0 for none but of an empty dataset
    :param formats: as for :func:`.source.open_source`
    :return: the parts, in order; the first has the first records, or none where there are none
    :raises OptionsError: the number of parts is out of bounds, or the format unknown or not the same for all files
    :raises SourceError: a file cannot be read
    """
    if isinstance(parts, bool) or not 1 <= parts <= MOST_PARTS:
        raise OptionsError(f"parts: found {parts!r}, expected a whole number from 1 to {MOST_PARTS:,}.")
    files = matching_files(path)
    kind = format_of(files[0], records_format, formats)
    if other := next((file for file in files if format_of(file, records_format, formats) != kind), None):
        raise OptionsError(
            f"{display(path)}: the files are of several formats: {files[0].name} is {kind.name}, {other.name} is not. "
            "Name the files of one format, or set records_format."
        )
    sizes = [size_of(file) or 0 for file in files]
    wanted = [sum(sizes) * number // parts for number in range(1, parts)]
    cuts: list[tuple[int, Position]] = []
    index = base = 0
    for file, size in zip(files, sizes, strict=True):
        here = [byte - base for byte in wanted if base < byte <= base + size]
        cutter = _Cutter(RangeInput(file, size, None, None), kind, here, probe - index if probe > index else None)
        cutter.cut()
        cuts += [(index + each.records, each) for each in cutter.found]
        index += cutter.records
        base += size
    return _parts(files, kind, [cut for cut in cuts if cut[0] >= probe], index)


def _parts(files: Sequence[Any], kind: Format, cuts: list[tuple[int, Position]], records: int) -> list[Part]:
    """Make parts of the places to cut at; where there is no record between two, the second is none."""
    places = [str(file) for file in files]
    starts = [(0, Position(places[0]))]
    for index, place in sorted(cuts, key=lambda cut: cut[0]):
        if starts[-1][0] < index < records:
            starts.append((index, place))
    made: list[Part] = []
    stops: list[tuple[int, Position | None]] = [*starts[1:], (records, None)]
    for (first, start), (stop, end) in zip(starts, stops, strict=True):
        # What ends where a file begins, ends with the file before it.
        whole = end is None or not end.records
        last = len(places) - 1 if end is None else bisect_left(places, end.file) - whole
        inside = files[bisect_left(places, start.file) : last + 1]
        fingerprint = identity_of(kind.name, inside)
        made.append(Part(len(made), first, stop - first, start, places[last], None if whole else end, fingerprint))
    return made


class _Cutter:
    """
    One file being cut.

    :param source: the file
    :param kind: its format
    :param wanted: bytes at which to cut, ascending, each above 0
    :param probe: cut behind this many records, too
    """

    def __init__(self, source: RangeInput, kind: Format, wanted: list[int], probe: int | None) -> None:
        self._source = source
        self._kind = kind
        self._wanted = wanted
        self._probe = probe
        self._file = str(source.path)
        self._place = Position(self._file)
        self.found: list[Position] = []
        self.records = 0

    def cut(self) -> None:
        """
        Find the places to cut at, and count the records.

        :raises SourceError: the file cannot be read
        """
        packed = self._file.lower().endswith(".gz")
        if self._kind.name == "parquet" and not packed:
            self._cut_groups(row_groups(self._source))
        elif packed or self._kind.name not in _TEXTS or not self._cut_text():
            # Only reading it shows where a record begins.
            self._cut_groups([(self._source.size or 0, sum(map(count_of, self._kind.read(self._source))))])

    def _cut_groups(self, groups: Sequence[tuple[int, int]]) -> None:
        """
        Cut between groups of records, where that is nearest.

        :param groups: bytes and records of each
        """
        ends = [(0, 0)]
        for size, records in groups:
            ends.append((ends[-1][0] + size, ends[-1][1] + records))
        size, self.records = ends[-1]
        for wanted in self._wanted:
            # The groups are the file's bytes but for what is beside them, such as a footer.
            byte = wanted * size / max(1, self._source.size or 0)
            self.found.append(Position(self._file, min(ends, key=lambda end: abs(end[0] - byte))[1]))
        if self._probe is not None and self._probe <= self.records:
            self.found.append(Position(self._file, self._probe))

    def _cut_text(self) -> bool:
        """Cut between lines or rows; return whether the file is a text that can be cut."""
        chunks = self._source.stored(_READ_BYTES)
        text = next(chunks, b"")
        if not _is_text(text):
            return False
        mark = len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0
        text = text[mark:]
        self._place = Position(self._file, at=mark)
        scan: Scan | None = LineScan() if self._kind.name == "ndjson" else None
        least = 0
        last = False
        while not last and len(text) <= MAX_RECORD_BYTES:
            chunk = next(chunks, b"")
            last = not chunk
            if scan is None:
                scan = _row_scan(self._kind, text, last=last)
            stop = len(text) if last else text.rfind(b"\n") + 1
            if scan is not None and stop > (0 if last else least):
                span = scan.measure(text[:stop], last=last)
                self._pass(scan, text[: span.size], span)
                if span.broken:
                    # The reader tells where and why; what follows cannot be told apart.
                    break
                # A row that goes on is not read again for each chunk.
                least = 0 if span.size else 2 * stop
                text = text[span.size :]
            text += chunk
        self.records = self._place.records
        return True

    def _pass(self, scan: Scan, text: bytes, span: Span) -> None:
        """Go behind a stretch of whole records, and note the places in it to cut at."""
        place = self._place
        if self._kind.name != "ndjson" and not place.header and span.records:
            head = next(border for border in scan.borders(text) if border.records)
            end = (place.at or 0) + head.size
            place = replace(place, at=end, header=end)
            text = text[head.size :]
            span = Span(span.size - head.size, span.records - 1, span.lines - head.lines)
        self._place = _behind(place, span)
        if not self._is_due(place, span):
            return
        for border in scan.borders(text):
            if self._is_due(place, border):
                here = _behind(place, border)
                self.found.append(here)
                self._wanted = [wanted for wanted in self._wanted if wanted > (here.at or 0)]
                self._probe = None if here.records >= (self._probe or 0) else self._probe

    def _is_due(self, place: Position, span: Span) -> bool:
        """Whether the file is to be cut at the end of a stretch behind a place, or before it."""
        return bool(self._wanted and self._wanted[0] <= (place.at or 0) + span.size) or (
            self._probe is not None and self._probe <= place.records + span.records
        )


def _behind(place: Position, span: Span) -> Position:
    return replace(
        place, at=(place.at or 0) + span.size, records=place.records + span.records, lines=place.lines + span.lines
    )


def _row_scan(kind: Format, text: bytes, *, last: bool) -> RowScan | None:
    """Return the scan of rows, once the first line that is not blank is there to tell the delimiter."""
    first = text.lstrip(b"\r\n")
    if not last and b"\n" not in first:
        return None
    line = first.splitlines()[0] if first else b""
    return RowScan("\t" if kind.name == "tsv" else delimiter_of(line.decode("latin-1")))


def _is_text(head: bytes) -> bool:
    """Whether a file's bytes are a text that can be cut: neither packed, nor of two bytes a character."""
    if head.startswith((GZIP_MAGIC, b"\xff\xfe", b"\xfe\xff")):
        return False
    return binary_kind(head) is None and markup_kind(head.removeprefix(BYTE_ORDER_MARK)) is None
