"""
Restore decimals exactly as they stand in the JSON text.

pydantic's parser reads ``0.12345678901234567890`` as a double before it checks the field's type.
For schemas with decimal fields, the text of just those values is therefore parsed once more.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.types.core_schemas import field_schema
from airflow_provider_osmosdest.core.schema.validation.json_cut import split_elements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_osmosdest.core.schema.schema import DestinationSchema

__all__ = ["ExactDecimals"]

# A number of up to 15 significant digits survives the way through a double (IEEE 754 binary64).
_SAFE_LENGTH = 15


class ExactDecimals:
    """
    Put back the digits that a double could not hold.

    :param schema: the schema of the records
    :param mapping: the source column of each renamed field
    """

    def __init__(self, schema: DestinationSchema, mapping: Mapping[str, str]) -> None:
        fields = [field for field in schema.fields if field.type == "decimal"]
        self._checks = {
            field.name: SchemaValidator(cs.typed_dict_schema({field.name: cs.typed_dict_field(field_schema(field))}))
            for field in fields
        }
        self._columns = {field.name: mapping.get(field.name, field.name) for field in fields}
        # A column's name need not be an identifier, an attribute's has to be; and several fields may read one column.
        attributes = {column: f"a{number}" for number, column in enumerate(dict.fromkeys(self._columns.values()))}
        self._attributes = [(attributes[column], name) for name, column in self._columns.items()]
        self._one: Any = None
        self._many: Any = None
        try:
            row = msgspec.defstruct(
                "_Row",
                [(attribute, msgspec.Raw, msgspec.Raw(b"")) for attribute in attributes.values()],
                rename={attribute: column for column, attribute in attributes.items()},
            )
        except ValueError:
            # msgspec has no names with quotes, backslashes or control characters in them.
            return
        self._one = msgspec.json.Decoder(row)
        self._many = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]  # a class made at run time

    def __bool__(self) -> bool:
        """Return whether the schema has decimal fields at all."""
        return bool(self._checks)

    def restore(self, text: bytes, record: dict[str, Any]) -> None:
        """
        Put the exact decimals into a validated record.

        :param text: the record's JSON
        :param record: what validating it gave
        :raises pydantic_core.ValidationError: where the exact value does not satisfy the field's constraints
        """
        try:
            row = self._one.decode(text) if self._one else None
        except msgspec.DecodeError:
            # NaN in a place that no field reads: JSON for pydantic and for Python, for msgspec not.
            row = None
        if row is None:
            values = json.loads(text, parse_float=Decimal)
            for name, column in self._columns.items():
                if isinstance(exact := values.get(column), Decimal):
                    self._put(record, name, exact)
            return
        self._restore(row, record)

    def restore_all(self, text: bytes, records: list[dict[str, Any] | None]) -> None:
        """
        Put the exact decimals into validated records; one whose exact value is not allowed becomes None.

        :param text: the JSON array of the records
        :param records: what validating it gave
        """
        try:
            rows = self._many.decode(text) if self._many else None
        except msgspec.MsgspecError:
            rows = None
        if rows is None:
            for position, each in enumerate(split_elements(text[1:-1])):
                if (record := records[position]) is not None:
                    try:
                        self.restore(each, record)
                    except ValidationError:
                        records[position] = None
            return
        for position, (row, record) in enumerate(zip(rows, records, strict=True)):
            if record is not None:
                try:
                    self._restore(row, record)
                except ValidationError:
                    records[position] = None

    def _restore(self, row: Any, record: dict[str, Any]) -> None:
        for attribute, name in self._attributes:
            raw = bytes(getattr(row, attribute))
            if (len(raw) > _SAFE_LENGTH or b"e" in raw or b"E" in raw) and raw[:1] in b"-0123456789":
                self._put(record, name, Decimal(raw.decode()))

    def _put(self, record: dict[str, Any], name: str, exact: Decimal) -> None:
        if exact != record[name]:
            record.update(self._checks[name].validate_python({name: exact}))
