"""
The fast path: records read straight into objects that are written at once.

msgspec takes fewer forms of a value than pydantic does, and takes about a third of its time. So it reads what it
can, what it does not check is looked at in whole columns, and **pydantic validates whatever is rejected**: for that to
change no outcome, all that is accepted here must be accepted by pydantic too, and be written alike.

A struct has members for the fields, and for the unknown keys that the records at hand have: msgspec hardly checks what
it skips, so it has to read those too. Records with other unknown keys are rejected.
"""

from __future__ import annotations

import re
from collections import deque
from itertools import pairwise, repeat
from operator import attrgetter, is_, lt
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_osmosdest.core.schema.types.core_schemas import default_of
from airflow_provider_osmosdest.core.schema.validation.encoding import encode
from airflow_provider_osmosdest.core.schema.validation.plain_values import TEMPORAL, plain_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_provider_osmosdest.core.schema.schema import DestinationSchema
    from airflow_provider_osmosdest.core.schema.validation.columns import Column

__all__ = ["FastPath"]

# A rejection costs its exception and a second reading: above this share (one in so many) pydantic alone is faster.
_ONE_IN = 16

# In small blocks a few rejections are no share to go by.
_FEW = 8

_REFUSALS = (msgspec.MsgspecError, ValueError, RecursionError)

# More unknown keys are no table's columns, and each set of them needs a struct of its own.
_MOST_UNKNOWN = 64
_MOST_STRUCTS = 8

# A little less than where pydantic's parser gives up; msgspec goes deeper. So deep, a record is twice as long at least.
_DEEPEST = 190

# msgspec rounds what it cannot keep. It begins with what is rarest, as what leads to it is looked at only there.
_LONG_SECONDS = re.compile(rb"[.](?<=[0-9]:[0-9]{2}[.])[0-9]{7}").search
# A key that is written with an escape is not found where it is looked for; the last escape in it is near its end.
_escaped_key = re.compile(rb'\\.[^"\\]*"[ \t\r\n]*:', re.DOTALL).search
_ESCAPED_DIGIT = re.compile(rb"\\u00[23]").search


