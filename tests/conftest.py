"""
Every test runs beside an Airflow home of its own, and sees nothing of the Airflow this machine may have.

This has to happen while pytest loads this file: Airflow reads its home and its configuration when it is first
imported. A test that starts an Airflow of its own as a process gives it its own ``AIRFLOW_HOME`` and takes
``AIRFLOW__CORE__UNIT_TEST_MODE`` out of its environment.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.thoroughness import choose_profile

if TYPE_CHECKING:
    from collections.abc import Iterator


def _isolate_airflow() -> None:
    """Point Airflow at a new empty home, before anything imports it."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="osmosdest-tests-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "dags").mkdir()
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__UNIT_TEST_MODE="True",
        AIRFLOW__CORE__DAGS_FOLDER=str(home / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS="False",
        AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(home / "logs"),
        AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
    )


_isolate_airflow()
choose_profile()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """
    Run files of unit tests side by side, and all else one after the other in one process.

    What runs a whole Airflow, or kills processes under way, takes the machine as it is without its like beside it.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file.startswith("tests/unit/") else "all else"

    return Scheduling(config, log)


pytest_plugins = ["tests.airflow_fixtures"]


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    """Let no test see the settings another one has read."""
    from airflow_provider_osmosdest.settings import load_settings

    load_settings.cache_clear()
    yield
    load_settings.cache_clear()
