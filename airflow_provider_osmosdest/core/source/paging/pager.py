"""Step from page to page with one of dlt's paginators, whose state can be kept and whose requests are checked."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from airflow_provider_osmosdest.core.errors import PagingError
from airflow_provider_osmosdest.core.http.urls import masked_url
from airflow_provider_osmosdest.core.source.fetching.page_response import keys_of
from airflow_provider_osmosdest.core.source.paging.dlt_parts import jsonpath
from airflow_provider_osmosdest.core.source.paging.paginator import made

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_osmosdest.core.source.fetching.page_response import PageResponse
    from airflow_provider_osmosdest.core.source.paging.paginator import Paging

__all__ = ["Pager"]

_PORTS = {"http": 80, "https": 443}
# The options that end paging whatever the responses are.
_MAXIMA = ("maximum_offset", "maximum_page")


class Pager:
    """
    Make the request of each page from the response before.

    :param paging: the paginator and its options
    :param url: of the first request
    :param query: its query parameters
    :param body: its JSON body, ``None`` for none
    :param base_query: parameters that every request has, those for a next page's own URL too
    """

    def __init__(
        self,
        paging: Paging,
        url: str,
        query: Mapping[str, Any],
        body: Any,
        base_query: Sequence[tuple[str, str]] = (),
    ) -> None:
        from requests import Request

        self._paging = paging
        self._paginator = made(paging)
        self._origin = url
        self._base_query = base_query
        self._unbounded = all(paging.options.get(name) is None for name in _MAXIMA)
        self._last: bytes | None = None
        self._short: str | None = None
        # As JSON has them, so that an attempt that goes on from kept state sends the same.
        self.request = Request(url=url, params=_plain(dict(query)), json=_plain(body))
        self._paginator.init_request(self.request)

    @property
    def steps(self) -> bool:
        """Whether it counts pages, and so can make the next request without a response."""
        return hasattr(self._paginator, "current_value")

    @property
    def state(self) -> dict[str, Any]:
        """The state that the next request is made from, as JSON values."""
        request = self.request
        state = {"url": request.url, "params": request.params, "json": request.json}
        return {**state, "value": self._paginator.current_value} if self.steps else state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.request.url, self.request.params = state["url"], state["params"]
        self.request.json = state["json"]
        if self.steps:
            self._paginator.current_value = state["value"]

    @property
    def digest(self) -> str:
        """A digest of the next request."""
        request = self.request
        text = json.dumps([request.url, request.params or None, request.json], sort_keys=True, default=str)
        return blake2b(text.encode(), digest_size=8).hexdigest()

    def skip(self) -> bool:
        """Go past a page whose response has no records; return whether there is a next one."""
        if not self.steps:
            return False
        paginator = self._paginator
        paginator.current_value += paginator.value_step
        if paginator.maximum_value is not None and paginator.current_value >= paginator.maximum_value:
            return False
        paginator.update_request(self.request)
        return True

    def advance(self, answer: PageResponse, records: int, *, counted: bool = True) -> bool:
        """
        Go to the next page; return whether there is one.

        :param answer: to the request as it is
        :param records: how many records are in it
        :param counted: whether these are all records of the page, as the API counts them
        :raises PagingError: when the answer does not have what the paginator needs, or leads away from the host
        """
        paginator = self._paginator
        self._check_heeded(answer, records)
        offset = self._paginator.current_value if self.steps else 0
        try:
            paginator.update_state(answer, [None] if records else [])
        except (ValueError, TypeError, AttributeError) as error:
            # dlt's message quotes the whole answer.
            reason = str(error).partition(", got")[0] if isinstance(error, ValueError) else type(error).__name__
            raise self._lacking(answer, reason) from None
        if counted and self._unbounded and self._paging.name == "offset":
            self._check_whole(answer, records, offset)
        if not paginator.has_next_page:
            return False
        if hasattr(paginator, "_next_reference"):
            reference = paginator._next_reference  # noqa: SLF001 - dlt takes "" for a link, which many APIs end with
            if reference is None or reference is False or reference == "":
                return False
            link = self._paging.name in ("json_link", "header_link")
            if isinstance(reference, bool) or not isinstance(reference, str if link else (str, int, float)):
                kind = "URL" if link else "cursor"
                raise self._lacking(answer, f"expected a {kind} at its path, found a {type(reference).__name__}")
        try:
            paginator.update_request(self.request)
        except ValueError:
            raise self._elsewhere(str(paginator._next_reference), answer) from None  # noqa: SLF001 - as above
        self.request.url = self._at_home(self.request.url or "", answer)
        return True

    def blind_to(self, answer: PageResponse) -> bool:
        """Whether a response has nothing where the next page is looked for, not even a null that marks the end."""
        options = self._paging.options
        match self._paging.name:
            case "json_link":
                return not _values(options.get("next_url_path", "next"), answer)
            case "cursor":
                return options.get("has_more_path") is None and not _values(
                    options.get("cursor_path", "cursors.next"), answer
                )
            case "header_link":
                return options.get("links_next_key", "next") not in answer.links
            case "header_cursor":
                return options.get("cursor_key", "next") not in answer.headers
        return False

    def _check_heeded(self, answer: PageResponse, records: int) -> None:
        """Detect an API that ignores the paginator's parameters, as paging would never end."""
        if not self.steps or not self._unbounded:
            return
        mark = blake2b(answer.body, digest_size=16).digest() if records else None
        if mark is not None and mark == self._last:
            raise PagingError(
                f"{answer.name}: has the same {records:,} records as the page before, so the API takes no heed of "
                f"the parameters of the paginator {self._paging.name!r}: {dict(self._paging.options)}. Look "
                "up what they are called; if the pages are right, end them with a maximum."
            )
        self._last = mark

    def _check_whole(self, answer: PageResponse, records: int, offset: int) -> None:
        """
        Detect an API whose pages are shorter than the limit, by which the offset grows.

        A short page may be the last. So it takes another page after it, or a total that says that there is more
        where paging would end with the first page.
        """
        limit = self._paging.options["limit"]
        found = f"{answer.name}: has {records:,} records, and {limit:,} were asked for"
        more = self._paginator.has_next_page
        cut = not more and offset == self._paging.options.get("offset", 0) and self._total(answer) > offset + records
        if records and (self._short is not None or (cut and records < limit) or (more and records > limit)):
            raise PagingError(
                f"{self._short or found}, though it is not the last page. Many APIs have a limit of their own, and the "
                "next offset would pass over records, or bring some twice. Set the paginator's limit to what a page "
                "has; if the pages are right, end them with maximum_offset."
            )
        self._short = found if records < limit else None

    def _total(self, answer: PageResponse) -> int:
        path = self._paging.options.get("total_path")
        total = [] if path is None else _values(path, answer)
        return int(total[0]) if total else 0

    def _at_home(self, url: str, answer: PageResponse) -> str:
        """Return the next URL, on the connection's host: no other host gets credentials."""
        home = urlsplit(self._origin)
        try:
            there = urlsplit(url)
            same = home.hostname == there.hostname
            if same and (home.scheme, there.scheme, _port(there)) == ("https", "http", _PORTS["http"]):
                # Behind a proxy that ends TLS, many an API takes the request for plain HTTP.
                there = there._replace(scheme="https", netloc=home.netloc)
            if (home.scheme, home.hostname, _port(home)) == (there.scheme, there.hostname, _port(there)):
                # With the connection's credentials, whatever user and password the link has in front of its host.
                return there._replace(netloc=home.netloc, query=self._with_base_query(there.query)).geturl()
        except ValueError:
            pass
        raise self._elsewhere(url, answer)

    def _elsewhere(self, url: str, answer: PageResponse) -> PagingError:
        return PagingError(
            f"{answer.name}: its next page is at {masked_url(url)}, and the connection's host is "
            f"{urlsplit(self._origin).netloc.rpartition('@')[2]}. No other host is asked, as credentials are for that "
            "one only. Put the right host into the connection."
        )

    def _with_base_query(self, query: str) -> str:
        named = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
        more = urlencode([(name, value) for name, value in self._base_query if name not in named])
        return "&".join(part for part in (query, more) if part)

    def _lacking(self, answer: PageResponse, reason: str) -> PagingError:
        return PagingError(
            f"{answer.name}: the paginator {self._paging.name!r} with {dict(self._paging.options)} cannot go on: "
            f"{reason}. The answer is {keys_of(answer.json())}."
        )


def _values(path: str, answer: PageResponse) -> list[Any]:
    found: list[Any] = jsonpath().find_values(path, answer.json())
    return found


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _port(parts: Any) -> int | None:
    port: int | None = parts.port or _PORTS.get(parts.scheme)
    return port
