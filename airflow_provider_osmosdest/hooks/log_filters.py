"""What Airflow remarks each time that it reads a connection, and nobody can do anything about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["drop_connection_warnings"]

_REMARK = "Connection schemes (type: osmos_"


def drop_connection_warnings() -> None:
    """
    Keep out of this process's log that an underscore may not be in a connection's scheme, which is no URI's here.

    A server reads each connection every few seconds. For processes of our own: in Airflow's, its log is its own.
    """
    import structlog

    # Loggers that are in use hold on to this list, and not to what it is in.
    processors = structlog.get_config()["processors"]
    if _without_remark not in processors:
        processors.insert(0, _without_remark)


def _without_remark(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    import structlog

    if str(event.get("event", "")).startswith(_REMARK):
        raise structlog.DropEvent
    return event
