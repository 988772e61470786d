"""
Validate blocks of records in Rust; every delivery spends most of its time here.

A whole block is one call. Each record's schema is wrapped in a default of ``None`` that stands in for
a bad one, so the result stays aligned with the input, and only the ``None`` positions are validated
again for their errors. Where the schema has a fast path, only the records that it refuses get that far, unless
they are many. Keys doubled in a JSON object: the last one wins, as everywhere in pydantic.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.record_schema import check_mapping, columns_of, record_schema
from airflow_provider_osmosdest.core.schema.validation.blocks import JsonElements, JsonLines
from airflow_provider_osmosdest.core.schema.validation.encoding import encode_lines
from airflow_provider_osmosdest.core.schema.validation.exact_numbers import ExactNumbers
from airflow_provider_osmosdest.core.schema.validation.explain import Explanation, explain
from airflow_provider_osmosdest.core.schema.validation.fast_path import FastPath
from airflow_provider_osmosdest.core.schema.validation.json_cut import (
    BYTE_ORDER_MARK,
    WHITE_SPACE,
    is_line_aligned,
    line_count,
    split_elements,
    split_lines,
)
from airflow_provider_osmosdest.core.schema.validation.originals import original_json, original_of_row
from airflow_provider_osmosdest.core.schema.validation.row_path import RowPath
from airflow_provider_osmosdest.core.schema.validation.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_osmosdest.core.schema.schema import DestinationSchema
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block, Rows

__all__ = ["BulkValidator", "InvalidRecord", "Validated"]

# For how many blocks a fast path that was no faster is not tried again.
_PAUSE = 16


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
    The result of validating a block.

    :param count: records in the block, valid and invalid; blank lines are no records
    :param lines: the valid records as compact JSON, in order, each followed by ``b"\n"``
    :param invalid: the others, ascending by position
    :param records: the valid records as dicts in the same order, with ``keep_records``
    """

    count: int
    lines: bytes
    invalid: list[InvalidRecord]
    records: list[dict[str, Any]] | None


