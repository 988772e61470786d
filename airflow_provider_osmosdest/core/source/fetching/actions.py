"""Response actions: what a response means by the task's own rules, before the table of verdicts applies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_osmosdest.core.errors import OptionsError

__all__ = ["ACTIONS", "ResponseAction", "action_for", "read_actions"]

ACTIONS = ("retry", "fail", "stop", "ignore")
"""``retry`` sends again, ``fail`` fails the task, ``stop`` ends paging, ``ignore`` is a page without records."""

_KEYS = ("status", "content", "action")
_EXAMPLE = '{"status": 404, "action": "stop"} or {"content": "quota exceeded", "action": "retry"}'
_CLASS = re.compile(r"[1-5]xx")


@dataclass(frozen=True, slots=True)
class ResponseAction:
    """
    What to do with the responses that match.

    :param action: one of :data:`ACTIONS`
    :param status: a status code, or a class of them as ``"5xx"``; ``None`` is any
    :param content: text that stands in the body; ``None`` is any body
    """

    action: str
    status: int | str | None = None
    content: str | None = None

    def matches(self, status: int, body: bytes) -> bool:
        """Whether it applies to this response."""
        if isinstance(self.status, int) and self.status != status:
            return False
        if isinstance(self.status, str) and self.status[0] != str(status)[0]:
            return False
        return self.content is None or self.content.encode() in body


def read_actions(value: Any) -> tuple[ResponseAction, ...]:
    """
    Read a list of response actions.

    :raises OptionsError: saying what cannot be used
    """
    if value is None or value == "":
        return ()
    if isinstance(value, Mapping):
        value = [value]
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise OptionsError(f"response_actions: found {value!r}, expected a list of objects like {_EXAMPLE}")
    return tuple(_read(each) for each in value)


def action_for(actions: Sequence[ResponseAction], status: int, body: bytes) -> str | None:
    """Return the action of the first that matches, ``None`` where none does."""
    return next((each.action for each in actions if each.matches(status, body)), None)


def _read(value: Any) -> ResponseAction:
    if not isinstance(value, Mapping) or set(value) - set(_KEYS):
        raise OptionsError(
            f"response_actions: found {value!r}, expected an object with {', '.join(_KEYS)}, like {_EXAMPLE}"
        )
    status, content, action = (value.get(name) for name in _KEYS)
    if action not in ACTIONS:
        raise OptionsError(f"response_actions: found action {action!r}, expected one of {', '.join(ACTIONS)}")
    if isinstance(status, str):
        if status.isascii() and status.isdigit():
            status = int(status)
        elif not _CLASS.fullmatch(status):
            raise OptionsError(f'response_actions: found status {status!r}, expected a number, or a class like "5xx"')
    if isinstance(status, bool) or not isinstance(status, (int, str, type(None))):
        raise OptionsError(f'response_actions: found status {status!r}, expected a number, or a class like "5xx"')
    if content is not None and not isinstance(content, str):
        raise OptionsError(f"response_actions: found content {content!r}, expected text to look for in the body")
    if status is None and not content:
        raise OptionsError(f"response_actions: {dict(value)!r} names neither status nor content; expected {_EXAMPLE}")
    return ResponseAction(action, status, content)
