"""
The fast path: records of plain fields, read straight into objects that are written at once.

msgspec takes fewer forms of a value than pydantic does, and takes about a third of its time. So it reads what it
can, and **pydantic validates whatever msgspec rejects**: for that to change no outcome, all that msgspec accepts must
be accepted by pydantic too, and be written alike. Only schemas for which that holds get a fast path, and no record with
an unknown field is read by it, as msgspec hardly checks what it skips.
"""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from airflow_provider_osmosdest.core.schema.types.core_schemas import constant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_osmosdest.core.schema.fields import Field
    from airflow_provider_osmosdest.core.schema.schema import DestinationSchema

__all__ = ["FastPath"]

# A rejection costs its exception and a second reading: above this share (one in so many) pydantic alone is faster.
_ONE_IN = 16

# In small blocks a few rejections are no share to go by.
_FEW = 8

_REFUSALS = (msgspec.MsgspecError, ValueError, RecursionError)

# Up to here a bound is the same as integer and as double.
_EXACT = 2**53


class FastPath:
    """
    Read records of one schema; what it cannot read may be valid all the same.

    :param record: a struct type made of a schema's fields
    """

    def __init__(self, record: type[msgspec.Struct]) -> None:
        self._one: Callable[[bytes], msgspec.Struct] = msgspec.json.Decoder(record).decode
        many: Any = list[record]  # type: ignore[valid-type]  # a class made at run time
        self._many: Callable[[bytes], list[Any]] = msgspec.json.Decoder(many).decode

    @classmethod
    def of(cls, schema: DestinationSchema, mapping: Mapping[str, str]) -> FastPath | None:
        """
        Return the fast path of a schema, or None where pydantic has to read every record.

        :param schema: the schema of the records
        :param mapping: the source column of each renamed field
        """
        # A struct's fields are written under the names they are read from.
        renamed = any(name != column for name, column in mapping.items())
        if renamed or not schema.fields or schema.unknown_fields == "keep":
            return None
        members: list[tuple[str, Any] | tuple[str, Any, None]] = []
        for number, field in enumerate(schema.fields):
            if (type_ := _type(field)) is None:
                return None
            # A field's name need not be an identifier, an attribute's has to be.
            name = f"a{number}"
            members.append((name, type_ | None, None) if field.nullable else (name, type_))
        try:
            record = msgspec.defstruct(
                "_Record",
                members,
                rename={f"a{number}": field.name for number, field in enumerate(schema.fields)},
                forbid_unknown_fields=True,
                kw_only=True,
                gc=False,
            )
            return cls(record)
        except ValueError:
            # msgspec has no names with quotes or backslashes in them.
            return None

    def read_array(self, text: bytes) -> list[Any] | None:
        """
        Return the records of a JSON array, or None where one of them is rejected.

        :param text: the array
        """
        try:
            return self._many(text)
        except _REFUSALS:
            return None

    def read_each(self, texts: Sequence[bytes], fallback: Callable[[int, bytes], Any]) -> list[Any] | None:
        """
        Return the records of the texts that have one; None where so many are rejected that pydantic alone is faster.

        :param texts: a record's JSON each
        :param fallback: called with the number of records found before a text that is rejected, and that text;
            returns its record, or None where it has none
        """
        records: list[Any] = []
        unread = iter(texts)
        without = 0
        for _ in range(_FEW + len(texts) // _ONE_IN + 1):
            try:
                # A rejection ends this; what was read before it is in the list by then, and the iterator stands behind.
                records.extend(map(self._one, unread))
            except _REFUSALS:
                found = len(records)
            else:
                return records
            record = fallback(found, texts[found + without])
            if record is None:
                without += 1
            else:
                records.append(record)
        return None


def _type(field: Field) -> Any:
    """Return the type that takes a field's values, null aside, or None where msgspec would not do as pydantic does."""
    given = field.constraints.given()
    if field.type in ("boolean", "date"):
        return None if given else {"boolean": bool, "date": date}[field.type]
    if "enum" in given:
        # msgspec's literals are texts and small integers, and no other constraint can be combined with them.
        return _literal(field) if set(given) == {"enum"} else None
    if field.type == "string":
        return None if "pattern" in given else _narrowed(str, given)
    if field.type not in ("integer", "number"):
        return None
    limits = {{"minimum": "ge", "maximum": "le"}[name]: constant(field.type, bound) for name, bound in given.items()}
    if any(abs(bound) > _EXACT for bound in limits.values()):
        return None
    whole = _narrowed(int, {name: (math.ceil if name == "ge" else math.floor)(at) for name, at in limits.items()})
    return whole if field.type == "integer" else whole | _narrowed(float, limits)


def _literal(field: Field) -> Any:
    values = [constant(field.type, value) for value in field.constraints.enum or ()]
    if field.type == "string" or (field.type == "integer" and all(abs(value) <= _EXACT for value in values)):
        return Literal[tuple(values)]
    return None


def _narrowed(type_: Any, limits: Mapping[str, Any]) -> Any:
    return Annotated[type_, msgspec.Meta(**limits)] if limits else type_
