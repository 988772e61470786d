"""What Airflow's provider manager reads: a literal, so that listing providers imports nothing of this package."""

from __future__ import annotations

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, object]:
    """Return what this package adds to Airflow, in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-osmosdest",
        "name": "Osmos",
        "description": "Delivers records from a pipeline to anybody's HTTP API, validated and with nothing lost.",
    }