class BulkValidator:
    """
    Validate blocks of records against a schema and write the valid ones as JSON lines.

    :param schema: what a record looks like
    :param mapping: ``{"field": "source column"}`` for the fields that have another name in the source than theirs or
        the field's ``source``
    :param keep_records: also return the valid records as dicts
    :raises SchemaError: where the mapping names a field that the schema does not have
    """

    def __init__(
        self, schema: DestinationSchema, *, mapping: Mapping[str, str] | None = None, keep_records: bool = False
    ) -> None:
        self._schema = schema
        check_mapping(schema, mapping or {})
        self._mapping = columns_of(schema, mapping or {})
        self._keep_records = keep_records
        self._typed = _Validators(schema, self._mapping, textual=False)
        self._textual: _Validators | None = None
        self._as_sent: BulkValidator | None = None
        # Its records are no dicts.
        self._fast = None if keep_records else FastPath.of(schema, self._mapping)
        self._as_numbers = tuple(field.name for field in schema.fields if field.write_as == "number")
        self._paused = 0
        self._refusing = self._blank = False
        self._row_paths: dict[bool, RowPath] = {}

    def validate(self, block: Block) -> Validated:
        """
        Validate the records of a block; whatever is in it, every record comes out valid or invalid.

        Only what the methods of a caller's own mapping class raise is passed on.

        :param block: what a reader yields
        """
        if isinstance(block, JsonLines):
            return self._sent().validate(JsonLines(block.data)) if block.as_sent else self._lines(block.data)
        if isinstance(block, JsonElements):
            return self._elements(block.data)
        return self._rows(block)

    def _sent(self) -> BulkValidator:
        """Return the validator of records that stand as this one writes them."""
        if self._as_sent is None:
            self._as_sent = BulkValidator(self._schema.as_sent(), keep_records=self._keep_records)
        return self._as_sent

    def _lines(self, data: bytes) -> Validated:
        text = data.rstrip(WHITE_SPACE)
        if fast := self._fast_path():
            # Line by line is no slower than all at once, which would have to look whether a value stands on each.
            each = split_lines(text) if self._blank else BytesIO(text).readlines()
            if (
                validated := self._read_each(fast, each, text, lambda: split_lines(text), lines=not self._blank)
            ) is not None:
                return validated
        results = self._aligned(text)
        if results is not None:
            return self._finish(results, lambda: text.split(b"\n"))
        lines = split_lines(text)
        cleaned = b"\n".join(lines)
        results = self._aligned(cleaned) if cleaned != text else None
        if results is not None:
            return self._finish(results, lambda: lines)
        return self._one_by_one(lines)

    def _aligned(self, text: bytes) -> list[Any] | None:
        """Return a result for each line, or None where the lines are not one JSON value each."""
        if not text:
            return []
        # A newline in a string is no JSON, a comma in its place would be: so it stays, behind the comma.
        results = self._typed.list_or_none(b"[" + text.replace(b"\n", b",\n") + b"]")
        aligned = results is not None and len(results) == line_count(text) and is_line_aligned(text)
        return results if aligned else None

    def _elements(self, data: bytes) -> Validated:
        array = b"[" + data + b"]"
        if fast := self._fast_path():
            # Bad records come often or hardly ever: behind a block that held some, the next is not tried as a whole.
            records = None if self._refusing else fast.read_array(array)
            if records is not None:
                return self._written(len(records), records, [], lambda: split_elements(data))
            texts = split_elements(data)
            if (validated := self._read_each(fast, texts, data, lambda: texts)) is not None:
                return validated
        results = self._typed.list_or_none(array)
        if results is not None:
            return self._finish(results, lambda: split_elements(data))
        return self._one_by_one(split_elements(data))

    def _fast_path(self) -> FastPath | None:
        if self._paused:
            self._paused -= 1
            return None
        return self._fast

    def _read_each(
        self,
        fast: FastPath,
        texts: list[bytes],
        block: bytes,
        originals: Callable[[], Sequence[bytes]],
        *,
        lines: bool = False,
    ) -> Validated | None:
        """
        Validate texts one by one; None where too many are refused by the fast path.

        :param block: all of them, as they came
        :param originals: returns the texts that are records
        :param lines: the texts are lines as they came, which may be blank and so no records
        """
        found = fast.read_each(texts, block)
        if found is None:
            self._refusing, self._paused = True, _PAUSE
            return None
        records, rejected = found
        self._refusing = bool(rejected)
        invalid: list[InvalidRecord] = []
        blank = 0
        for at in rejected:
            text = texts[at]
            if lines:
                text = text.removesuffix(b"\n").removeprefix(BYTE_ORDER_MARK)
                if not text.strip(WHITE_SPACE):
                    self._blank = True
                    blank += 1
                    continue
            records[at] = self._validate_text(at - blank, text, invalid)
        for at in reversed(rejected):
            # They are few: to make the list anew would take as long as to validate one of them.
            if records[at] is None:
                del records[at]
        return self._written(len(texts) - blank, records, invalid, originals)

    def _one_by_one(self, texts: list[bytes]) -> Validated:
        invalid: list[InvalidRecord] = []
        results = [self._validate_text(position, text, invalid) for position, text in enumerate(texts)]
        records = [record for record in results if record is not None]
        return self._written(len(texts), records, invalid, lambda: texts)

    def _validate_text(self, position: int, text: bytes, invalid: list[InvalidRecord]) -> dict[str, Any] | None:
        """Return the record of a text; where it has none, None, and why is added to ``invalid``."""
        try:
            return self._typed.json_item(text)
        except ValidationError as error:
            reason = explain(error, self._mapping)
        # Where a field is wrong, the text was JSON.
        original = original_json(text, parsed=reason.field is not None)
        invalid.append(InvalidRecord(position, reason.text, original, reason.field))
        return None

    def _rows(self, block: Rows) -> Validated:
        if block.textual and self._textual is None:
            self._textual = _Validators(self._schema, self._mapping, textual=True)
        validators = self._textual if block.textual and self._textual is not None else self._typed
        rows = block.rows if isinstance(block.rows, list | Table) else list(block.rows)
        if (validated := self._plain_rows(rows, validators.python_item, textual=block.textual)) is not None:
            return validated
        rows = list(rows)
        results = validators.python_list(rows)
        return self._finish(results, lambda: rows, validators.python_item, original_of_row)

    def _plain_rows(self, rows: Sequence[Any], item: Callable[[Any], Any], *, textual: bool) -> Validated | None:
        """Validate rows column by column; None where pydantic has to validate them all."""
        # Its records are no dicts.
        if self._keep_records:
            return None
        if (path := self._row_paths.get(textual)) is None:
            path = self._row_paths[textual] = RowPath(self._schema, self._mapping, textual=textual)
        read = path.read(rows)
        if read is None or len(read[1]) > len(rows) // 2:
            return None
        records, refused = read
        invalid: list[InvalidRecord] = []
        for at in refused:
            row = rows[at]
            try:
                records[at] = item(row)
            except ValidationError as error:
                reason = explain(error, self._mapping)
                invalid.append(InvalidRecord(at, reason.text, original_of_row(row), reason.field))
                records[at] = None
        if invalid:
            records = [record for record in records if record is not None]
        lines, unwritable = encode_lines(records, self._as_numbers)
        # What cannot be written, such as half a surrogate pair, pydantic may have refused with a reason of its own.
        return None if unwritable else Validated(len(rows), lines, invalid, None)

    def _finish(
        self,
        results: list[Any],
        originals: Callable[[], Sequence[Any]],
        item: Callable[[Any], Any] | None = None,
        original: Callable[[Any], bytes] = original_json,
    ) -> Validated:
        """Return the result of a block whose bad records are None; validate those again for their errors."""
        # all() is the quick look; only a record without fields, {}, makes the slower one needed.
        if all(results) or None not in results:
            return self._written(len(results), results, [], originals, original)
        sources, item = originals(), item or self._typed.json_item
        invalid: list[InvalidRecord] = []
        for position, result in enumerate(results):
            if result is None:
                source = sources[position]
                reason = self._reason(item, source)
                invalid.append(InvalidRecord(position, reason.text, original(source), reason.field))
        records = [result for result in results if result is not None]
        return self._written(len(results), records, invalid, lambda: sources, original)

    def _written(
        self,
        count: int,
        records: list[Any],
        invalid: list[InvalidRecord],
        originals: Callable[[], Sequence[Any]],
        original: Callable[[Any], bytes] = original_json,
    ) -> Validated:
        lines, refused = encode_lines(records, self._as_numbers)
        if refused:
            left_out = {each.position for each in invalid}
            positions = [position for position in range(count) if position not in left_out]
            sources = originals()
            for index, why in refused.items():
                invalid.append(InvalidRecord(positions[index], why, original(sources[positions[index]])))
            invalid.sort(key=lambda each: each.position)
            records = [record for index, record in enumerate(records) if index not in refused]
        return Validated(count, lines, invalid, records if self._keep_records else None)

    def _reason(self, item: Callable[[Any], Any], source: Any) -> Explanation:
        try:
            item(source)
        except ValidationError as error:
            return explain(error, self._mapping)
        return Explanation("the record could not be read the same way twice", None)


