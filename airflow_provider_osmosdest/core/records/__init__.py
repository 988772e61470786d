"""
Sources of records: files, values and sheets, and the registry that picks a file's reader.

In come paths and values; out go records in blocks, and a SourceError after all that came before a fault.
"""

from __future__ import annotations

from airflow_provider_osmosdest.core.records.formats import FORMATS, Format, Formats
from airflow_provider_osmosdest.core.records.input import Input
from airflow_provider_osmosdest.core.records.rows import RaggedRow
from airflow_provider_osmosdest.core.records.sampling import Sample
from airflow_provider_osmosdest.core.records.source import Source, open_source

__all__ = ["FORMATS", "Format", "Formats", "Input", "RaggedRow", "Sample", "Source", "open_source"]
