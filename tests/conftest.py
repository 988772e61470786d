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
import sys
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


def _keep_bytecode() -> None:
    """
    Compile each file once, not in each process that the tests start, whatever this machine is set up with.

    Pytest rewrites what it imports, which for these tests takes seconds, and keeps that together with the bytecode.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


_isolate_airflow()
_keep_bytecode()
choose_profile()


# What measures rates, kills processes under way or runs a whole Airflow: never two of them at a time.
IN_TURN = (
    "tests/integration/faults/test_figures.py",
    "tests/integration/kills/",
    "tests/integration/sources/test_http_source.py",
    "tests/system/",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """
    Give one process what has to be done in turn, another one the rest that runs servers or DAGs, and share out the
    files of unit tests.

    What is in turn mostly waits, for Airflow or for a rate, so that on two cores the other process has nearly all of
    one. What runs DAGs is together because a process pays for Airflow's database and imports once.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if file.startswith(IN_TURN):
                return "in turn"
            return file if file.startswith("tests/unit/") else "integration"

    # By the order of collection, which pytest_collection_modifyitems has made, and not by how many tests there are.
    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes, begin with what takes longest, so that none of them ends long after the others."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (not item.nodeid.startswith(IN_TURN), item.nodeid.startswith("tests/unit/")))


pytest_plugins = [
    "tests.leftovers",
    "tests.airflow_fixtures",
    "tests.object_stores",
    "tests.shared_airflow",
    "tests.stack.fixtures",
]


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    """Let no test see the settings another one has read."""
    from airflow_provider_osmosdest.settings import load_settings

    load_settings.cache_clear()
    yield
    load_settings.cache_clear()