class FastPath:
    """
    Read records of one schema; what it cannot read may be valid all the same.

    :param schema: the schema of the records
    :param mapping: the source column of each renamed field
    :raises ValueError: where pydantic has to read every record
    """

    def __init__(self, schema: DestinationSchema, mapping: Mapping[str, str]) -> None:
        fields = {field.name: field for field in schema.fields}
        if not all(name in fields for name in mapping):
            raise ValueError("a key that no field names is renamed")
        self._columns: list[tuple[str, Callable[[Any], Any], Column]] = []
        self._members: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for number, field in enumerate(schema.fields):
            if (value := plain_value(field)) is None:
                raise ValueError(f"{field.name} needs pydantic")
            # A field's name need not be an identifier, an attribute's has to be.
            name, (type_, columns) = f"a{number}", value
            self._columns += [(name, attrgetter(name), column) for column in columns]
            default = default_of(field)
            absent = msgspec.Raw(encode(default)) if type_ is msgspec.Raw else default
            taken = type_ if type_ is msgspec.Raw or not field.nullable else type_ | None
            required = default is None and not field.nullable
            self._members.append((name, taken) if required else (name, taken, absent))
        self._read_as = {f"a{number}": mapping.get(name, name) for number, name in enumerate(fields)}
        # Of a value that is handed over as text: its key as it is written, what reads it, and what is absent.
        self._texts = [
            (msgspec.json.encode(self._read_as[name]), attrgetter(name), absent[0] if absent else None)
            for name, type_, *absent in self._members
            if type_ is msgspec.Raw
        ]
        self._written_as = {f"a{number}": name for number, name in enumerate(fields)}
        self._keeps, self._learns = schema.unknown_fields == "keep", schema.unknown_fields != "reject"
        types = {field.type for field in schema.fields}
        self._temporal = not types.isdisjoint(TEMPORAL)
        self._nested = not types.isdisjoint(("object", "array"))
        self._one: Callable[[bytes], Any]
        self._many: Callable[[bytes], list[Any]]
        self._written: type[msgspec.Struct] | None
        self._structs = 0
        if fields:
            self._read_unknown([])
        else:
            self._read_objects()

    @classmethod
    def of(cls, schema: DestinationSchema, mapping: Mapping[str, str]) -> FastPath | None:
        """
        Return the fast path of a schema, or None where pydantic has to read every record.

        :param schema: the schema of the records
        :param mapping: the source column of each renamed field
        """
        try:
            return cls(schema, mapping)
        except (ValueError, TypeError):
            # msgspec has no names with quotes or backslashes in them, and none twice.
            return None

    def read_array(self, text: bytes) -> list[Any] | None:
        """
        Return the records of a JSON array, or None where one of them is rejected.

        :param text: the array
        """
        try:
            records = self._many(text)
        except _REFUSALS:
            return None
        deep = self._nested and text.count(b"[") + text.count(b"{") > len(records) + _DEEPEST
        if deep or (self._keeps and len(self._unknown) > 1) or (self._temporal and _is_inexact(text)):
            return None
        if self._may_be_doubled(text, records) or self._refused(records):
            return None
        self._finish(records)
        return records

    def read_each(self, texts: Sequence[bytes], block: bytes) -> tuple[list[Any], list[int]] | None:
        """
        Return a record for each text, None where it is rejected, and the positions of those.

        :param texts: a record's JSON each
        :param block: all of them, as they came
        :return: None where so many are rejected that pydantic alone is faster
        """
        most = _FEW + len(texts) // _ONE_IN
        if (decoded := self._decoded(texts, most)) is None:
            return None
        records, rejected = decoded
        refused = self._misread(records, texts, block)
        if bad := self._refused(records):
            positions = [at for at, record in enumerate(records) if record is not None]
            refused.update(positions[each] for each in bad)
        if refused:
            rejected = sorted(refused.union(rejected))
            if len(rejected) > most:
                return None
            for at in rejected:
                records[at] = None
        self._finish(records)
        return records, rejected

    def _decoded(self, texts: Sequence[bytes], most: int) -> tuple[list[Any], list[int]] | None:
        records: list[Any] = []
        rejected: list[int] = []
        unread = iter(texts)
        while len(rejected) <= most:
            try:
                # A rejection ends this; what was read before it is in the list by then, and the iterator stands behind.
                records.extend(map(self._one, unread))
            except _REFUSALS:
                if not rejected and self._learn(texts[len(records)]):
                    return self._decoded(texts, most)
                rejected.append(len(records))
                records.append(None)
            else:
                return records, rejected
        return None

    def _learn(self, text: bytes) -> bool:
        """Read the unknown keys of a record from now on; return whether there are new ones among them."""
        if not self._learns or self._structs == _MOST_STRUCTS:
            return False
        try:
            record = msgspec.json.decode(text, type=dict[str, Any])
        except _REFUSALS:
            return False
        named = {*self._read_as.values()}
        if self._keeps:
            # A kept key may not take the place of a renamed field: that is pydantic's to say.
            named.update(self._written_as.values())
        there = [key for key in record if key not in named]
        if self._keeps and any("," in key or ":" in key for key in there):
            # Looked for in its quotes, such a key may be found between those of two other texts.
            return False
        if len({*there, *self._unknown}) > _MOST_UNKNOWN or set(there) <= set(self._unknown):
            return False
        before = self._unknown
        try:
            self._read_unknown([*there, *(key for key in before if key not in there)])
        except ValueError:
            self._read_unknown(before)
            return False
        return True

    def _read_objects(self) -> None:
        """
        Read records of which no field is named as dicts.

        :raises ValueError: where their keys are not kept
        """
        if not self._keeps:
            raise ValueError("without fields, there is nothing to read")
        self._one = msgspec.json.Decoder(dict[str, Any]).decode
        self._many = msgspec.json.Decoder(list[dict[str, Any]]).decode
        self._written = None
        self._unknown: list[str] = []
        self._keys: list[bytes] = []
        self._nested, self._learns = True, False

    def _read_unknown(self, unknown: list[str]) -> None:
        """
        Make the structs for records with these unknown keys, in this order.

        :raises ValueError: where one of them cannot be the name of a member
        """
        names = {f"x{number}": key for number, key in enumerate(unknown)}
        members = [*self._members, *((name, Any, msgspec.UNSET) for name in names)]
        record = _struct(members, self._read_as | names)
        if self._texts:
            whole = [(name, Any, msgspec.UNSET) for name, *_ in members]
            self._whole = msgspec.json.Decoder(_struct(whole, self._read_as | names)).decode
        many: Any = list[record]  # type: ignore[valid-type]  # a class made at run time
        self._one = msgspec.json.Decoder(record).decode
        self._many = msgspec.json.Decoder(many).decode
        self._written = None
        if self._read_as != self._written_as:
            # What is dropped is unset by then, and its name, longer than any field's, not written.
            longest = max(map(len, self._written_as.values()))
            unwritten = {name: f"{name:_<{longest + 1}}" for name in names}
            self._written = _struct(members, self._written_as | (names if self._keeps else unwritten))
        self._unknown, self._keys = unknown, [msgspec.json.encode(key) + b":" for key in unknown]
        self._nested = self._nested or bool(unknown)
        self._structs += 1

    def _refused(self, records: list[Any]) -> set[int]:
        """Look at the columns, put into the records how their values are written, and return which are refused."""
        refused: set[int] = set()
        there = list(filter(None, records)) if self._columns else []
        for name, get, column in self._columns:
            values = list(map(get, there))
            written, bad = column.convert(values)
            refused.update(bad)
            if written is not values:
                _set_each(there, name, written)
        return refused

    def _misread(self, records: list[Any], texts: Sequence[bytes], block: bytes) -> set[int]:
        """
        Return the positions of records that msgspec may have read otherwise than pydantic does.

        :param records: None in place of those that it has not read
        """
        misread: set[int] = set()
        if self._temporal and _is_inexact(block):
            misread.update(at for at, text in enumerate(texts) if _is_inexact(text))
        if self._nested:
            misread.update(at for at, text in enumerate(texts) if _may_be_too_deep(text))
        if self._may_be_doubled(block, records):
            misread.update(at for at, text in enumerate(texts) if not self._is_json(text))
        if self._keeps and len(self._keys) > 1:
            misread.update(self._out_of_order(records, texts, block))
        return misread

    def _may_be_doubled(self, block: bytes, records: list[Any]) -> bool:
        """
        Return whether a record may have the key of a value that is handed over as text twice.

        Of those, only the last is looked at, but the others have to be JSON, too. As many keys as records say so only
        where each record was read and has one.
        """
        if not self._texts:
            return False
        return (
            _escaped_key(block) is not None
            or not all(records)
            or any(
                block.count(key) != len(records) or any(map(is_, map(get, records), repeat(absent)))
                for key, get, absent in self._texts
            )
        )

    def _is_json(self, text: bytes) -> bool:
        try:
            self._whole(text)
        except _REFUSALS:
            return False
        return not _may_be_too_deep(text)

    def _out_of_order(self, records: list[Any], texts: Sequence[bytes], block: bytes) -> Iterable[int]:
        """Return the positions of records whose unknown keys do not stand in the order of the struct."""
        if block.count(b"{") == len(texts) and not _escaped_key(block):
            places = [[text.find(key) for text in texts] for key in self._keys]
            if all(all(map(lt, *pair)) for pair in pairwise(places)) and min(places[0], default=0) >= 0:
                return ()
        pairs = enumerate(zip(records, texts, strict=True))
        return [at for at, (record, text) in pairs if record is not None and not self._is_in_order(record, text)]

    def _is_in_order(self, record: Any, text: bytes) -> bool:
        if _escaped_key(text):
            return False
        last = -1
        for number, key in enumerate(self._keys):
            if getattr(record, f"x{number}") is msgspec.UNSET:
                continue
            place = text.find(key)
            # A key that stands there twice, in an object inside of the record perhaps, or with escapes.
            if place <= last or text.find(key, place + 1) >= 0:
                return False
            last = place
        return True

    def _finish(self, records: list[Any]) -> None:
        """Leave out what is dropped, and give the fields the names they are written with."""
        dropped = 0 if self._keeps else len(self._unknown)
        if dropped or self._written:
            there = list(filter(None, records))
            for number in range(dropped):
                _set_each(there, f"x{number}", repeat(msgspec.UNSET))
            if self._written:
                _set_each(there, "__class__", repeat(self._written))


def _struct(members: list[Any], names: Mapping[str, str]) -> type[msgspec.Struct]:
    return msgspec.defstruct("_Record", members, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False)


def _set_each(records: list[Any], name: str, values: Iterable[Any]) -> None:
    deque(map(setattr, records, repeat(name), values), maxlen=0)


def _may_be_too_deep(text: bytes) -> bool:
    return len(text) > 2 * _DEEPEST and text.count(b"[") + text.count(b"{") > _DEEPEST


def _is_inexact(text: bytes) -> bool:
    """Return whether a time in a text may have more digits than msgspec keeps."""
    return bool(_LONG_SECONDS(text) or (b"\\" in text and _ESCAPED_DIGIT(text)))
