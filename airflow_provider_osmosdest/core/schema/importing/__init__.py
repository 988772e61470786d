"""
Schemas made from what there is.

In come a sample of records, a JSON Schema or an OpenAPI document; out go schemas, for a person to look over.
"""

from __future__ import annotations

from airflow_provider_osmosdest.core.schema.importing.json_schema import schema_from_json_schema
from airflow_provider_osmosdest.core.schema.importing.openapi import schema_from_openapi
from airflow_provider_osmosdest.core.schema.importing.sample import Draft, infer_schema

__all__ = ["Draft", "infer_schema", "schema_from_json_schema", "schema_from_openapi"]
