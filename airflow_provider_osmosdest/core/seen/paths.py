"""The folders, below a connector's own, of the keys, files and failures of earlier deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FAILURES", "FILES", "fields_of_scope", "scope_of_endpoint", "scope_of_keys"]

FILES = "files"
"""The folder of the contents of files."""

FAILURES = "failures"
"""The folder of the failures that were reported."""

_WHOLE = "records"
_BY = "records-by-"


def scope_of_keys(fields: Iterable[str]) -> str:
    """Return the name of the folder for keys made of these fields."""
    names = ",".join(quote(name, safe="") for name in fields)
    return f"{_BY}{names}" if names else _WHOLE


def fields_of_scope(name: str) -> tuple[str, ...] | None:
    """Return the fields that :func:`scope_of_keys` was given, ``None`` where it did not make this name."""
    if name == _WHOLE:
        return ()
    if not name.startswith(_BY):
        return None
    return tuple(unquote(each) for each in name.removeprefix(_BY).split(","))


def scope_of_endpoint(endpoint: str) -> str:
    """Return the name of an endpoint's folder: what one endpoint took, another has not seen."""
    return "/" + endpoint.strip("/")
