"""The conventions of every command: progress on stderr, one JSON document on stdout, and exit codes."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import ConfigurationError, OsmosError, SourceError
from airflow_provider_osmosdest.hooks.log_filters import drop_connection_warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FAILED", "INTERRUPTED", "MISUSE", "confirm", "exit_codes", "only_document", "quiet", "say"]

FAILED = 1
"""The command was valid, and failed."""

MISUSE = 2
"""The user must change an option, a connection, a schema or a file."""

INTERRUPTED = 130
"""What a shell reports of a process that Ctrl-C ended: 128 and the number of SIGINT."""


@contextmanager
def only_document() -> Iterator[Callable[[Any], None]]:
    """
    Keep stdout for one JSON document: whatever else Airflow prints there goes to stderr.

    Its loggers keep the stream they were given, so the file descriptor itself is exchanged.
    """
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)

    def show(document: Any) -> None:
        with os.fdopen(os.dup(stdout), "w", encoding="utf-8", errors="replace") as file:
            file.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    try:
        yield show
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Print an error in one line, and exit with its code."""
    # Only a server process may look connections up in the database; a command run by hand is as trusted as one.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow.sdk.exceptions import AirflowNotFoundException

    drop_connection_warnings()
    try:
        yield
    except KeyboardInterrupt:
        say("error: interrupted")
        sys.exit(INTERRUPTED)
    except AirflowNotFoundException as error:
        say(f"error: --conn-id: {error}")
        sys.exit(MISUSE)
    except (ConfigurationError, SourceError) as error:
        say(f"error: {error}")
        sys.exit(MISUSE)
    except OsmosError as error:
        say(f"error: {error}")
        sys.exit(FAILED)


def confirm(question: str, otherwise: str, *, yes: bool) -> None:
    """
    Ask whether to go on, and exit where the answer is no.

    :param question: what to ask
    :param otherwise: what to say then
    :param yes: do not ask
    :raises ConfigurationError: when there is no terminal to ask
    """
    if yes:
        return
    if not sys.stdin.isatty():
        msg = "there is no terminal to ask whether to go on; say --yes"
        raise ConfigurationError(msg)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        say(otherwise)
        sys.exit(FAILED)


@contextmanager
def quiet() -> Iterator[None]:
    """Hide Airflow's warnings, below an error, about each connection that it reads."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def say(line: str) -> None:
    """Print a line to stderr."""
    print(line, file=sys.stderr, flush=True)
