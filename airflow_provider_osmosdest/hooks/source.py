"""Build a pull from a connector and the parameters of a task."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import ConnectorError, OptionsError
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.source.fetching.actions import read_actions
from airflow_provider_osmosdest.core.source.incremental.incremental import read_incremental
from airflow_provider_osmosdest.core.source.paging.paginator import read_paging
from airflow_provider_osmosdest.core.source.pull_runner import PullOrder
from airflow_provider_osmosdest.core.source.request_spec import MAX_PAGE_BYTES, MAX_PAGES, RequestSpec
from airflow_provider_osmosdest.core.whole_numbers import whole_number
from airflow_provider_osmosdest.hooks.connections.http_fields import headers_of
from airflow_provider_osmosdest.hooks.connections.masking import mask_secrets
from airflow_provider_osmosdest.hooks.delivery import (
    check_seen,
    delivery_folder,
    load_schema,
    mapping_of,
    seen_folder,
    watermark_folder,
)
from airflow_provider_osmosdest.hooks.provenance import HTTP_SOURCE, Given, about_delivery
from airflow_provider_osmosdest.hooks.shared_rates import shared_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_osmosdest.core.delivery.model import RunContext
    from airflow_provider_osmosdest.core.http.rate_limits import RateLimits
    from airflow_provider_osmosdest.core.source.fetching.http_client import Traffic
    from airflow_provider_osmosdest.core.source.fetching.page_fetcher import PageFetcher
    from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook

__all__ = ["PULL_OPTIONS", "SourceRequest", "make_pull"]

PULL_OPTIONS = ("max_failures", "timeout", "max_retries", "backoff", "max_backoff", "requests_per_second")
"""The write options that apply to a pull, too; a connection's hold for both."""


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """
    The parameters of one task beyond its connection; they are the operator's.

    :param options: those of :data:`PULL_OPTIONS`, ``None`` where the task leaves them to the connection, and
        ``deduplicate`` with ``record_key``, which a connection has for what is sent
    """

    endpoint: str | None = None
    method: str | None = None
    headers: Mapping[str, str] | None = None
    query: Any = None
    body: Any = None
    paginator: Any = None
    data_selector: str | None = None
    array_as: str | None = None
    response_actions: Any = None
    incremental: Any = None
    destination_schema: Any = None
    mapping: Mapping[str, str] | None = None
    max_pages: int | str | None = None
    max_page_bytes: int | str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def make_pull(
    instance: tuple[str, ...],
    hook: HttpDestinationHook,
    request: SourceRequest,
    run_context: RunContext,
    share: int = 1,
) -> PullOrder:
    """
    Build a pull.

    :param instance: dag id, run id, task id and map index, from which its folders are made
    :param run_context: ledger, stop signal and log of the caller's
    :param share: how many tasks that keep to the same rate may run at once
    :raises ConfigurationError: naming what cannot be used
    """
    for name in ("endpoint", "method"):
        if not isinstance(given := getattr(request, name), str | None):
            raise OptionsError(f"{name}: found {given!r}, expected text")
    endpoint = request.endpoint or ""
    connector = hook.connector()
    if request.options.get("deduplicate") == "files":
        raise OptionsError("deduplicate: found 'files', and pages are no files; expected none, in_file or records")
    chosen = [request.options, {name: connector.options.get(name) for name in PULL_OPTIONS}]
    options = DeliveryOptions.layered(chosen)
    schema = load_schema(request.destination_schema) if request.destination_schema else DestinationSchema.any_object()
    mapping = mapping_of(request.mapping)
    headers = headers_of(request.headers)
    target = connector.at(endpoint, method=request.method or "GET", headers=headers, timeout=options.timeout)
    mask_secrets(target.secrets)
    limits = shared_limits(connector.conn_id, options, share, run_context.warn or _silent)
    # What was sent to an endpoint has nothing to do with what was pulled from it.
    seen = seen_folder(connector.conn_id, f"{target.method} {endpoint.partition('?')[0].strip('/')}")
    check_seen(options, seen)
    spec = RequestSpec(
        target=target,
        query=_object("query", request.query) or {},
        body=_object("body", request.body),
        paging=read_paging(request.paginator),
        data_selector=request.data_selector or None,
        array_as=request.array_as or "records",
        actions=read_actions(_document("response_actions", request.response_actions)),
        incremental=read_incremental(request.incremental),
        max_pages=_whole("max_pages", request.max_pages, MAX_PAGES),
        max_page_bytes=_whole("max_page_bytes", request.max_page_bytes, MAX_PAGE_BYTES),
        base_query=tuple(parse_qsl(urlsplit(connector.target.url).query, keep_blank_values=True)),
    )
    return PullOrder(
        spec=spec,
        options=options,
        schema=schema,
        folder=delivery_folder(instance),
        fetcher=_fetcher(hook, spec, options, run_context, limits),
        mapping=mapping,
        name=f"connection {connector.conn_id!r}",
        seen=seen,
        about=about_delivery(
            HTTP_SOURCE,
            instance,
            connector.conn_id,
            method=target.method,
            url=target.public_url,
            schema=schema,
            mapping=mapping,
            options=options,
            given=Given(
                endpoint=endpoint,
                method=request.method,
                headers=headers,
                has_schema=bool(request.destination_schema),
                options=request.options,
            ),
            redact=target.redact,
        ),
        limits=limits,
        watermark=None
        if spec.incremental is None
        else FolderLedgerStore(watermark_folder(instance), "incremental.json"),
    )


def _fetcher(
    hook: HttpDestinationHook,
    spec: RequestSpec,
    options: DeliveryOptions,
    run_context: RunContext,
    limits: RateLimits,
) -> Callable[[Traffic], PageFetcher]:
    target = spec.target
    if target.oauth2 is not None and any(name.lower() == "authorization" for name in target.headers):
        raise ConnectorError("headers: auth is 'oauth2', which makes the Authorization header itself; leave that out")

    def make(traffic: Traffic) -> PageFetcher:
        from airflow_provider_osmosdest.core.http.signing import Signer
        from airflow_provider_osmosdest.core.source.fetching.http_client import HttpClient
        from airflow_provider_osmosdest.core.source.fetching.page_fetcher import PageFetcher

        client = HttpClient(
            session=hook.get_conn(),
            target=target,
            max_page_bytes=spec.max_page_bytes,
            tokens=None if target.oauth2 is None else hook.tokens(target),
            signer=None if target.signing_secret is None else Signer(target.signing_secret),
            traffic=traffic,
        )
        return PageFetcher(
            client,
            options,
            spec.actions,
            run_context.stopping,
            run_context.warn or _silent,
            bucket=limits.bucket("requests", options.requests_per_second),
        )

    return make


def _document(name: str, value: Any) -> Any:
    """Parse a value that a template may have turned into JSON text."""
    if not isinstance(value, str) or not value.strip():
        return value or None
    try:
        return json.loads(value)
    except ValueError:
        raise OptionsError(f"{name}: {value[:100]!r} is not JSON") from None


def _object(name: str, value: Any) -> dict[str, Any] | None:
    found = _document(name, value)
    if found is not None and not isinstance(found, dict):
        raise OptionsError(f'{name}: found {str(value)[:100]!r}, expected an object like {{"name": "value"}}')
    return found


def _whole(name: str, value: Any, default: int) -> int:
    return default if value is None or value == "" else whole_number(name, value)


def _silent(_: str) -> None:
    return None
