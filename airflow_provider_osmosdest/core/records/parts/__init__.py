"""
Parts of a dataset: ranges of its files that several tasks read side by side, each record with the index it has in all.

In comes a path and a number of parts; out come the parts as small JSON values, and of each a source of its records.
``scan`` says where records begin and how many there are (pure), ``plan`` reads the files once and cuts, ``source``
reads one part with the format's own reader.
"""

from __future__ import annotations

from airflow_provider_osmosdest.core.records.parts.part import Part, Position
from airflow_provider_osmosdest.core.records.parts.plan import PROBE_RECORDS, plan_parts
from airflow_provider_osmosdest.core.records.parts.source import PartSource

__all__ = ["PROBE_RECORDS", "Part", "PartSource", "Position", "plan_parts"]
