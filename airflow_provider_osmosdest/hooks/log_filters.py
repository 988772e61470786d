"""Filter out of the log the warning that Airflow repeats each time it reads one of our connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["drop_connection_warnings"]

_WARNING = "Connection schemes (type: osmos_"


def drop_connection_warnings() -> None:
    """
    Drop Airflow's warning that a connection type with an underscore makes no valid URI scheme.

    A server reads each connection every few seconds. Only for processes of this package, not for Airflow's.
    """
    import structlog

    # Loggers in use keep a reference to this list, and not to the configuration.
    processors = structlog.get_config()["processors"]
    if _drop_warning not in processors:
        processors.insert(0, _drop_warning)


def _drop_warning(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    import structlog

    if str(event.get("event", "")).startswith(_WARNING):
        raise structlog.DropEvent
    return event
