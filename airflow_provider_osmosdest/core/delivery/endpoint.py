"""Fill endpoint templates such as ``/customers/{customer_id}`` from each record, never leaving the host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_osmosdest.core.errors import ConnectorError, OptionsError
from airflow_provider_osmosdest.core.http.target import climbs
from airflow_provider_osmosdest.core.schema.validation.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EndpointTemplate"]

_PLACE = re.compile(r"\{([^{}]*)\}")


class EndpointTemplate:
    """
    A URL with placeholders for fields of a record, in its path or query.

    :param url: the URL; ``{name}`` stands for the field ``name``
    :raises ConnectorError: when a placeholder stands in the scheme or the host, which records must not choose
    """

    def __init__(self, url: str) -> None:
        self.fields = tuple(dict.fromkeys(_PLACE.findall(url)))
        scheme_and_host = url[: _authority_end(url)]
        if _PLACE.search(scheme_and_host):
            msg = "endpoint: a record cannot choose the host; {field} may stand in the path or query only"
            raise ConnectorError(msg)
        self._parts = _PLACE.split(url)

    def __bool__(self) -> bool:
        """Whether there is a placeholder to fill."""
        return bool(self.fields)

    def check(self, known: tuple[str, ...]) -> None:
        """
        Check that the schema has every field the URL names.

        :param known: names of the schema's fields; empty for a schema that takes any object
        :raises OptionsError: naming the field
        """
        missing = [name for name in self.fields if known and name not in known]
        if missing:
            msg = f"endpoint: the schema has no field {', '.join(missing)}; it has {', '.join(known)}"
            raise OptionsError(msg)

    def fill(self, record: Mapping[str, Any]) -> str:
        """
        Return the URL of one record, its values in their wire form and percent-encoded (RFC 3986 section 2.1).

        :raises ValueError: when a value is null, empty, not a scalar, or has ``.`` or ``..`` between slashes, which may
            name another path
        """
        parts = list(self._parts)
        for place in range(1, len(parts), 2):
            parts[place] = _encoded(parts[place], record.get(parts[place]))
        return "".join(parts)


def _encoded(name: str, value: Any) -> str:
    if value is None or value == "":
        msg = f"endpoint: {name} is needed in the URL and is empty"
        raise ValueError(msg)
    if isinstance(value, (dict, list)):
        msg = f"endpoint: {name} is needed in the URL and is not a single value"
        raise ValueError(msg)  # noqa: TRY004 - the record is at fault, not the caller
    # As it stands in the body: "true", 2024-05-31T13:45:00Z.
    text = str(value) if isinstance(value, str) else encode(value).decode().strip('"')
    if climbs(text):
        # Encoded or not: gateways that decode "%2F" see its dots between slashes.
        msg = f"endpoint: {name} is {text[:100]!r}, which a server may take for another path"
        raise ValueError(msg)
    return quote(text, safe="")


def _authority_end(url: str) -> int:
    """Return where the scheme and host of a URL end."""
    start = url.find("://") + 3
    ends = [end for mark in "/?#" if (end := url.find(mark, start)) >= 0]
    return min(ends, default=len(url))
