"""
Restore numbers exactly as they stand in the JSON text.

pydantic's parser reads ``0.12345678901234567890`` as a double before it checks the field's type. For schemas with
decimals, and with strings that are made of numbers, the text of just those values is therefore parsed once more.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.types.core_schemas import field_schema
from airflow_provider_osmosdest.core.schema.validation.json_cut import split_elements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_osmosdest.core.schema.schema import DestinationSchema

__all__ = ["ExactNumbers"]

# A number of up to 15 significant digits survives the way through a double (IEEE 754 binary64).
_SAFE_LENGTH = 15

_OPENING = frozenset(bytes([each]) for each in b"-0123456789")

_ABSENT = msgspec.Raw(b"")


class ExactNumbers:
    """
    Put back the digits that a double could not hold.

    :param schema: the schema of the records
    :param mapping: the source column of each renamed field
    """

    def __init__(self, schema: DestinationSchema, mapping: Mapping[str, str]) -> None:
        decimals = [field for field in schema.fields if field.type == "decimal"]
        texts = [field for field in schema.fields if "to_string" in field.coerce]
        self._checks = {
            field.name: SchemaValidator(cs.typed_dict_schema({field.name: cs.typed_dict_field(field_schema(field))}))
            for field in (*decimals, *texts)
        }
        columns = {name: mapping.get(name, name) for name in self._checks}
        self._row, readers = _row(dict.fromkeys(columns.values()))
        self._columns = {column: attribute for column, (attribute, _) in readers.items()}
        reads = {name: readers[column][1] for name, column in columns.items()}
        self._decimals = [(field.name, reads[field.name], field.write_as == "number") for field in decimals]
        self._texts = [(field.name, reads[field.name]) for field in texts]
        self._one = msgspec.json.Decoder(self._row)
        many: Any = list[self._row]  # type: ignore[name-defined]  # a class made at run time
        self._many = msgspec.json.Decoder(many)

    def __bool__(self) -> bool:
        """Return whether the schema has such fields at all."""
        return bool(self._checks)

    def restore(self, text: bytes, record: dict[str, Any]) -> None:
        """
        Put the exact numbers into a validated record.

        :param text: the record's JSON
        :param record: what validating it gave
        :raises pydantic_core.ValidationError: where the exact value does not satisfy the field's constraints
        """
        if not self._waits([record]):
            return
        try:
            row = self._one.decode(text)
        except msgspec.DecodeError:
            # NaN in a place that no field reads: JSON for pydantic and for Python, for msgspec not.
            values = json.loads(text, parse_float=_NumberText, parse_int=_NumberText)
            row = self._row(**{attribute: _written(values.get(column)) for column, attribute in self._columns.items()})
        self._restore(row, record)

    def restore_all(self, text: bytes, records: list[dict[str, Any] | None]) -> None:
        """
        Put the exact numbers into validated records; one whose exact value is not allowed becomes None.

        :param text: the JSON array of the records
        :param records: what validating it gave
        """
        if not self._waits(records):
            return
        try:
            rows = self._many.decode(text)
        except msgspec.MsgspecError:
            sources: list[Any] = split_elements(text[1:-1])
            restore: Callable[[Any, dict[str, Any]], None] = self.restore
        else:
            sources, restore = rows, self._restore
        for position, (source, record) in enumerate(zip(sources, records, strict=True)):
            if record is not None:
                try:
                    restore(source, record)
                except ValidationError:
                    records[position] = None

    def _waits(self, records: Iterable[dict[str, Any] | None]) -> bool:
        """Return whether a record may have a value that is to be restored."""
        if self._decimals:
            return True
        return any(isinstance(record[name], int | float) for record in records if record for name, _ in self._texts)

    def _restore(self, row: Any, record: dict[str, Any]) -> None:
        for name, read, verbatim in self._decimals:
            raw = bytes(read(row))
            if not (verbatim or len(raw) > _SAFE_LENGTH or b"e" in raw or b"E" in raw) or raw[:1] not in _OPENING:
                continue
            exact = Decimal(raw.decode())
            if str(exact) != str(record[name]) if verbatim else exact != record[name]:
                self._put(record, name, exact)
        for name, read in self._texts:
            if isinstance(record[name], int | float):
                self._put(record, name, bytes(read(row)).decode())

    def _put(self, record: dict[str, Any], name: str, exact: Decimal | str) -> None:
        record.update(self._checks[name].validate_python({name: exact}))


class _NumberText(str):
    """The text of a number, told by its class from a string."""

    __slots__ = ()


def _written(value: Any) -> msgspec.Raw:
    if isinstance(value, bool):
        return msgspec.Raw(b"true" if value else b"false")
    return msgspec.Raw(value.encode()) if isinstance(value, _NumberText) else _ABSENT


def _row(columns: Iterable[str]) -> tuple[Any, dict[str, tuple[str, Callable[[Any], msgspec.Raw]]]]:
    """Return the type of a row with the texts of some columns, and of each its name there and what reads it."""
    # A column's name need not be an identifier, an attribute's has to be.
    attributes = {f"a{number}": column for number, column in enumerate(columns)}
    try:
        members: list[Any] = [(attribute, msgspec.Raw, _ABSENT) for attribute in attributes]
        row: Any = msgspec.defstruct("_Row", members, rename=attributes)
    except ValueError:
        # msgspec has no names with quotes or backslashes in them.
        return dict[str, msgspec.Raw], {name: (name, partial(_member, name)) for name in attributes.values()}
    return row, {column: (attribute, attrgetter(attribute)) for attribute, column in attributes.items()}


def _member(name: str, row: dict[str, msgspec.Raw]) -> msgspec.Raw:
    return row.get(name, _ABSENT)
