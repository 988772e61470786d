"""The schema of a destination: read from any of its forms, and turned into models and documents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

__all__ = ["DestinationSchema"]


@dataclass(frozen=True, slots=True)
class DestinationSchema(Fields):
    """
    What every delivered record looks like.

    :param fields: the fields, in the order in which they are delivered
    :param unknown_fields: what becomes of keys that no field names: ``drop``, ``reject`` or ``keep``
    :param missing_values: the texts that mean null in formats without types (CSV, TSV, spreadsheets)
    :raises SchemaError: where the schema contradicts itself; one message names every field concerned
    """

    def __post_init__(self) -> None:
        from airflow_provider_osmosdest.core.schema.checks import schema_problems

        if problems := schema_problems(self.fields, self.unknown_fields, self.missing_values):
            raise SchemaError(f"The schema cannot be used: {'; '.join(problems)}.")

    @classmethod
    def load(cls, value: DestinationSchema | Mapping[str, Any] | Sequence[Any] | str | bytes) -> DestinationSchema:
        """
        Read a schema from whatever form it comes in.

        :param value: a schema (returned as it is), a mapping in the form of :meth:`to_dict` or a Table
            Schema document, a list of fields, or the JSON text of any of these
        :raises SchemaError: naming every field that is wrong, what was found and what was expected
        """
        from airflow_provider_osmosdest.core.schema.loading import load_fields

        if isinstance(value, DestinationSchema):
            return value
        loaded = load_fields(value)
        return cls(loaded.fields, loaded.unknown_fields, loaded.missing_values)

    @classmethod
    def any_object(cls) -> DestinationSchema:
        """Return the schema that every JSON object satisfies, and that passes it on unchanged."""
        return cls(fields=(), unknown_fields="keep")

    def as_sent(self) -> DestinationSchema:
        """Return the schema for records that stand as it delivers them already."""
        return replace(self, fields=tuple(each.as_sent() for each in self.fields))

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain JSON values, from which :meth:`load` makes an equal schema."""
        return {
            "fields": [each.to_dict() for each in self.fields],
            "unknown_fields": self.unknown_fields,
            "missing_values": list(self.missing_values),
        }

    def to_model(self, name: str = "Record") -> type[BaseModel]:
        """
        Return a pydantic model that accepts exactly the records that the bulk validator accepts.

        :param name: the name of the class
        """
        from airflow_provider_osmosdest.core.schema.model import build_model

        return build_model(self, name)

    def to_json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) of a record as it is delivered."""
        from airflow_provider_osmosdest.core.schema.json_schema import to_json_schema

        return to_json_schema(self)
