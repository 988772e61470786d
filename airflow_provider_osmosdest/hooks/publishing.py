"""Publish to a mailbox by a delivery whose transport writes each body to the log as one batch."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import AmbiguousError, StorageError
from airflow_provider_osmosdest.core.http.transport import Body, Response
from airflow_provider_osmosdest.core.http.urls import masked_url
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.hooks.delivery import check_seen, delivery_folder, load_schema, mapping_of, seen_folder
from airflow_provider_osmosdest.hooks.provenance import MAILBOX, Given, about_delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_osmosdest.core.delivery.model import TransportFactory
    from airflow_provider_osmosdest.core.http.transport import Request
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox

__all__ = ["MailboxDestination", "MailboxTransport", "make_publishing", "publishing_transport"]

# Batches go into the log one after another, in the order of the records, and a mailbox refuses none.
_FIXED = {"write_mode": "batch", "batch_format": "ndjson"}


@dataclass(frozen=True, slots=True)
class MailboxDestination:
    """
    A mailbox as a delivery's :class:`~airflow_provider_osmosdest.core.http.target.Destination`.

    :param path: of its log
    """

    path: str

    @property
    def url(self) -> str:
        """The path; it has no ``{field}`` templates."""
        return self.public_url.replace("{", "%7B").replace("}", "%7D")

    @property
    def public_url(self) -> str:
        """The path without user, password and query."""
        return masked_url(self.path)

    @property
    def described(self) -> str:
        """What the log and errors call it."""
        return f"mailbox in {self.public_url}"

    @property
    def request_noun(self) -> str:
        """What the log calls one publish."""
        return "batch"

    @property
    def advice(self) -> str:
        """What a user can do when it cannot be written."""
        return "check the mailbox's path, its storage connection and the network, or try again when it is back"

    @property
    def refuses(self) -> bool:
        """Whether it may reject records: never."""
        return False

    def redact(self, text: str) -> str:
        """Return the text as it is: a mailbox gives no answers of its own."""
        return text


class MailboxTransport:
    """
    Write bodies to a mailbox's log, as other transports send them to an API.

    The idempotency key of a body is its ``batch_id``. It is the same whenever the same chunk is sent, so what was
    published before a crash, and never noted in the ledger, is found in the log and not added twice.

    :param mailbox: to publish to
    :param producer: name of the publisher in the log
    """

    def __init__(self, mailbox: Mailbox, producer: str) -> None:
        self._mailbox = mailbox
        self._producer = producer
        # In a thread, so that a task can stop while a store does not answer.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="osmosdest-publish")
        self._under_way: list[Future[Response]] = []

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Response]:
        """Begin to publish these bodies, then return the responses that are in: 200, or the store's error."""
        self._under_way += [self._pool.submit(self._publish, request) for request in starting]
        if not self._under_way:
            time.sleep(wait)
            return []
        try:
            answer = self._under_way[0].result(timeout=wait)
        except NotYet:
            return []
        del self._under_way[0]
        return [answer]

    def close(self) -> None:
        """Cancel what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _publish(self, request: Request) -> Response:
        pieces = request.body.pieces if isinstance(request.body, Body) else [request.body]
        try:
            self._mailbox.publish(filter(len, pieces), batch_id=request.message_id, producer=self._producer)
        except (StorageError, OSError) as error:
            # It may be in the log nevertheless; published again under its batch_id, it is there once.
            return Response(request, error=AmbiguousError(f"{type(error).__name__}: {error}"))
        return Response(request, 200)


def make_publishing(
    instance: tuple[str, ...],
    conn_id: str,
    mailbox: Mailbox,
    *,
    destination_schema: Any = None,
    mapping: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    retry_of: str | None = None,
) -> Delivery[MailboxDestination]:
    """
    Build a delivery to a mailbox.

    :param instance: the ids that its folder is made from
    :param conn_id: id of the mailbox's connection
    :param mailbox: to publish to
    :param destination_schema: instead of the mailbox's
    :param mapping: field name to source column
    :param options: write options of the task, ``None`` where it sets none
    :param retry_of: path of the report whose failures are published again
    :raises ConfigurationError: naming what cannot be used
    """
    own_schema = load_schema(destination_schema) if destination_schema else mailbox.settings.schema
    schema = own_schema or DestinationSchema.any_object()
    layered = DeliveryOptions.layered([_FIXED, options or {}])
    seen = seen_folder(conn_id)
    check_seen(layered, seen)
    target = MailboxDestination(str(mailbox.store.root))
    columns = mapping_of(mapping)
    return Delivery(
        target=target,
        options=layered,
        schema=schema,
        folder=delivery_folder(instance),
        mapping=columns,
        name=f"connection {conn_id!r}",
        seen=seen,
        about=about_delivery(
            MAILBOX,
            instance,
            conn_id,
            method=None,
            url=target.public_url,
            schema=schema,
            mapping=columns,
            options=layered,
            given=Given(has_schema=bool(destination_schema), options=options or {}),
            redact=target.redact,
            retry_of=retry_of,
        ),
    )


def publishing_transport(mailbox: Mailbox, producer: str) -> TransportFactory[MailboxDestination]:
    """
    Return the factory of a delivery's transport to a mailbox.

    :param mailbox: to publish to
    :param producer: name of the publisher in the log
    """
    return partial(_make, mailbox, producer)


def _make(mailbox: Mailbox, producer: str, target: MailboxDestination, **_: Any) -> MailboxTransport:  # noqa: ARG001
    return MailboxTransport(mailbox, producer)
