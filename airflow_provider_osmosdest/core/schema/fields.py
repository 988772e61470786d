"""
The schema as a value: an ordered list of fields, and what happens to what is not among them.

Nothing here validates records; :mod:`.validation.bulk` and :mod:`.model` are built from these values.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

import msgspec

from airflow_provider_osmosdest.core.schema.types.number_text import PLAIN, NumberFormat

__all__ = [
    "FIELD_TYPES",
    "UNKNOWN_FIELDS",
    "WRITE_AS",
    "Constraints",
    "Field",
    "FieldType",
    "Fields",
    "UnknownFields",
    "WriteAs",
]

FieldType = Literal["string", "integer", "number", "decimal", "boolean", "date", "time", "datetime", "object", "array"]
"""What a field holds; ``docs/schema.md`` says which values each takes and how it is delivered."""

UnknownFields = Literal["drop", "reject", "keep"]
"""What becomes of a key that no field names: left out, the record is invalid, or passed on unchanged."""

WriteAs = Literal["string", "number"]
"""How a decimal is delivered: a string of its digits, or a number with all of them."""

FIELD_TYPES: tuple[str, ...] = get_args(FieldType)
UNKNOWN_FIELDS: tuple[str, ...] = get_args(UnknownFields)
WRITE_AS: tuple[str, ...] = get_args(WriteAs)


@dataclass(frozen=True, slots=True)
class Constraints:
    r"""
    What a value must satisfy beside its type; null satisfies all of them in a nullable field.

    :param minimum: smallest value allowed (integer, number, decimal, date, time, datetime)
    :param maximum: largest value allowed
    :param min_length: fewest characters of a string (code points), items of an array, keys of an object
    :param max_length: most of the same
    :param pattern: a regular expression the whole string must match, in the syntax of Rust's ``regex``
        crate: it runs in linear time, and so has no lookaround and no backreferences
    :param enum: the values allowed
    """

    minimum: Any = None
    maximum: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    enum: tuple[Any, ...] | None = None

    def given(self) -> dict[str, Any]:
        """Return the constraints that are set, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True, slots=True)
class Field:
    """
    One named value of a record.

    :param name: the key in the delivered JSON object
    :param type: one of :data:`FIELD_TYPES`
    :param nullable: whether null is allowed, and a missing key therefore delivered as null
    :param description: for people, and for the JSON Schema
    :param constraints: what else a value must satisfy
    :param written: how a number is written in formats without types (CSV, TSV, spreadsheets)
    :param source: the key or column it is read from, ``None`` for its own name
    :param coerce: what is done to a value before it is checked, of :data:`~.types.reading.COERCIONS`
    :param format: how a date or time is written, in directives of ``strptime``; none for ISO 8601
    :param default: what is delivered where a record lacks the field, as JSON has it; ``None`` for nothing
    :param write_as: whether a decimal is delivered as a JSON string or number
    """

    name: str
    type: FieldType
    nullable: bool = True
    description: str | None = None
    constraints: Constraints = field(default_factory=Constraints)
    written: NumberFormat = PLAIN
    source: str | None = None
    coerce: tuple[str, ...] = ()
    format: tuple[str, ...] = ()
    default: Any = None
    write_as: WriteAs = "string"

    def as_sent(self) -> Field:
        """Return the field for a value that stands as it is delivered already."""
        return replace(
            self, source=None, coerce=tuple(name for name in self.coerce if name != "from_string"), format=()
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the field as plain JSON values."""
        document: dict[str, Any] = {"name": self.name, "type": self.type, "nullable": self.nullable}
        for name in ("description", "source"):
            if (given_text := getattr(self, name)) is not None:
                document[name] = given_text
        if self.coerce:
            document["coerce"] = list(self.coerce)
        if self.format:
            document["format"] = self.format[0] if len(self.format) == 1 else list(self.format)
        if self.default is not None:
            document["default"] = msgspec.to_builtins(self.default)
        if self.write_as != "string":
            document["write_as"] = self.write_as
        if given := self.constraints.given():
            plain: dict[str, Any] = msgspec.to_builtins(given)
            document["constraints"] = plain | ({"enum": list(plain["enum"])} if "enum" in plain else {})
        for each in fields(self.written):
            if (value := getattr(self.written, each.name)) != getattr(PLAIN, each.name):
                document[each.name] = value
        return document


@dataclass(frozen=True, slots=True)
class Fields:
    """
    The contents of a schema, as values.

    :param fields: the fields, in the order in which they are delivered
    :param unknown_fields: what becomes of keys that no field names: ``drop``, ``reject`` or ``keep``
    :param missing_values: the texts that mean null in formats without types (CSV, TSV, spreadsheets)
    """

    fields: tuple[Field, ...]
    unknown_fields: UnknownFields = "drop"
    missing_values: tuple[str, ...] = ("",)