class _Validators:
    """A record's schema compiled twice: for a list whose bad items become None, and for one item."""

    def __init__(self, schema: DestinationSchema, mapping: Mapping[str, str], *, textual: bool) -> None:
        record = record_schema(schema, mapping, textual=textual, verbatim=not textual)
        item = SchemaValidator(record)
        each = cs.with_default_schema(record, default=None, on_error="default")
        listed = SchemaValidator(cs.list_schema(each))
        self._json_item: Callable[[bytes], dict[str, Any]] = item.validate_json
        self._json_list: Callable[[bytes], list[dict[str, Any] | None]] = listed.validate_json
        self._numbers = ExactNumbers(schema, mapping)
        self.python_item: Callable[[Any], dict[str, Any]] = item.validate_python
        self.python_list: Callable[[list[Any]], list[dict[str, Any] | None]] = listed.validate_python

    def json_item(self, text: bytes) -> dict[str, Any]:
        record = self._json_item(text)
        if self._numbers:
            self._numbers.restore(text, record)
        return record

    def _json_list_exact(self, text: bytes) -> list[dict[str, Any] | None]:
        records = self._json_list(text)
        if self._numbers:
            self._numbers.restore_all(text, records)
        return records

    def list_or_none(self, text: bytes) -> list[dict[str, Any] | None] | None:
        """Return a record, or None, for each item of a JSON array, or None where it is no such thing."""
        try:
            return self._json_list_exact(text)
        except ValidationError:
            return None
