"""
Schemas: what a record must look like, and the validation of records in blocks.

In come schema documents and models; out go schemas as values, and what validates and describes records by them.
"""

from __future__ import annotations

from airflow_provider_osmosdest.core.schema.fields import Constraints, Field
from airflow_provider_osmosdest.core.schema.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.validation.blocks import Block, JsonElements, JsonLines, Rows
from airflow_provider_osmosdest.core.schema.validation.bulk import BulkValidator, InvalidRecord, Validated

__all__ = [
    "Block",
    "BulkValidator",
    "Constraints",
    "DestinationSchema",
    "Field",
    "InvalidRecord",
    "JsonElements",
    "JsonLines",
    "Rows",
    "Validated",
]
