"""What a pull requests of an API: a frozen value, checked once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.source.selecting import Selector
from airflow_provider_osmosdest.core.whole_numbers import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_osmosdest.core.http.target import Target
    from airflow_provider_osmosdest.core.source.fetching.actions import ResponseAction
    from airflow_provider_osmosdest.core.source.incremental.incremental import Incremental
    from airflow_provider_osmosdest.core.source.paging.paginator import Paging

__all__ = ["MAX_PAGES", "MAX_PAGE_BYTES", "RequestSpec"]

MAX_PAGES = 100_000
"""How many pages a pull has at most, unless it is told otherwise."""

MAX_PAGE_BYTES = 32 * 1024 * 1024
"""How long an answer may be, unpacked, unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """
    What a pull requests of an API.

    :param target: URL, method, headers and time-outs
    :param query: query parameters of the first request
    :param body: its JSON body, ``None`` for none
    :param paging: how the next page is found; ``None``: there is one page, and a sign of another is an error
    :param data_selector: JSONPath to the records, ``None`` for the whole answer
    :param array_as: see :class:`~.selecting.Selector`
    :param actions: what to do with certain responses
    :param incremental: how to request what is new, ``None`` to request everything
    :param max_pages: pages at most
    :param max_page_bytes: bytes of an answer at most, unpacked
    :param base_query: parameters of the connection's own URL, which every request has
    :raises OptionsError: naming what cannot be used
    """

    target: Target
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    paging: Paging | None = None
    data_selector: str | None = None
    array_as: Any = "records"
    actions: tuple[ResponseAction, ...] = ()
    incremental: Incremental | None = None
    max_pages: int = MAX_PAGES
    max_page_bytes: int = MAX_PAGE_BYTES
    base_query: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check what the parts do not check themselves."""
        for name in ("max_pages", "max_page_bytes"):
            whole_number(name, getattr(self, name))
        Selector(self.data_selector, self.array_as)

    def digest(self, *more: Any) -> str:
        """
        Return a digest of all that is requested.

        :param more: what else the records depend on, as JSON values
        """
        parts = [
            self.target.method,
            self.target.url,
            dict(self.query),
            self.body,
            None if self.paging is None else [self.paging.name, dict(self.paging.options)],
            self.data_selector,
            self.array_as,
            [asdict(action) for action in self.actions],
            None if self.incremental is None else asdict(self.incremental),
            *more,
        ]
        return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
