"""Filter out of the log what Airflow says each time it reads one of our connections, and nothing can be done about."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

__all__ = ["drop_connection_warnings", "without_masking_warning"]

_WARNING = "Connection schemes (type: osmos_"
_TOO_SHORT = "Skipping masking for a secret as it's too short"
# Tasks have a masker, and so have Airflow's own processes.
_MASKERS = tuple(f"airflow{part}._shared.secrets_masker.secrets_masker" for part in (".sdk", ""))


def drop_connection_warnings() -> None:
    """
    Drop Airflow's warning that a connection type with an underscore makes no valid URI scheme, and that of its masker.

    A server reads each connection every few seconds. Only for processes of this package, not for Airflow's.
    """
    import structlog

    # Loggers in use keep a reference to this list, and not to the configuration.
    processors = structlog.get_config()["processors"]
    if _drop_warning not in processors:
        processors.insert(0, _drop_warning)
    for name in _MASKERS:
        logging.getLogger(name).addFilter(_is_no_masking_warning)


@contextmanager
def without_masking_warning() -> Iterator[None]:
    """
    Drop the warning of Airflow's masker that a secret is too short for it, while a connection is read.

    Airflow hands its masker each value of an extra, also ``POST`` and other settings that are no secrets.
    """
    loggers = [logger for logger in map(logging.getLogger, _MASKERS) if _is_no_masking_warning not in logger.filters]
    for logger in loggers:
        logger.addFilter(_is_no_masking_warning)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_no_masking_warning)


def _is_no_masking_warning(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_TOO_SHORT)


def _drop_warning(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    import structlog

    if str(event.get("event", "")).startswith(_WARNING):
        raise structlog.DropEvent
    return event
