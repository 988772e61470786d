"""Serve the mailboxes alone, without Airflow's API server."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
import logging.config
import math
import os
import resource
import signal
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from airflow_provider_osmosdest.hooks.log_filters import drop_connection_warnings
from airflow_provider_osmosdest.web.app import create_app
from airflow_provider_osmosdest.web.connections import check_database, check_storage, open_mailbox, open_rates
from airflow_provider_osmosdest.web.health import Checks
from airflow_provider_osmosdest.web.http.protocol import Bounds, Protocols
from airflow_provider_osmosdest.web.shared_rates import SharedRates

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from fastapi import FastAPI

__all__ = ["WithoutQuery", "make_app", "make_app_without_database", "serve"]

_PREFIX = "/osmos/v1"
"""The paths are those on Airflow's API server, so that a partner can be moved from one to the other."""

_WORKERS = "_OSMOSDEST_WORKERS"
"""Tells a worker process how many there are: it makes its app itself, from the name of a function."""

_GRACE_SECONDS = 5
_START_SECONDS = 120
"""How long a worker may be silent, which it is while it imports Airflow; uvicorn ends it after 5 seconds else."""
_FILES = 4096
"""How many open files and connections a process needs for :class:`~.http.protocol.Bounds`."""


class WithoutQuery(logging.Filter):
    """Leave the query out of the lines of uvicorn's access log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """
        Change a record's arguments: client, method, path with its query, version, status.

        :param record: a line of the log
        """
        match record.args:
            case (client, method, str(path), *rest):
                record.args = (client, method, path.partition("?")[0], *rest)
            case _:
                pass
        return True


def make_app(*, database: bool = True) -> FastAPI:
    """
    Make the app, in each process that serves.

    :param database: the route ``health`` asks Airflow's metadata database
    """
    # Airflow sets up logging when it is first imported, which in a worker is now: ours replaces it.
    import airflow  # noqa: F401

    logging.config.dictConfig(_log_config())
    drop_connection_warnings()
    checks = Checks(check_database if database else None, check_storage)
    rates = SharedRates(int(os.environ.get(_WORKERS, "1")), open_rates)
    return create_app(open_mailbox, prefix=_PREFIX, checks=checks, rates=rates)


def make_app_without_database() -> FastAPI:
    """Make the app where all connections come from the environment or a secrets backend."""
    return make_app(database=False)


def serve(host: str, port: int, workers: int, *, database: bool = True, bounds: Bounds | None = None) -> None:
    """
    Serve until a signal ends it.

    :param host: the address to listen on
    :param port: the port; 0 takes a free one
    :param workers: how many processes serve
    :param database: there is a metadata database of Airflow's
    :param bounds: what clients may take of each process
    """
    bounds = _within(bounds or Bounds(), _raise_file_limit())
    os.environ[_WORKERS] = str(workers)
    factory = make_app if database else make_app_without_database
    with _exiting_on_sigterm():
        uvicorn.run(
            f"{__name__}:{factory.__name__}",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            # Makes a protocol for each connection, as the class that uvicorn's hint asks for would.
            http=cast("type[asyncio.Protocol]", Protocols(bounds)),
            # An upgrade would take a connection out of its bounds.
            ws="none",
            h11_max_incomplete_event_size=bounds.header_bytes,
            timeout_keep_alive=math.ceil(bounds.idle_seconds),
            log_config=_log_config(),
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_worker_healthcheck=_START_SECONDS,
        )


@contextlib.contextmanager
def _exiting_on_sigterm() -> Iterator[None]:
    """
    Exit with 0 when told to stop: uvicorn ends in good order, and then sends itself the signal again.

    At once, as the signal itself would: a thread that waits for a store, or a database, may wait for long.
    """

    def leave(*_: object) -> None:
        logging.shutdown()
        os._exit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_file_limit() -> int:
    """Let this process, and its workers, open as many files as they need, if they may; return how many they can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= _FILES:
        return _FILES
    raised = _FILES if hard == unlimited else min(hard, _FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return raised


def _within(bounds: Bounds, files: int) -> Bounds:
    """
    Return bounds that leave files for stores, databases and logs.

    :param bounds: the bounds that are wanted
    :param files: how many files and connections can be open at once
    """
    share = min(1.0, files / _FILES)
    return dataclasses.replace(bounds, connections=int(bounds.connections * share), unasked=int(bounds.unasked * share))


def _log_config() -> dict[str, Any]:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["disable_existing_loggers"] = False
    config["filters"] = {"without_query": {"()": f"{__name__}.{WithoutQuery.__name__}"}}
    config["handlers"]["access"]["filters"] = ["without_query"]
    # uvicorn writes its access log to standard output; ours goes where all other lines go.
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    # Airflow may have turned this off before, and the address we listen on would not be logged.
    config["loggers"]["uvicorn.error"]["propagate"] = True
    config["loggers"]["airflow_provider_osmosdest"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config
