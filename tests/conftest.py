"""
Every test runs beside an Airflow home of its own, and sees nothing of the Airflow this machine may have.

This has to happen while pytest loads this file: Airflow reads its home and its configuration when it is first
imported. A test that starts an Airflow of its own as a process gives it its own ``AIRFLOW_HOME`` and takes
``AIRFLOW__CORE__UNIT_TEST_MODE`` out of its environment.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lanes import lane_of, rank_of
from tests.thoroughness import choose_profile

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


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


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """
    Use two processes a core, as most integration tests wait: for Airflow, for a time-out, for a server to start.

    Unit tests, of which few wait, get one more than there are cores, as each process spends seconds on reading them.
    """
    cores = yield
    return cores + 1 if all(path.startswith("tests/unit") for path in config.args) else 2 * cores


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share out the tests by what they have in common, the longest first."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return lane_of(nodeid)

    # By the order of collection, which pytest_collection_modifyitems has made, and not by how many tests there are.
    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes, begin with what takes longest, so that none of them ends long after the others."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank_of(item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """End a whole Airflow with the lane that needs it: idle ones take most of a core, for as long as the others run."""
    result = yield
    if nextitem is None or lane_of(nextitem.nodeid) != lane_of(item.nodeid):
        for name in ("airflow", "stack"):
            for fixture in item.session._fixturemanager.getfixturedefs(name, item) or ():
                fixture.finish(item._request)
    return result


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what stays: Airflow's classes and the tests, again and again."""
    gc.collect()
    gc.freeze()


pytest_plugins = [
    "tests.leftovers",
    "tests.airflow_fixtures",
    "tests.airflow_providers",
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
