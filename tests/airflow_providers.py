"""Airflow's providers for clouds, which the Makefile puts beside the environment, without what they depend on."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PROVIDERS", "provider_connections", "providers"]

PROVIDERS = Path(sys.prefix) / "providers"
"""The folder they are in: in a process's ``PYTHONPATH``, Airflow finds them as if they were installed."""


@pytest.fixture(scope="module")
def providers() -> Iterator[None]:
    """Let this process import them, and Airflow open the URLs of their stores."""
    if not PROVIDERS.is_dir():
        pytest.skip("Airflow's providers for clouds are not here: `make test` puts them beside the environment")
    with _found():
        yield


def provider_connections(s3: dict[str, Any], gcs: dict[str, Any]) -> dict[str, str]:
    """Return the connections that such providers use by default, as environment variables."""
    aws = {"endpoint_url": s3["endpoint_url"], "region_name": s3["client_kwargs"]["region_name"]}
    google = {"gcs.endpoint": gcs["endpoint_url"], "is_anonymous": True, "project": "testing"}
    return {
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(
            {"conn_type": "aws", "login": s3["key"], "password": s3["secret"], "extra": aws}
        ),
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps({"conn_type": "google_cloud_platform", "extra": google}),
    }


@contextmanager
def _found() -> Iterator[None]:
    # Airflow looked for providers when it was first asked for one, and remembers what it found.
    import airflow.providers
    from airflow.sdk.io import fs, store
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    with pytest.MonkeyPatch.context() as patch:
        found = str(PROVIDERS / "airflow" / "providers")
        patch.setattr(airflow.providers, "__path__", [*airflow.providers.__path__, found])
        from airflow.providers.amazon.get_provider_info import get_provider_info as amazon
        from airflow.providers.google.get_provider_info import get_provider_info as google

        names = [*amazon()["filesystems"], *google()["filesystems"]]
        for name in names:
            import_module(name)
        patch.setattr(ProvidersManagerTaskRuntime, "filesystem_module_names", names)
        patch.setattr(store, "_STORE_CACHE", {})
        fs._register_filesystems.cache_clear()
        yield
    fs._register_filesystems.cache_clear()
