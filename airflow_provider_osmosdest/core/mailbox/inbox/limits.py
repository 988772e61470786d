"""
Find posted records that are too deep, too wide or ambiguous, whatever their schema says.

Parsers disagree on a key that is there twice, and on ``NaN``; a record that two readers read differently is rejected.
Finding such keys takes a parser that reports each, which costs as much as validating. So a whole block is first
cleared by counting: parsed into dicts, it has as many keys as there are closing quotes before a colon, or fewer.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Fault", "Limits"]

_WHITE_SPACE = b" \t\r\n"

_SHORTEST_FIELD = 5
"""The fewest bytes that a field takes: ``"":0`` and what separates it from the next."""

_CONTAINERS = 100
"""How many objects and arrays a record may hold for each field it may have: an empty one is 2 bytes, and 60 read."""

_parse = msgspec.json.Decoder().decode
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},]', re.DOTALL)


class Fault(NamedTuple):
    """
    Why a record is rejected.

    :param reason: for the sender
    :param field: the key it is about, ``None`` where it is the whole record
    """

    reason: str
    field: str | None = None


class _FaultError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The limits of a record's size and nesting.

    :param depth: how deep its objects and arrays may be nested, itself being the first
    :param fields: how many keys it may have, those of nested objects included
    """

    depth: int
    fields: int

    def clear(self, array: bytes, longest: int) -> bool:
        """
        Tell quickly that many records are within the limits; ``False`` does not mean that one is not.

        :param array: a JSON array of them
        :param longest: the bytes of the longest of them
        """
        if _containers(array) > self.fields * _CONTAINERS:
            return False
        try:
            level: list[Any] = _parse(array)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return False
        records = [each for each in level if type(each) is dict]
        flat = array.count(b"{") == len(records) > 0 and array.count(b"[") == 1
        if longest >= _SHORTEST_FIELD * self.fields and not (flat and max(map(len, records)) <= self.fields):
            return False
        keys = 0
        for _ in range(self.depth):
            keys += sum(len(each) for each in level if type(each) is dict)
            level = [] if flat else _inside(level)
            if not level:
                break
        return not level and keys == array.translate(None, _WHITE_SPACE).count(b'":')

    def fault(self, text: bytes) -> Fault | None:
        """
        Return what is wrong with a record; ``None`` for nothing, and for what is not JSON.

        :param text: one JSON value in UTF-8
        """
        fields = 0
        if _containers(text) > self.fields * _CONTAINERS:
            return Fault(f"the record holds more than {self.fields * _CONTAINERS:,} objects and arrays")

        def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            nonlocal fields
            fields += len(pairs)
            found = dict(pairs)
            if len(found) != len(pairs):
                _reject_duplicate(pairs)
            return found

        decoder = json.JSONDecoder(object_pairs_hook=read, parse_constant=_reject_constant, parse_int=len)
        try:
            value = decoder.decode(text.decode())
        except _FaultError as error:
            return error.fault
        except RecursionError:
            return self.too_deep
        except ValueError:
            return None
        if fields > self.fields:
            return self.too_wide(fields)
        level = [value]
        for _ in range(self.depth):
            level = _inside(level)
        return self.too_deep if level else None

    def first_too_deep(self, array: bytes) -> int:
        """
        Return the index of the first record that is nested too deep, without following it down.

        :param array: a JSON array that holds such a record
        """
        depth = index = 0
        for match in _TOKEN.finditer(array):
            token = match[0]
            if token in b"[{":
                depth += 1
                if depth > self.depth + 1:
                    break
            elif token in b"]}":
                depth -= 1
            elif token == b"," and depth == 1:
                index += 1
        return index

    def too_wide(self, fields: int) -> Fault:
        """
        Return the fault of a record with too many keys.

        :param fields: how many it has
        """
        return Fault(f"the record has {fields:,} fields, more than the {self.fields:,} that are taken")

    @property
    def too_deep(self) -> Fault:
        """Return the fault of a record that is nested too deep."""
        return Fault(f"the record is nested more than {self.depth} deep")


def _containers(text: bytes) -> int:
    """Return how many objects and arrays a text holds, or more."""
    return text.count(b"[") + text.count(b"{")


def _inside(level: Collection[Any]) -> list[Any]:
    """Return the objects and arrays right inside of others."""
    return [
        value
        for each in level
        if type(each) is dict or type(each) is list
        for value in (each.values() if type(each) is dict else each)
        if type(value) is dict or type(value) is list
    ]


def _reject_duplicate(pairs: list[tuple[str, Any]]) -> NoReturn:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _FaultError(Fault(f"the key {key[:100]!r} is there more than once", key[:100]))
        seen.add(key)
    raise AssertionError("no key is there twice")


def _reject_constant(name: str) -> NoReturn:
    raise _FaultError(Fault(f"{name} is no JSON value; send null, or leave the field out"))
