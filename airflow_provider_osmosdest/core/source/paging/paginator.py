"""Read the option ``paginator``: one of dlt's paginators by name, with its options checked."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.source.paging.dlt_parts import paginators

__all__ = ["PAGINATORS", "Paging", "made", "read_paging"]

PAGINATORS = {
    "json_link": "JSONLinkPaginator",
    "header_link": "HeaderLinkPaginator",
    "header_cursor": "HeaderCursorPaginator",
    "offset": "OffsetPaginator",
    "page_number": "PageNumberPaginator",
    "cursor": "JSONResponseCursorPaginator",
    "single_page": "SinglePagePaginator",
}
"""dlt's paginators by the names they have here."""

# Options that dlt would guess, where a wrong guess loses pages or records.
_REQUIRED = {
    "offset": {"limit": "how many records a page has"},
    "page_number": {"base_page": "the number of the first page, 0 or 1"},
}
_NUMBERS = {"limit", "offset", "maximum_offset", "base_page", "page", "maximum_page"}
# dlt expects a total by default, and fails without one; here an empty page ends paging unless more is said.
_DEFAULTS: dict[str, dict[str, Any]] = {"offset": {"total_path": None}, "page_number": {"total_path": None}}


@dataclass(frozen=True, slots=True)
class Paging:
    """
    A paginator by name, with its options.

    :param name: one of :data:`PAGINATORS`
    :param options: its options, as dlt has them
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def read_paging(value: Any) -> Paging | None:
    """
    Read a paginator: a name, or an object with ``type`` and options; ``None`` where there is none.

    :raises OptionsError: for a name or an option that there is not, or one that is missing
    :raises MissingExtraError: when dlt is not installed
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            raise OptionsError(f"paginator: {value!r} is not JSON") from None
    given: dict[str, Any] = (
        {"type": value} if isinstance(value, str) else dict(value) if isinstance(value, Mapping) else {}
    )
    name = given.pop("type", None)
    if not isinstance(name, str) or name not in PAGINATORS:
        raise OptionsError(
            f"paginator: found {value!r}, expected one of {', '.join(PAGINATORS)}, as a name or as an object with its "
            'options: {"type": "offset", "limit": 100}'
        )
    known = list(inspect.signature(_class_of(name)).parameters)
    if unknown := [option for option in given if option not in known]:
        there = f"there are {', '.join(known)}" if known else "it has none"
        raise OptionsError(f"paginator: {name!r} has no option {unknown[0]!r}; {there}")
    given = {option: _number(each) if option in _NUMBERS else each for option, each in given.items()}
    for option, what in _REQUIRED.get(name, {}).items():
        if isinstance(given.get(option), bool) or not isinstance(given.get(option), int):
            raise OptionsError(
                f"paginator: {name!r} needs {option}, a whole number: {what}; found {given.get(option)!r}"
            )
    if name == "offset" and given["limit"] < 1:
        raise OptionsError(f"paginator: 'offset' needs a limit of at least 1, found {given['limit']}")
    paging = Paging(name, {**_DEFAULTS.get(name, {}), **given})
    made(paging)
    return paging


def _number(value: Any) -> Any:
    """Return the number that a template has turned into text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _class_of(name: str) -> Any:
    return getattr(paginators(), PAGINATORS[name])


def made(paging: Paging) -> Any:
    """
    Return dlt's paginator.

    :raises OptionsError: when there can be none with these options
    :raises MissingExtraError: when dlt is not installed
    """
    kind = _class_of(paging.name)
    try:
        return kind(**paging.options)
    except Exception as error:  # noqa: BLE001 - dlt and its parser of JSONPath raise what they like
        raise OptionsError(f"paginator: {paging.name!r} cannot be made of {dict(paging.options)}: {error}") from None
