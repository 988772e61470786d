"""Check a connection of type ``osmos_http``: each field as a delivery does, and one request without data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.engine import DeliveryRun
from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.errors import (
    ConfigurationError,
    ConnectorError,
    CredentialsError,
    GivenUpError,
    MisconfiguredError,
    TlsError,
)
from airflow_provider_osmosdest.core.http.transport import ANSWER_BYTES, Request
from airflow_provider_osmosdest.core.http.urls import masked_url
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.hooks.connections.http_fields import NOT_SECRET
from airflow_provider_osmosdest.hooks.delivery import TaskRequest, make_delivery

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.model import Delivery, TransportFactory
    from airflow_provider_osmosdest.core.http.target import Target
    from airflow_provider_osmosdest.core.http.transport import Response, Transport
    from airflow_provider_osmosdest.hooks.connections.connector import Connector

__all__ = ["check_connection", "check_fields"]

_WAIT = 1.0
"""Seconds between two looks for the answer; its time-out is the transport's."""


def check_connection(connector: Connector, transport: TransportFactory[Target]) -> str:
    """
    Check every field, then ask the base URL what it allows, over a delivery's own transport and without data.

    :param transport: a delivery's
    :return: what was tried, and what was not
    :raises ConfigurationError: naming the connection and the field that cannot be used
    :raises MisconfiguredError: when the API, or the token endpoint, refuses the credentials, or TLS is not agreed
    :raises GivenUpError: when the API cannot be reached, or fails
    """
    delivery = check_fields(connector, transport, TaskRequest())
    target = delivery.target
    method, response = _ask(transport, target)
    where = f"connection {connector.conn_id!r}: {target.public_url}"
    if response.error is not None:
        kind = MisconfiguredError if isinstance(response.error, CredentialsError | TlsError) else GivenUpError
        raise kind(target.redact(f"{where} cannot be used: {response.error}"))
    status = response.status or 0
    said = f"{where} is reached, and answered {status} to {method}"
    if status in (401, 403):
        msg = f"{said}: check auth, the password or token, and headers"
        raise MisconfiguredError(msg)
    if status == 407 or status >= 500:  # noqa: PLR2004 - proxy and server errors, RFC 9110 section 15
        raise GivenUpError(said)
    if 300 <= status < 400:  # noqa: PLR2004 - redirects, RFC 9110 section 15.4
        there = f" to {target.redact(masked_url(response.location))}" if response.location else ""
        said += (
            f", a redirect{there} that a delivery does not follow: if the API has moved, put its new address into host"
        )
    unread = f" No fields, and so not read: {', '.join(connector.unread)}." if connector.unread else ""
    return (
        f"{said}. {_credentials(target)} Every field was checked as a delivery checks it.{unread} No data was sent, so "
        "whether the API takes the credentials and a record was not tried: airflow osmosdest test --conn-id CONN_ID "
        "--records FILE sends one."
    )


def check_fields(connector: Connector, transport: TransportFactory[Target], request: TaskRequest) -> Delivery[Target]:
    """
    Make what a delivery makes of a connection and a task, up to its transport, and send nothing.

    :raises ConfigurationError: naming the connection and the field that cannot be used
    """
    try:
        delivery = make_delivery(("test", connector.conn_id), connector, request)
        DeliveryRun(delivery, open_source([]), transport, lambda _: None, RunContext())
        _made(transport, delivery.target).close()
    except ConfigurationError as error:
        msg = f"connection {connector.conn_id!r}: {error}"
        raise ConnectorError(msg) from error
    return delivery


def _ask(transport: TransportFactory[Target], target: Target) -> tuple[str, Response]:
    """Return the response to an ``OPTIONS``, or to a ``HEAD`` where the API does not support that, with the method."""
    response = _exchanged(_made(transport, replace(target, method="OPTIONS")))
    if response.status not in (404, 405, 501):
        return "OPTIONS", response
    return "HEAD", _exchanged(_made(transport, replace(target, method="HEAD")))


def _exchanged(carrier: Transport) -> Response:
    try:
        responses = carrier.exchange([Request(b"", message_id="test")], _WAIT)
        while not responses:
            responses = carrier.exchange([], _WAIT)
    finally:
        carrier.close()
    return responses[0]


def _made(transport: TransportFactory[Target], target: Target) -> Transport:
    return transport(target, in_flight=1, headers={}, answer_bytes=ANSWER_BYTES, may_repeat=True)


def _credentials(target: Target) -> str:
    if target.oauth2 is not None:
        return f"A token that {masked_url(target.oauth2.url)} gave out went along."
    if target.signing_secret is not None:
        return "The request was signed."
    names = [name for name in target.headers if name.lower() not in NOT_SECRET]
    return f"{' and '.join(names)} went along." if names else "No credentials went along, as there are none."
