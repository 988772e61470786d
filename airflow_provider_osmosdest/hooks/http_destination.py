"""The hook of the connection type ``osmos_http``, which converts a Connection to a frozen core value."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.providers.http.hooks.http import HttpHook

from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.hooks.connections import http_fields
from airflow_provider_osmosdest.hooks.connections.connector import Connector
from airflow_provider_osmosdest.hooks.connections.masking import mask_secrets, read_extra
from airflow_provider_osmosdest.hooks.log_filters import without_masking_warning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import Session

    from airflow_provider_osmosdest.core.delivery.model import TransportFactory
    from airflow_provider_osmosdest.core.http.oauth2 import TokenSource
    from airflow_provider_osmosdest.core.http.transport import Transport

    _Around = Callable[[Transport, Target, Mapping[str, str]], Transport]

__all__ = ["HttpDestinationHook"]


class HttpDestinationHook(HttpHook):
    """
    Connect to an HTTP API that takes records.

    What :class:`~airflow.providers.http.hooks.http.HttpHook` does (``run``, ``test_connection``, ``auth_type``,
    ``cert``, ``proxies``, ``verify``) works as there, but that only the extra's ``headers`` become headers.

    :param http_conn_id: id of a connection of type ``osmos_http``
    :param method: HTTP method of :meth:`run`; deliveries take the connection's
    :param auth_type: a ``requests`` ``AuthBase`` class; deliveries then go through ``requests``
    :param kwargs: passed to ``HttpHook``; with an ``adapter``, deliveries go through ``requests`` too
    """

    conn_name_attr = "http_conn_id"
    default_conn_name = "osmos_http_default"
    conn_type = "osmos_http"
    hook_name = "Osmos HTTP API"

    def __init__(
        self, http_conn_id: str = default_conn_name, method: str = "POST", auth_type: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(method=method, http_conn_id=http_conn_id, auth_type=auth_type, **kwargs)

    def connector(self) -> Connector:
        """
        Resolve the connection, and register what is secret in it with Airflow's masker.

        :raises ConnectorError: naming the connection and the field that cannot be used
        """
        try:
            with without_masking_warning():
                conn = self.get_connection(self.http_conn_id)
            return self._connector(conn)
        except ConnectorError as error:
            msg = f"connection {self.http_conn_id!r}: {error}"
            raise ConnectorError(msg) from None

    def _connector(self, conn: Any) -> Connector:
        extra = read_extra(conn)
        url = http_fields.base_url(conn.host, conn.schema, conn.port)
        headers = http_fields.headers_of(extra.get("headers"))
        proxies = http_fields.proxies_of(extra)
        secrets = http_fields.secrets_of(url, headers, conn.login, conn.password, proxies.values())
        mask_secrets(secrets)
        # An auth class of the caller's is given login and password itself; a digest must not go out beside a Basic.
        own_class = self._auth_type is not None
        by_header = not extra.get("auth") and any(name.lower() == "authorization" for name in headers)
        elsewhere = own_class or by_header
        auth, oauth2 = http_fields.auth_of(extra, conn.login, conn.password, elsewhere=elsewhere)
        own = {} if own_class else http_fields.authorization(auth, conn.login, conn.password)
        target = Target(
            url=url,
            method=http_fields.method_of(extra.get("method")),
            headers={**own, **headers},
            verify=http_fields.verify_of(extra),
            cert=http_fields.cert_of(extra.get("cert")),
            proxies=proxies,
            timeout=http_fields.timeout_of(extra.get("timeout")),
            secrets=secrets,
            oauth2=oauth2,
            signing_secret=conn.password if auth == "signature" else None,
        )
        options = http_fields.write_options(extra)
        schema = extra.get("destination_schema") or None
        return Connector(self.http_conn_id, target, options, schema, http_fields.unread_of(extra))

    def transport(self, around: _Around | None = None) -> TransportFactory[Target]:
        """
        Return a delivery's transport factory: libcurl, or ``requests`` for an ``auth_type`` or ``adapter``.

        :param around: puts something around the transport, inside of what authorises requests
        """
        plain = self._plain_transport()

        def make(target: Target, **needs: Any) -> Transport:
            if target.oauth2 is not None and any(name.lower() == "authorization" for name in target.headers):
                msg = "headers: auth is 'oauth2', which makes the Authorization header itself; leave that out"
                raise ConnectorError(msg)
            carrier = plain(target, **needs)
            if around is not None:
                carrier = around(carrier, target, needs["headers"])
            if target.oauth2 is None and target.signing_secret is None:
                return carrier
            from airflow_provider_osmosdest.core.http.auth import AuthorizingTransport
            from airflow_provider_osmosdest.core.http.signing import Signer

            return AuthorizingTransport(
                carrier,
                tokens=None if target.oauth2 is None else self.tokens(target),
                signer=None if target.signing_secret is None else Signer(target.signing_secret),
            )

        return make

    def _plain_transport(self) -> TransportFactory[Target]:
        if self._auth_type is None and self.adapter is None:
            from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport

            return CurlTransport

        def make(target: Target, **needs: Any) -> Transport:
            from airflow_provider_osmosdest.core.http.transports.requests_transport import RequestsTransport

            return RequestsTransport(target, self.get_conn(), **needs)

        return make

    def tokens(self, target: Target) -> TokenSource:
        """Return the source of OAuth2 tokens, fetched over the connection's own TLS and proxy settings."""
        from airflow_provider_osmosdest.core.http.oauth2 import TokenSource
        from airflow_provider_osmosdest.hooks.token_post import token_post

        assert target.oauth2 is not None
        return TokenSource(target.oauth2, token_post(self.get_conn, target), lambda token: mask_secrets([token]))

    def test_connection(self) -> tuple[bool, str]:
        """
        Check every field as a delivery does, and send the API an ``OPTIONS``, else a ``HEAD``, without any data.

        Any answer shows that the URL and network are right; 401 and 403 show that the credentials are not.

        :return: whether it can be used as far as was tried, and what was tried
        """
        from airflow_provider_osmosdest.core.errors import OsmosError
        from airflow_provider_osmosdest.hooks.connections.check import check_connection

        try:
            return True, check_connection(self.connector(), self.transport())
        except OsmosError as error:
            return False, str(error)

    def _configure_session_from_auth(self, session: Session, connection: Any) -> Session:
        """Put basic, bearer and ``headers`` into the session's headers, as deliveries have them."""
        session.auth = self._extract_auth(connection)
        session.headers.update(self.connector().target.headers)
        return session

    def _extract_auth(self, connection: Any) -> Any:
        """Return the caller's ``auth_type``, if there is one, made of login and password."""
        return _as_it_is if self._auth_type is None else super()._extract_auth(connection)

    def _configure_session_from_extra(
        self, session: Session, connection: Any, extra_options: dict[str, Any]
    ) -> Session:
        """Pass only its options to the base class, which would turn all others into headers."""
        extra = read_extra(connection)
        known = {name: extra[name] for name in http_fields.SESSION_OPTIONS if extra.get(name) is not None}
        view = SimpleNamespace(host=connection.host, extra_dejson=known)
        return super()._configure_session_from_extra(session, view, extra_options)


def _as_it_is(request: Any) -> Any:
    """Authenticate by the headers alone: without any auth, ``requests`` lets ``~/.netrc`` overwrite them."""
    return request
