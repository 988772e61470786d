"""
One small reader for each format.

In comes a file as an :class:`~airflow_provider_osmosdest.core.records.input.Input`; out go its records in blocks.
"""
