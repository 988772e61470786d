"""Wrap the records of a request's body in an envelope."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PLACEHOLDER", "Envelope"]

PLACEHOLDER = "$records"
"""The value in an envelope object that the records take the place of."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """
    The bytes around the records.

    :param prefix: what is sent before them
    :param suffix: what is sent after them
    """

    prefix: bytes = b""
    suffix: bytes = b""

    @classmethod
    def of(cls, value: str | Mapping[str, Any] | None) -> Envelope:
        """
        Make an envelope from an option's value.

        :param value: ``None`` for none, a name, or a JSON object (or its text) that holds ``"$records"`` once
        :raises OptionsError: when the object holds it never or more than once, or is no object
        """
        if value is None:
            return cls()
        if isinstance(value, str):
            if not value.lstrip().startswith("{"):
                return cls.of({value: PLACEHOLDER})
            try:
                value = json.loads(value)
            except ValueError as error:
                msg = f"envelope: {value!r} is not JSON: {error}"
                raise OptionsError(msg) from error
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            msg = f"envelope: cannot be written as JSON: {error}"
            raise OptionsError(msg) from error
        parts = text.split(f'"{PLACEHOLDER}"')
        if not text.startswith("{") or len(parts) != 2 or _is_key(parts[1]):  # noqa: PLR2004 - one placeholder
            msg = (
                f"envelope: found {text[:200]}, expected a name like 'data' or a JSON object that holds "
                f'"{PLACEHOLDER}" as a value exactly once, like {{"data": "{PLACEHOLDER}"}}'
            )
            raise OptionsError(msg)
        return cls(parts[0].encode(), parts[1].encode())


def _is_key(behind: str) -> bool:
    return behind.startswith(":")
