"""Convert the JSON Schema keywords of a property to a field's type and constraints."""

from __future__ import annotations

import math
import re
from typing import Any, cast

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema.fields import Constraints, FieldType
from airflow_provider_osmosdest.core.schema.importing.flatten import ANNOTATIONS
from airflow_provider_osmosdest.core.schema.types.patterns import pattern_problem

__all__ = ["constraints", "field_type"]

_TEMPORAL: dict[str, FieldType] = {"date": "date", "time": "time", "date-time": "datetime"}
_LENGTHS = {
    "string": ("minLength", "maxLength"),
    "object": ("minProperties", "maxProperties"),
    "array": ("minItems", "maxItems"),
}

# The types that a keyword applies to; JSON Schema ignores it on a value of any other type.
_SPEAKS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), ("integer", "number", "decimal")
    ),
    **dict.fromkeys(("minLength", "maxLength", "pattern"), ("string",)),
    **dict.fromkeys(("formatMinimum", "formatMaximum"), ("date", "time", "datetime")),
    **dict.fromkeys(
        [
            "minProperties",
            "maxProperties",
            "properties",
            "required",
            "additionalProperties",
            "patternProperties",
            "propertyNames",
            "unevaluatedProperties",
            "dependentRequired",
            "dependentSchemas",
            "dependencies",
        ],
        ("object",),
    ),
    **dict.fromkeys(
        [
            "minItems",
            "maxItems",
            "items",
            "prefixItems",
            "additionalItems",
            "contains",
            "minContains",
            "maxContains",
            "unevaluatedItems",
            "uniqueItems",
        ],
        ("array",),
    ),
}
_INEXPRESSIBLE = frozenset({"multipleOf"})
_ALWAYS = ANNOTATIONS | {"type", "nullable", "format", "enum", "readOnly", "writeOnly"}

# ^…$ around a pattern without alternatives at its top: the rest is what the whole value has to match.
_ANCHORED = re.compile(r"\^(?P<whole>(?:\\.|[^\\|])*)(?<!\\)\$", re.DOTALL)


def field_type(prop: dict[str, Any], where: str) -> FieldType:
    """
    Return the type of the field that holds a property.

    :param prop: the property's flat schema
    :param where: the property, for messages
    :raises SchemaError: where there is none, or more than one
    """
    types = set(prop["type"]) if "type" in prop else _types_by_keyword(prop)
    if types == {"number", "string"} and prop.get("format") == "decimal":
        return "decimal"
    if types == {"integer", "number"}:
        types = {"number"}
    if len(types) != 1:
        found = ", ".join(sorted(types)) or "none"
        raise SchemaError(f"{where}: expected one type beside null, found {found}. Write this field by hand.")
    type_ = types.pop()
    if type_ not in ("string", "integer", "number", "boolean", "object", "array"):
        raise SchemaError(f"{where}: {type_!r} is no type of JSON Schema.")
    if prop.get("format") == "decimal" and type_ in ("string", "number"):
        return "decimal"
    if type_ == "string" and not prop.keys() & {"pattern", "minLength", "maxLength"}:
        # With a constraint on the text, the text is what has to be kept.
        return _TEMPORAL.get(prop.get("format", ""), "string")
    return cast("FieldType", type_)


def constraints(type_: str, prop: dict[str, Any], where: str) -> Constraints:
    """
    Return the constraints of the field that holds a property.

    :param type_: the field's type
    :param prop: the property's flat schema
    :param where: the property, for messages
    :raises SchemaError: where a keyword cannot be expressed
    """
    unknown = [
        keyword
        for keyword in prop
        if keyword not in _ALWAYS
        and not keyword.startswith("x-")
        and (keyword in _INEXPRESSIBLE or keyword not in _SPEAKS_OF)
        and type_ in _SPEAKS_OF.get(keyword, (type_,))
    ]
    if unknown:
        raise SchemaError(f"{where}: {', '.join(unknown)} cannot be expressed. Write this field by hand.")
    given: dict[str, Any] = {}
    if type_ in _TEMPORAL.values():
        given |= _taken(prop, formatMinimum="minimum", formatMaximum="maximum")
    if type_ in ("integer", "number", "decimal"):
        given |= _bounds(type_, prop, where)
    if type_ in _LENGTHS:
        shortest, longest = _LENGTHS[type_]
        given |= _taken(prop, **{shortest: "min_length", longest: "max_length"})
    if type_ == "string" and "pattern" in prop:
        given["pattern"] = _whole_pattern(prop["pattern"], where)
    if "enum" in prop:
        given["enum"] = tuple(prop["enum"])
    return Constraints(**given)


def _types_by_keyword(prop: dict[str, Any]) -> set[str]:
    """Return the types of a property that names none, from its other keywords."""
    if "enum" in prop:
        names = {bool: "boolean", str: "string", int: "integer", float: "number", dict: "object", list: "array"}
        return {names.get(type(value), "null") for value in prop["enum"]}
    if "properties" in prop:
        return {"object"}
    return {"array"} if "items" in prop else set()


def _taken(prop: dict[str, Any], **names: str) -> dict[str, Any]:
    return {name: prop[keyword] for keyword, name in names.items() if keyword in prop}


def _bounds(type_: str, prop: dict[str, Any], where: str) -> dict[str, Any]:
    bounds = _taken(prop, minimum="minimum", maximum="maximum")
    for keyword, name, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
        exclusive = prop.get(keyword)
        if exclusive is None or exclusive is False:
            continue
        if type_ != "integer":
            raise SchemaError(f"{where}: {keyword} of a {type_} cannot be expressed, only {name}. Write it by hand.")
        # Draft 4 and OpenAPI 3.0 have true here and the bound beside it.
        edge = prop.get(name) if exclusive is True else exclusive
        if isinstance(edge, bool) or not isinstance(edge, int | float):
            raise SchemaError(f"{where}: {keyword}: expected a number, found {edge!r}.")
        nearest = math.floor(edge) + 1 if step > 0 else math.ceil(edge) - 1
        narrower = max if step > 0 else min
        bounds[name] = nearest if exclusive is True or name not in bounds else narrower(nearest, bounds[name])
    return bounds


def _whole_pattern(pattern: Any, where: str) -> str:
    """Return the pattern for the whole value; JSON Schema's may match anywhere in it."""
    if not isinstance(pattern, str):
        raise SchemaError(f"{where}: pattern: expected a regular expression, found {pattern!r}.")
    inner = pattern.removeprefix("^(?:").removesuffix(")$")
    if len(inner) == len(pattern) - len("^(?:)$") and pattern_problem(inner) is None:
        return inner
    if match := _ANCHORED.fullmatch(pattern):
        return match["whole"]
    return f"(?s:.*)(?:{pattern})(?s:.*)"
