"""
Flatten a JSON Schema that is spread over references, ``allOf`` and alternatives with null.

A flat schema has ``type`` as a list without ``"null"``, ``const`` as an ``enum`` of one, an ``enum`` without
null, and under ``nullable`` whether null is allowed: None where nothing is said about types at all.
What stands inside ``properties`` and ``items`` is not flat yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema.importing.references import target

__all__ = ["ANNOTATIONS", "flatten"]

ANNOTATIONS = frozenset(
    [
        "title",
        "description",
        "default",
        "example",
        "examples",
        "deprecated",
        "xml",
        "externalDocs",
        "contentMediaType",
        "contentEncoding",
        "$schema",
        "$id",
        "$anchor",
        "$comment",
        "$defs",
        "definitions",
        "$dynamicAnchor",
        "$vocabulary",
        "id",
        "components",
        "discriminator",
    ]
)
"""Keywords that say nothing about which values are valid."""

_COMBINING = frozenset({"$ref", "allOf", "anyOf", "oneOf", "const"})
_LARGER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_SMALLER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})


def flatten(document: Mapping[str, Any], node: Any, where: str, inside: tuple[str, ...] = ()) -> dict[str, Any]:
    """
    Return the flat form of a schema.

    :param document: the whole document, in which references point
    :param node: the schema
    :param where: what it describes, for messages
    :param inside: the references that led here
    :raises SchemaError: where it has no flat form
    """
    if node is True:
        node = {}
    if not isinstance(node, Mapping):
        raise SchemaError(f"{where}: expected a JSON Schema object, found {node!r}.")
    flat = _own(node, where)
    if "$ref" in node:
        reference = node["$ref"]
        if reference in inside:
            raise SchemaError(f"{where}: the reference {reference!r} leads back to itself.")
        meant = flatten(document, target(document, reference, where), where, (*inside, reference))
        flat = _merge(meant, flat, where)
    for part in _parts(node, "allOf", where):
        flat = _merge(flat, flatten(document, part, where, inside), where)
    for keyword in ("anyOf", "oneOf"):
        if keyword in node:
            parts = [flatten(document, part, where, inside) for part in _parts(node, keyword, where)]
            flat = _merge(flat, _alternative(parts, keyword, where), where)
    return flat


def _own(node: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what a schema says itself, leaving out what it combines."""
    flat = {key: value for key, value in node.items() if key not in _COMBINING}
    types = node.get("type")
    nullable = None if types is None else False
    if types is not None:
        types = [types] if isinstance(types, str) else types
        if not isinstance(types, list) or not all(isinstance(each, str) for each in types):
            raise SchemaError(f"{where}: type: expected the name of a type or a list of such, found {types!r}.")
        flat["type"] = [each for each in types if each != "null"]
        nullable = "null" in types
    values = [node["const"]] if "const" in node else node.get("enum")
    if values is not None:
        if not isinstance(values, list):
            raise SchemaError(f"{where}: enum: expected a list of values, found {values!r}.")
        flat["enum"] = [value for value in values if value is not None]
        nullable = None in values and nullable is not False
    # OpenAPI 3.0 has a keyword of its own for it.
    flat["nullable"] = True if node.get("nullable") is True else nullable
    return flat


def _parts(node: Mapping[str, Any], keyword: str, where: str) -> list[Any]:
    parts = node.get(keyword, [])
    if not isinstance(parts, list):
        raise SchemaError(f"{where}: {keyword}: expected a list of schemas, found {parts!r}.")
    return parts


def _is_null(flat: dict[str, Any]) -> bool:
    """Return whether a flat schema allows nothing but null."""
    return bool(flat["nullable"]) and (flat.get("type") == [] or flat.get("enum") == [])


def _alternative(parts: list[dict[str, Any]], keyword: str, where: str) -> dict[str, Any]:
    """Return the flat schema of what satisfies one of several, as far as there is one."""
    nullable = any(part["nullable"] for part in parts)
    rest = [part for part in parts if not _is_null(part)]
    if not rest:
        return {"type": [], "nullable": nullable}
    bare = [{key: value for key, value in part.items() if key not in ANNOTATIONS | {"nullable"}} for part in rest]
    if all(part == bare[0] for part in bare):
        return {**rest[0], "nullable": nullable or rest[0]["nullable"]}
    if all(part.keys() <= {"type", "enum"} and "enum" in part for part in bare):
        return {"enum": [value for part in bare for value in part["enum"]], "nullable": nullable}
    if len(bare) == 2 and {tuple(part.get("type", ())) for part in bare} == {("number",), ("string",)}:  # noqa: PLR2004
        # How pydantic, and so FastAPI, describes a decimal.
        number = next(part for part in bare if part["type"] == ["number"])
        return {**number, "type": ["number", "string"], "format": "decimal", "nullable": nullable}
    kinds = ", ".join("/".join(part.get("type", ())) or "anything" for part in bare)
    raise SchemaError(
        f"{where}: {keyword} has {len(rest)} alternatives beside null ({kinds}), and a field has one type. "
        f"Write this field by hand."
    )


def _merge(one: dict[str, Any], other: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the flat schema of what satisfies both; annotations are those of the other."""
    both = {**one, **other}
    for key in one.keys() & other.keys():
        if one[key] != other[key] and key not in ANNOTATIONS:
            both[key] = _together(key, one[key], other[key], where)
    both["nullable"] = _nullable_together(one, other)
    return both


def _nullable_together(one: dict[str, Any], other: dict[str, Any]) -> bool | None:
    said = [part for part in (one, other) if part["nullable"] is not None]
    if any(part["nullable"] and not part.keys() & {"type", "enum"} for part in said):
        # OpenAPI 3.0: {"nullable": true, "allOf": [{"$ref": ...}]} is how a referenced schema is made nullable.
        return True
    return all(part["nullable"] for part in said) if said else None


def _together(key: str, one: Any, other: Any, where: str) -> Any:  # noqa: C901, PLR0911 - a table of keywords
    """Return the value of a keyword that says what both of its values say."""
    match key:
        case "nullable":
            return None
        case "type":
            narrow = [each for each in one if each in other or (each == "integer" and "number" in other)]
            return narrow + [each for each in other if each == "integer" and "number" in one]
        case "enum":
            return [value for value in one if value in other]
        case "required":
            return [*one, *(name for name in other if name not in one)]
        case "properties":
            shared = {name: {"allOf": [one[name], other[name]]} for name in one if name in other}
            return {**one, **other, **shared}
        case "items":
            return {"allOf": [one, other]}
        case "additionalProperties" if isinstance(one, bool) and isinstance(other, bool):
            return False
        case "readOnly" | "writeOnly" | "uniqueItems":
            return True
    if key in _LARGER and not isinstance(one, bool) and not isinstance(other, bool):
        return max(one, other)
    if key in _SMALLER and not isinstance(one, bool) and not isinstance(other, bool):
        return min(one, other)
    raise SchemaError(f"{where}: allOf gives {key} as {one!r} and as {other!r}, and a field has one. Write it by hand.")
