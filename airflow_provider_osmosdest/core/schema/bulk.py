"""
Validating records by the block, in Rust: what every delivery spends most of its time in.

A whole block is one call. Each record's schema is wrapped in a default of ``None`` that stands in for
a bad one, so the result stays aligned with the input, and only the ``None`` positions are validated
again for their errors. Where the schema has a fast path, only the records that it refuses get that far, unless
they are many. Keys doubled in a JSON object: the last one wins, as everywhere in pydantic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.blocks import JsonElements, JsonLines
from airflow_provider_osmosdest.core.schema.encoding import encode_lines
from airflow_provider_osmosdest.core.schema.exact_decimals import ExactDecimals
from airflow_provider_osmosdest.core.schema.explain import Explanation, explain
from airflow_provider_osmosdest.core.schema.fast_path import FastPath, too_many
from airflow_provider_osmosdest.core.schema.originals import original_json, original_of_row
from airflow_provider_osmosdest.core.schema.records import check_mapping, record_schema
from airflow_provider_osmosdest.core.schema.splitting import (
    WHITE_SPACE,
    is_line_aligned,
    line_count,
    split_elements,
    split_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_osmosdest.core.schema.blocks import Block, Rows
    from airflow_provider_osmosdest.core.schema.fields import DestinationSchema

__all__ = ["BulkValidator", "InvalidRecord", "Validated"]

# For how many blocks a fast path that did not pay is left alone.
_PAUSE = 16

# Where a block is refused for one record, this much of it is read line by line: some 16 records.
_RUN_BYTES = 4 * 1024


@dataclass(slots=True)
class InvalidRecord:
    """
    A record that failed the schema.

    :param position: 0-based among the block's records
    :param error: why, in one line
    :param record: the original as one line of JSON; what is not JSON is a JSON string of its text
    :param field: the first field that is wrong, ``None`` where the record is as a whole
    """

    position: int
    error: str
    record: bytes
    field: str | None = None


@dataclass(slots=True)
class Validated:
    r"""
    What became of a block.

    :param count: records in the block, valid and invalid; blank lines are no records
    :param lines: the valid records as compact JSON, in order, each followed by ``b"\n"``
    :param invalid: the others, ascending by position
    :param records: the valid records as dicts in the same order, where they were asked for
    """

    count: int
    lines: bytes
    invalid: list[InvalidRecord]
    records: list[dict[str, Any]] | None


class BulkValidator:
    """
    Validate blocks of records against a schema and write the valid ones as JSON lines.

    :param schema: what a record looks like
    :param mapping: ``{"field": "source column"}`` for the fields that have another name in the source
    :param keep_records: also return the valid records as dicts
    :raises SchemaError: where the mapping names a field that the schema does not have
    """

    def __init__(
        self, schema: DestinationSchema, *, mapping: Mapping[str, str] | None = None, keep_records: bool = False
    ) -> None:
        self._schema = schema
        self._mapping = dict(mapping or {})
        check_mapping(schema, self._mapping)
        self._keep_records = keep_records
        self._typed = _Validators(schema, self._mapping, textual=False)
        self._textual: _Validators | None = None
        # Its records are no dicts.
        self._fast = None if keep_records else FastPath.of(schema, self._mapping)
        self._paused = 0
        self._refusing = False

    def validate(self, block: Block) -> Validated:
        """
        Validate the records of a block; whatever is in it, every record comes out valid or invalid.

        Only what a row's own methods raise, where it is a mapping of somebody's making, is passed on.

        :param block: what a reader yields
        """
        if isinstance(block, JsonLines):
            return self._lines(block.data)
        if isinstance(block, JsonElements):
            return self._elements(block.data)
        return self._rows(block)

    def _lines(self, data: bytes) -> Validated:
        text = data.rstrip(WHITE_SPACE)
        if fast := self._fast_path():
            # Bad records come often or hardly ever: behind a block that held some, the next is not tried as a whole.
            results = None if self._refusing else self._aligned(text, fast.read_array)
            if results is not None:
                return self._finish(results, lambda: text.split(b"\n"))
            if (validated := self._read_runs(fast, text)) is not None:
                return validated
        results = self._aligned(text, self._typed.list_or_none)
        if results is not None:
            return self._finish(results, lambda: text.split(b"\n"))
        lines = split_lines(text)
        cleaned = b"\n".join(lines)
        results = self._aligned(cleaned, self._typed.list_or_none) if cleaned != text else None
        if results is not None:
            return self._finish(results, lambda: lines)
        return self._one_by_one(lines, [None] * len(lines))

    def _aligned(self, text: bytes, read: Callable[[bytes], list[Any] | None]) -> list[Any] | None:
        """Return a result for each line, or None where the lines are not one JSON value each."""
        if not text:
            return []
        results = read(b"[" + text.replace(b"\n", b",") + b"]")
        aligned = results is not None and len(results) == line_count(text) and is_line_aligned(text)
        return results if aligned else None

    def _elements(self, data: bytes) -> Validated:
        array = b"[" + data + b"]"
        if fast := self._fast_path():
            results = fast.read_array(array)
            if results is not None:
                return self._finish(results, lambda: split_elements(data))
            if (validated := self._read_each(fast, split_elements(data))) is not None:
                return validated
        results = self._typed.list_or_none(array)
        if results is not None:
            return self._finish(results, lambda: split_elements(data))
        texts = split_elements(data)
        return self._one_by_one(texts, [None] * len(texts))

    def _fast_path(self) -> FastPath | None:
        if self._paused:
            self._paused -= 1
            return None
        return self._fast

    def _read_runs(self, fast: FastPath, text: bytes) -> Validated | None:
        """Read lines run by run, and line by line only the runs that are refused."""
        results: list[Any] = []
        refused: dict[int, bytes] = {}
        start = 0
        while start < len(text):
            stop = _run_end(text, start)
            run = text[start:stop]
            start = stop + 1
            records = self._aligned(run, fast.read_array)
            if records is None:
                lines = split_lines(run)
                records = fast.read_each(lines)
                if records is None or len(refused) > too_many(len(results)):
                    self._paused = _PAUSE
                    return None
                begun = len(results)
                refused.update((begun + at, line) for at, line in enumerate(lines) if records[at] is None)
            results += records
        self._refusing = bool(refused)
        return self._one_by_one(refused, results)

    def _read_each(self, fast: FastPath, texts: list[bytes]) -> Validated | None:
        results = fast.read_each(texts)
        if results is None:
            self._paused = _PAUSE
            return None
        return self._one_by_one(texts, results)

    def _one_by_one(self, texts: Sequence[bytes] | Mapping[int, bytes], results: list[Any]) -> Validated:
        """
        Validate the texts that have no result yet.

        :param texts: by position; of the records that have a result, none is needed
        """
        # The errors themselves would keep the block alive: their tracebacks refer to what refers to them.
        reasons: dict[int, Explanation] = {}
        unread = texts if isinstance(texts, dict) else [at for at, result in enumerate(results) if result is None]
        for position in unread:
            try:
                results[position] = self._typed.json_item(texts[position])
            except ValidationError as error:
                reasons[position] = explain(error, self._mapping)
        return self._finish(results, lambda: texts, reasons=reasons)

    def _rows(self, block: Rows) -> Validated:
        rows = block.rows if isinstance(block.rows, list) else list(block.rows)
        if block.textual and self._textual is None:
            self._textual = _Validators(self._schema, self._mapping, textual=True)
        validators = self._textual if block.textual and self._textual is not None else self._typed
        results = validators.python_list(rows)
        return self._finish(results, lambda: rows, validators.python_item, original_of_row)

    def _finish(
        self,
        results: list[Any],
        originals: Callable[[], Sequence[Any] | Mapping[int, Any]],
        item: Callable[[Any], Any] | None = None,
        original: Callable[[Any], bytes] = original_json,
        *,
        reasons: Mapping[int, Explanation] | None = None,
    ) -> Validated:
        invalid: list[InvalidRecord] = []
        # all() is the quick look; only a record without fields, {}, makes the slower one needed.
        if all(results) or None not in results:
            valid = results
        else:
            sources, item = originals(), item or self._typed.json_item
            bad = [at for at, result in enumerate(results) if result is None] if reasons is None else reasons
            for position in bad:
                source = sources[position]
                reason = reasons[position] if reasons is not None else self._reason(item, source)
                invalid.append(InvalidRecord(position, reason.text, original(source), reason.field))
            valid = [result for result in results if result is not None]
        lines, refused = encode_lines(valid)
        if refused:
            positions = [position for position, result in enumerate(results) if result is not None]
            sources = originals()
            for index, why in refused.items():
                invalid.append(InvalidRecord(positions[index], why, original(sources[positions[index]])))
            invalid.sort(key=lambda each: each.position)
            valid = [record for index, record in enumerate(valid) if index not in refused]
        return Validated(len(results), lines, invalid, valid if self._keep_records else None)

    def _reason(self, item: Callable[[Any], Any], source: Any) -> Explanation:
        try:
            item(source)
        except ValidationError as error:
            return explain(error, self._mapping)
        return Explanation("the record could not be read the same way twice", None)


def _run_end(text: bytes, start: int) -> int:
    """Return where the run of lines that begins at ``start`` ends: before a line end, or at the end of the text."""
    if start + _RUN_BYTES >= len(text):
        return len(text)
    stop = text.rfind(b"\n", start + 1, start + _RUN_BYTES)
    if stop < 0:
        stop = text.find(b"\n", start + _RUN_BYTES)
    return stop if stop >= 0 else len(text)


class _Validators:
    """A record's schema compiled twice: for a list whose bad items become None, and for one item."""

    def __init__(self, schema: DestinationSchema, mapping: Mapping[str, str], *, textual: bool) -> None:
        record = record_schema(schema, mapping, textual=textual)
        item = SchemaValidator(record)
        each = cs.with_default_schema(record, default=None, on_error="default")
        listed = SchemaValidator(cs.list_schema(each))
        self._json_item: Callable[[bytes], dict[str, Any]] = item.validate_json
        self._json_list: Callable[[bytes], list[dict[str, Any] | None]] = listed.validate_json
        self._decimals = ExactDecimals(schema, mapping)
        self.python_item: Callable[[Any], dict[str, Any]] = item.validate_python
        self.python_list: Callable[[list[Any]], list[dict[str, Any] | None]] = listed.validate_python

    def json_item(self, text: bytes) -> dict[str, Any]:
        record = self._json_item(text)
        if self._decimals:
            self._decimals.restore(text, record)
        return record

    def _json_list_exact(self, text: bytes) -> list[dict[str, Any] | None]:
        records = self._json_list(text)
        if self._decimals:
            self._decimals.restore_all(text, records)
        return records

    def list_or_none(self, text: bytes) -> list[dict[str, Any] | None] | None:
        """Return a record, or None, for each item of a JSON array, or None where it is no such thing."""
        try:
            return self._json_list_exact(text)
        except ValidationError:
            return None
