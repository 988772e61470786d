"""A connection of type ``osmos_http`` as a frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.http.target import Target, join_url
from airflow_provider_osmosdest.hooks.connections.http_fields import secrets_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Connector"]


@dataclass(frozen=True, slots=True)
class Connector:
    """
    A connection, resolved once.

    :param conn_id: the connection's id
    :param target: base URL, method, headers and TLS
    :param options: the write options it sets
    :param destination_schema: the schema document it holds, as it is; ``None`` for none
    :param unread: keys of its extra that are no fields
    """

    conn_id: str
    target: Target
    options: Mapping[str, Any] = field(default_factory=dict)
    destination_schema: Any = None
    unread: Sequence[str] = ()

    def at(
        self,
        endpoint: str = "",
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Target:
        """
        Return the target of one task.

        :param endpoint: path below the base URL
        :param method: instead of the connection's
        :param headers: beside the connection's, which they win over, whatever the case of their names
        :param timeout: seconds, instead of the connection's
        :raises ConnectorError: when the endpoint names another host, or a header cannot be sent
        """
        base = self.target
        more = headers or {}
        named = {name.lower() for name in more}
        return Target(
            url=join_url(base.url, endpoint),
            method=(method or base.method).upper(),
            headers={**{name: value for name, value in base.headers.items() if name.lower() not in named}, **more},
            verify=base.verify,
            cert=base.cert,
            proxies=base.proxies,
            timeout=timeout or base.timeout,
            connect_timeout=base.connect_timeout,
            oauth2=base.oauth2,
            signing_secret=base.signing_secret,
            secrets=base.secrets + secrets_of(join_url(base.url, endpoint), more, None, None),
        )
