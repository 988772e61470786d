"""Move records between Airflow pipelines and anybody's HTTP API."""

__version__ = "0.1.0"
