"""Format pydantic's errors as the one line that says why a record is invalid."""

from __future__ import annotations

import reprlib
from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_osmosdest.core.schema.types.branches import FAST, GUARD, SLOW
from airflow_provider_osmosdest.core.schema.validation.originals import safe_repr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails, ValidationError

__all__ = ["Explanation", "explain"]

_MAX_ERRORS = 20
_MAX_VALUE = 100

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = _MAX_VALUE
_short.maxlevel = 3


class Explanation(NamedTuple):
    """
    Why one record is invalid.

    :param text: such as ``amount: Input should be a valid number (found 'abc')``
    :param field: the first field that is wrong, ``None`` where the record is as a whole
    """

    text: str
    field: str | None


def explain(error: ValidationError, mapping: Mapping[str, str]) -> Explanation:
    """
    Return why one record is invalid.

    :param error: what validating the record raised
    :param mapping: the source columns of renamed fields, to name the column where the value stands, may be empty
    """
    details = error.errors(include_url=False, include_context=False)
    shown = [each for each in details if FAST not in each["loc"]]
    places = [[str(step).removesuffix(GUARD) for step in each["loc"] if step != SLOW] for each in shown[:_MAX_ERRORS]]
    field = places[0][0] if places and places[0] else None
    parts = [_part(each, place, mapping) for each, place in zip(shown, places, strict=False)]
    if len(shown) > _MAX_ERRORS:
        parts.append(f"and {len(shown) - _MAX_ERRORS} more")
    return Explanation("; ".join(parts), field)


def _part(detail: ErrorDetails, place: list[str], mapping: Mapping[str, str]) -> str:
    message, type_ = detail["msg"], detail["type"]
    if type_ == "json_invalid":
        return message.replace("Invalid JSON", "not JSON", 1)
    if not place:
        # A reader may give a reason of its own, such as a row with more cells than columns.
        if problem := getattr(detail["input"], "problem", None):
            return str(problem)
        return f"the record should be a JSON object (found {_found(detail['input'])})"
    # A key that no field reads stands under no other name.
    if type_ != "extra_forbidden" and place[0] in mapping and mapping[place[0]] != place[0]:
        place[0] = f"{place[0]} (from {mapping[place[0]]!r})"
    where = ".".join(place)
    if type_ == "missing":
        return f"{where}: {message}"
    return f"{where}: {message} (found {_found(detail['input'])})"


def _found(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        # Cut first: the value may be megabytes.
        value = value[: _MAX_VALUE + 1]
        text = repr(value)
    elif isinstance(value, Decimal | date | time):
        return str(value)
    else:
        text = safe_repr(value, _short.repr)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"
