"""Read the query parameters of a request: each at most once, only those of its route, within limits. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.web.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.datastructures import QueryParams

# FastAPI's parameter models take "+1", "1.0" and "1_0" for numbers and the last of two values; a mailbox's own limit
# has no place in them, and their errors do not name the parameters that there are.

__all__ = ["MAX_WAIT", "bad_parameter", "default_page", "page_size", "single", "whole_number"]

MAX_WAIT = 30
"""Seconds a request may wait for records: what proxies between us and a partner usually allow."""

_DEFAULT_PAGE = 500
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_LONGEST_QUOTE = 80


def bad_parameter(name: str, found: str, expected: str) -> Problem:
    """
    Return the problem of a wrong parameter.

    :param name: the parameter
    :param found: its value
    :param expected: what it could have been
    """
    shown = found if len(found) <= _LONGEST_QUOTE else f"{found[:_LONGEST_QUOTE]}..."
    return Problem(400, "Bad request", f"{name}: found {shown!r}, expected {expected}", parameter=name)


def single(query: QueryParams, known: Collection[str]) -> dict[str, str]:
    """
    Return a request's parameters by name.

    :param query: its query
    :param known: the parameters its route has
    :raises Problem: 400 for a parameter that is there twice, or is none of them
    """
    given: dict[str, str] = {}
    for name, value in query.multi_items():
        if name not in known:
            expected = ", ".join(sorted(known)) or "none"
            raise Problem(
                400, "Bad request", f"{name[:_LONGEST_QUOTE]}: unknown parameter; there are: {expected}", parameter=name
            )
        if name in given:
            raise Problem(400, "Bad request", f"{name}: given more than once", parameter=name)
        given[name] = value
    return given


def whole_number(given: dict[str, str], name: str, *, default: int, least: int, most: int) -> int:
    """
    Return a parameter that is a number.

    :param given: the parameters
    :param name: which of them
    :param default: its value where it is not given
    :param least: the smallest it may be
    :param most: the largest it may be
    :raises Problem: 400 for anything else
    """
    if (text := given.get(name)) is None:
        return default
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise bad_parameter(name, text, f"a whole number from {least} to {most}")
    return int(text)


def default_page(page_limit: int) -> int:
    """
    Return how many records a page has where the request does not say.

    :param page_limit: the most that this mailbox gives
    """
    return min(_DEFAULT_PAGE, page_limit)


def page_size(given: dict[str, str], page_limit: int) -> int:
    """
    Return how many records a page may have.

    :param given: the parameters
    :param page_limit: the most that this mailbox gives
    :raises Problem: 400 for a ``limit`` that is none
    """
    return whole_number(given, "limit", default=default_page(page_limit), least=1, most=page_limit)
