"""Build the core schema of a record: its fields, read under the names that a mapping gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema.types.branches import GUARD
from airflow_provider_osmosdest.core.schema.types.core_schemas import (
    default_of,
    field_schema,
    free_schema,
    with_json_values,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_osmosdest.core.schema.fields import Fields

__all__ = ["EXTRA_BEHAVIOR", "check_mapping", "columns_of", "record_schema"]

EXTRA_BEHAVIOR: dict[str, Literal["ignore", "forbid", "allow"]] = {
    "drop": "ignore",
    "reject": "forbid",
    "keep": "allow",
}
"""pydantic's name for each value of ``unknown_fields``."""


def check_mapping(schema: Fields, mapping: Mapping[str, str]) -> None:
    """
    Refuse a mapping that names what the schema does not have.

    :param schema: the schema of the records; one that keeps unknown fields takes any name
    :param mapping: the source column of each renamed field
    :raises SchemaError: naming the keys
    """
    names = {field.name for field in schema.fields}
    unknown = [] if schema.unknown_fields == "keep" else [name for name in mapping if name not in names]
    if unknown:
        raise SchemaError(
            f"The mapping names {', '.join(map(repr, unknown))}, which the schema does not have; "
            f"expected a key among {', '.join(map(repr, sorted(names)))}, each with its source column."
        )
    if bad := [name for name, column in mapping.items() if not column]:
        raise SchemaError(f"The mapping gives no source column for {', '.join(map(repr, bad))}; expected its name.")


def columns_of(schema: Fields, mapping: Mapping[str, str]) -> dict[str, str]:
    """
    Return the source column of each renamed field: what the mapping says, else the field's own ``source``.

    :param schema: the schema of the records
    :param mapping: the source column of fields, as the task has it
    """
    return {**{field.name: field.source for field in schema.fields if field.source is not None}, **mapping}


def record_schema(schema: Fields, mapping: Mapping[str, str], *, textual: bool, verbatim: bool = False) -> CoreSchema:
    """
    Return the core schema of one record, whose output is a dict in the schema's order.

    :param schema: the schema of the records
    :param mapping: the source column of each renamed field
    :param textual: the values come from a format without types
    :param verbatim: as for :func:`.field_schema`
    """
    members: dict[str, cs.TypedDictField] = {}
    for field in schema.fields:
        value = field_schema(field, textual=textual, missing_values=schema.missing_values, verbatim=verbatim)
        default = default_of(field)
        required = default is None and not field.nullable
        if not required:
            value = cs.with_default_schema(value, default=default)
        members[field.name] = cs.typed_dict_field(value, required=required, validation_alias=mapping.get(field.name))
    for name, column in mapping.items():
        if name not in members:
            members[name] = cs.typed_dict_field(free_schema(), required=False, validation_alias=column)
    extras = schema.unknown_fields
    if extras == "keep":
        members.update(_guards(members, mapping))
    record = cs.typed_dict_schema(
        members,
        extra_behavior=EXTRA_BEHAVIOR[extras],
        extras_schema=free_schema() if extras == "keep" else None,
        config=cs.CoreConfig(loc_by_alias=False),
    )
    return with_json_values(record)


def _guards(members: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, cs.TypedDictField]:
    """Return members that refuse a kept unknown key which would take the place of a renamed field."""
    read = {mapping.get(name, name) for name in members}

    def refuse(name: str) -> CoreSchema:
        message = "Input should not have a key of this name, as the field is read from {column}"
        context = {"column": repr(mapping[name])}

        def check(_value: Any) -> Any:
            raise PydanticCustomError("renamed", message, context)

        return cs.no_info_plain_validator_function(check)

    return {
        f"{name}{GUARD}": cs.typed_dict_field(refuse(name), required=False, validation_alias=name)
        for name in mapping
        if name not in read
    }
