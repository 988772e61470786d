"""Read whole numbers, which a template or a form hands over as text."""

from __future__ import annotations

from typing import Any

from airflow_provider_osmosdest.core.errors import OptionsError

__all__ = ["whole_number"]


def whole_number(name: str, value: Any) -> int:
    """
    Return a whole number of at least 1.

    :param name: the option, for the message
    :param value: the number, or its text (``1000``, ``1_000``)
    :raises OptionsError: it is anything else
    """
    try:
        number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else 0
    except ValueError:
        number = 0
    if number < 1:
        raise OptionsError(f"{name}: found {value!r}, expected a whole number of at least 1")
    return number
