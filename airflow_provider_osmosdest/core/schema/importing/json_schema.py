"""
Make a schema from a JSON Schema, as far as both can express the same.

What only the JSON Schema can express is refused by name, with three exceptions. The inside of objects and arrays is
not read, since such fields are free-form here. The ``format`` of a string other than date, time,
date-time and decimal is an annotation, as it is in JSON Schema itself. And a property that may be missing
is nullable, so that it is delivered as null where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema.fields import (
    Constraints,
    Field,
    FieldType,
    UnknownFields,
)
from airflow_provider_osmosdest.core.schema.importing.flatten import ANNOTATIONS, flatten
from airflow_provider_osmosdest.core.schema.importing.keywords import constraints, field_type
from airflow_provider_osmosdest.core.schema.schema import DestinationSchema

__all__ = ["schema_from_json_schema", "schema_of_node"]

_RECORD_KEYWORDS = ANNOTATIONS | {"type", "nullable", "properties", "required", "additionalProperties"}


def schema_from_json_schema(document: Mapping[str, Any]) -> DestinationSchema:
    """
    Return the schema of the records that a JSON Schema describes.

    :param document: a JSON Schema of an object with properties, or of an array of such
    :raises SchemaError: naming the properties that cannot be expressed, and why
    """
    if not isinstance(document, Mapping):
        raise SchemaError(f"The JSON Schema cannot be used: expected an object, found {type(document).__name__}.")
    return schema_of_node(document, document)


def schema_of_node(
    document: Mapping[str, Any], node: Any, *, where: str = "the record", written: bool = False
) -> DestinationSchema:
    """
    Return the schema of the records that one part of a document describes.

    :param document: the whole document, in which references point
    :param node: the JSON Schema of an object, or of an array of objects
    :param where: what the node describes, for messages
    :param written: leave out properties that are ``readOnly``: they are in answers, never in what is sent
    :raises SchemaError: naming the properties that cannot be expressed, and why
    """
    flat = flatten(document, node, where)
    if flat.get("type") == ["array"]:
        where = f"an item of {where}"
        flat = flatten(document, flat.get("items", True), where)
    properties = flat.get("properties")
    if flat.get("type", ["object"]) != ["object"] or not isinstance(properties, Mapping) or not properties:
        found = "/".join(flat.get("type", ())) or "no type"
        raise SchemaError(
            f"{where}: expected an object with properties, or an array of such, found {found}"
            f"{'' if properties else ' without properties'}."
        )
    problems = [f"{where}: {keyword} cannot be expressed" for keyword in flat if keyword not in _RECORD_KEYWORDS]
    if not isinstance(flat.get("additionalProperties", True), bool) and flat["additionalProperties"] != {}:
        problems.append(f"{where}: additionalProperties with a schema cannot be expressed, only true and false")
    required = set(flat.get("required", ()))
    fields = []
    for name, part in properties.items():
        try:
            prop = flatten(document, part, f"property {name!r}")
            if not (written and prop.get("readOnly") is True):
                fields.append(_field(name, prop, required=name in required))
        except SchemaError as error:
            problems.append(str(error).removesuffix("."))
    problems.extend(f"property {name!r}: required, but not among the properties" for name in required - set(properties))
    if problems:
        raise SchemaError(f"The JSON Schema cannot be used: {'; '.join(problems)}.")
    unknown: UnknownFields = "drop"
    if "additionalProperties" in flat:
        unknown = "reject" if flat["additionalProperties"] is False else "keep"
    return DestinationSchema(tuple(fields), unknown)


def _field(name: str, prop: dict[str, Any], *, required: bool) -> Field:
    where = f"property {name!r}"
    type_: FieldType = field_type(prop, where)
    limits: Constraints = constraints(type_, prop, where)
    description = prop.get("description")
    nullable = not required or prop["nullable"] is True
    return Field(
        name,
        type_,
        nullable,
        description if isinstance(description, str) else None,
        limits,
        default=prop.get("default"),
        write_as="number" if type_ == "decimal" and "string" not in prop.get("type", ["string"]) else "string",
    )
