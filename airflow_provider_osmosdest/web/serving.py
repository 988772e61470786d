"""The mailboxes served alone, without an API server of Airflow's."""

from __future__ import annotations

import copy
import logging
import logging.config
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from airflow_provider_osmosdest.hooks.remarks import drop_remarks
from airflow_provider_osmosdest.web.app import create_app
from airflow_provider_osmosdest.web.connections import open_mailbox

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["WithoutQuery", "make_app", "serve"]

_PREFIX = "/osmos/v1"
"""The paths are those on Airflow's API server, so that a partner can be moved from one to the other."""

_GRACE_SECONDS = 5
_KEEP_ALIVE_SECONDS = 75  # longer than partners pause between two requests on one connection


class WithoutQuery(logging.Filter):
    """Leaves the query out of the lines of uvicorn's access log."""

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


def make_app() -> FastAPI:
    """Make the app, in each process that serves."""
    # Sets up logging in its own way when it is first imported, which in a worker is now: ours goes over it.
    import airflow  # noqa: F401

    logging.config.dictConfig(_log_config())
    drop_remarks()
    return create_app(open_mailbox, prefix=_PREFIX)


def serve(host: str, port: int, workers: int) -> None:
    """
    Serve until a signal ends it.

    :param host: the address to listen on
    :param port: the port; 0 takes a free one
    :param workers: how many processes serve
    """
    uvicorn.run(
        f"{__name__}:make_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_config=_log_config(),
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )


def _log_config() -> dict[str, Any]:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["disable_existing_loggers"] = False
    config["filters"] = {"without_query": {"()": f"{__name__}.{WithoutQuery.__name__}"}}
    config["handlers"]["access"]["filters"] = ["without_query"]
    # The answers go over the network, what is said about them to the log.
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    # Airflow may have cut it off before, and where we listen would not be said.
    config["loggers"]["uvicorn.error"]["propagate"] = True
    config["loggers"]["airflow_provider_osmosdest"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config
