"""
Build a pydantic model of a schema, for code that handles one record at a time.

Its fields are the very core schemas that the bulk validator uses, so the two cannot disagree on a value.
"""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import msgspec
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, create_model, model_validator
from pydantic import Field as ModelField
from pydantic_core import PydanticCustomError
from pydantic_core import core_schema as cs

from airflow_provider_osmosdest.core.schema.json_schema import field_json_schema, taken_field_json_schema
from airflow_provider_osmosdest.core.schema.record_schema import EXTRA_BEHAVIOR
from airflow_provider_osmosdest.core.schema.types.core_schemas import (
    default_of,
    field_schema,
    free_schema,
    with_json_values,
)
from airflow_provider_osmosdest.core.schema.types.json_values import JSON_VALUE
from airflow_provider_osmosdest.core.schema.validation.encoding import encode, with_numbers

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

    from airflow_provider_osmosdest.core.schema.fields import Field, Fields

__all__ = ["build_model"]


def build_model(schema: Fields, name: str) -> type[BaseModel]:
    """
    Return a pydantic model of a schema's records; see :meth:`.DestinationSchema.to_model`.

    A field is read from its ``source`` where it has one, and written under its name. One whose name cannot be an
    attribute (``class``, ``json``, ``_id``, ``first name``) has another attribute.

    :param schema: the schema of the records
    :param name: the name of the class
    """
    base = _Keeping if schema.unknown_fields == "keep" else _Record
    config = ConfigDict(extra=EXTRA_BEHAVIOR[schema.unknown_fields])
    attributes = _attribute_names([field.name for field in schema.fields])
    numbers = {
        name for field in schema.fields if field.write_as == "number" for name in (field.name, attributes[field.name])
    }
    bases = (_WithNumbers, base) if numbers else (base,)
    about = {"__module__": __name__, "model_config": config, "__number_names__": frozenset(numbers)}
    bare = type(name, bases, about)
    members: dict[str, Any] = {}
    for field in schema.fields:
        default = default_of(field)
        info = ModelField(
            ... if default is None and not field.nullable else default,
            validation_alias=field.source or field.name,
            serialization_alias=field.name,
            description=field.description,
        )
        members[attributes[field.name]] = (Annotated[Any, _FieldType(field, schema.missing_values)], info)
    return create_model(name, __base__=bare, **members)


class _JsonValues:
    """Adds to pydantic's definitions the one that free-form values refer to."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return with_json_values(cs.definition_reference_schema(JSON_VALUE))


class _FieldType:
    """Gives pydantic a field's core schema and JSON Schema in place of those of its annotation."""

    def __init__(self, field: Field, missing_values: tuple[str, ...]) -> None:
        self._field = field
        self._missing_values = missing_values

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        handler.generate_schema(_JsonValues)
        return field_schema(self._field, missing_values=self._missing_values)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = taken_field_json_schema if handler.mode == "validation" else field_json_schema
        return described(self._field)


class _FreeType:
    """Any JSON value without NaN and Infinity."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        handler.generate_schema(_JsonValues)
        return free_schema()

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {}


class _Record(BaseModel):
    model_config = ConfigDict(protected_namespaces=(), serialize_by_alias=True)


class _WithNumbers(_Record):
    """Writes some of its decimals as numbers, which pydantic could do by way of a double only."""

    __number_names__: ClassVar[frozenset[str]]

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        dumped = self.model_dump(**options)
        text = encode(with_numbers(dumped, self.__number_names__ & dumped.keys()))
        return (text if indent is None else msgspec.json.format(text, indent=indent)).decode()


class _Keeping(_Record):
    __pydantic_extra__: dict[str, Annotated[Any, _FreeType()]] = ModelField(init=False)

    @model_validator(mode="after")
    def _has_no_name_twice(self) -> Self:
        names = {info.serialization_alias for info in type(self).model_fields.values()}
        if twice := [name for name in self.__pydantic_extra__ if name in names]:
            message = "Input should not have the key {key}, as the field of this name is read from another"
            raise PydanticCustomError("renamed", message, {"key": repr(twice[0])})
        return self


def _attribute_names(names: list[str]) -> dict[str, str]:
    """Return an attribute for every field's name: the name itself wherever Python and pydantic allow it."""
    attributes = {name: name for name in names if _is_usable(name)}
    taken = set(attributes)
    for name in names:
        if name in attributes:
            continue
        stem = "field_" + re.sub(r"\W", "_", name).strip("_")
        attribute, number = stem, 2
        while attribute in taken:
            attribute, number = f"{stem}_{number}", number + 1
        attributes[name] = attribute
        taken.add(attribute)
    return attributes


def _is_usable(name: str) -> bool:
    return (
        name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_") and not hasattr(_Record, name)
    )
