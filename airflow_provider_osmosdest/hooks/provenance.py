"""
What a report says of its delivery beside the numbers: where it went and with what, so that it can be delivered again.

Nothing of it may be secret. Header values, queries and the constants of an envelope are left out, and so is what holds
a secret of the connection or of Airflow's masker; ``withheld`` names what a retry has to be given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.envelope import PLACEHOLDER
from airflow_provider_osmosdest.core.http.urls import masked_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.schema import DestinationSchema

__all__ = ["HTTP_DESTINATION", "HTTP_SOURCE", "MAILBOX", "Given", "about_delivery", "schema_digest"]

HTTP_DESTINATION, HTTP_SOURCE, MAILBOX = "http_destination", "http_source", "mailbox"
"""What a delivery is."""

_TASK_PARTS = 4
_MASK = "***"


@dataclass(frozen=True, slots=True)
class Given:
    """
    What a task or a command sets beyond its connection.

    :param endpoint: path below the connection's base URL
    :param method: instead of the connection's
    :param headers: beside the connection's; their values are not kept
    :param auth_type: import path of the class that signs in, ``None`` for none
    :param has_schema: the schema is not the connection's
    :param options: write options, ``None`` where the connection's hold
    """

    endpoint: str = ""
    method: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    auth_type: str | None = None
    has_schema: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def about_delivery(
    kind: str,
    instance: tuple[str, ...],
    conn_id: str,
    *,
    method: str | None,
    url: str,
    schema: DestinationSchema,
    mapping: Mapping[str, str] | None,
    options: DeliveryOptions,
    given: Given,
    redact: Callable[[str], str],
    retry_of: str | None = None,
) -> dict[str, Any]:
    """
    Return what a delivery was, as plain values without secrets.

    :param kind: one of the above
    :param instance: dag id, run id, task id and map index; less of them for a delivery of the command line
    :param conn_id: id of its connection
    :param method: HTTP method, ``None`` where there is none
    :param url: where it went, without user, password and query
    :param schema: what a record had to be
    :param mapping: field name to source column
    :param options: as they held
    :param given: what the task or the command set itself
    :param redact: takes the connection's secrets out of a text
    :param retry_of: path of the report whose failures these are
    """
    keeper = _Keeper(redact)
    of_task = instance if len(instance) == _TASK_PARTS else (None, None, None, None)
    endpoint, mark, _ = given.endpoint.partition("?")
    document = schema.to_dict()
    held = {each.name: getattr(options, each.name) for each in fields(options)}
    changed = {each.name: held[each.name] for each in fields(options) if held[each.name] != each.default}
    about = {
        "kind": kind,
        "conn_id": conn_id,
        "method": method,
        "url": url,
        "dag_id": of_task[0],
        "run_id": of_task[1],
        "task_id": of_task[2],
        "map_index": None if of_task[3] is None else int(of_task[3]),
        "schema": {
            "digest": schema_digest(schema),
            "document": keeper.keep("destination_schema", document) if given.has_schema else None,
        },
        "mapping": keeper.keep("mapping", mapping),
        "options": _Keeper(redact).options(changed),
        "given": {
            "endpoint": keeper.keep("endpoint", endpoint) + (f"?{_MASK}" if mark else ""),
            "method": given.method,
            "headers": sorted(given.headers),
            "auth_type": given.auth_type,
            "options": keeper.options(
                {name: value for name, value in given.options.items() if value is not None and value != ""}
            ),
        },
        "retry_of": None if retry_of is None else masked_url(retry_of) if "?" in retry_of else retry_of,
    }
    asked = [("endpoint", mark), ("headers", given.headers), ("auth_type", given.auth_type)]
    return {**about, "withheld": sorted({*keeper.withheld, *(name for name, there in asked if there)})}


def schema_digest(schema: DestinationSchema) -> str:
    """Return a digest of a schema, the same for equal ones."""
    text = json.dumps(schema.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{sha256(text.encode(errors='replace')).hexdigest()}"


class _Keeper:
    """
    Take secrets out of values, and note which values had any.

    :param redact: takes the connection's secrets out of a text
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self.withheld: list[str] = []

    def keep(self, name: str, value: Any) -> Any:
        """Return a value without secrets."""
        value = _plain(value)
        kept = self._kept(value)
        if kept != value:
            self.withheld.append(name)
        return kept

    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return write options without secrets."""
        return {
            name: self._envelope(value) if name == "envelope" else self.keep(name, value)
            for name, value in options.items()
        }

    def _envelope(self, value: Any) -> Any:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = json.loads(value)
        # APIs that take their key in the body take it here.
        masked = _without_constants(_plain(value)) if isinstance(value, Mapping) else value
        if masked != value:
            self.withheld.append("envelope")
            return masked
        return self.keep("envelope", value)

    def _kept(self, value: Any) -> Any:
        if value == PLACEHOLDER:
            # Airflow takes it for a secret where it stands under a name like "tokens".
            return value
        if isinstance(value, str):
            return _masked(self._redact(value))
        if isinstance(value, dict):
            return {self._kept(name): self._kept(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._kept(each) for each in value]
        return value


def _masked(text: str) -> str:
    """Return a text without what Airflow's masker has been told of: what a template took from another connection."""
    from airflow.providers.common.compat.sdk import redact

    return str(redact(text))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _without_constants(value: Any) -> Any:
    """Replace the texts of an envelope, and numbers long enough to be a code."""
    if isinstance(value, dict):
        return {name: _without_constants(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_constants(each) for each in value]
    if value == PLACEHOLDER or value is None or isinstance(value, (bool, float)):
        return value
    return value if isinstance(value, int) and abs(value) < 10_000 else _MASK  # noqa: PLR2004 - a PIN or an id is longer
