"""Paginators by name: dlt's, with their options checked, their state kept, and their next requests looked at."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from airflow_provider_osmosdest.core.delivery.target import masked_url
from airflow_provider_osmosdest.core.errors import OptionsError, PagingError
from airflow_provider_osmosdest.core.source.answers import keys_of
from airflow_provider_osmosdest.core.source.dlt_parts import paginators

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.source.answers import Answer

__all__ = ["PAGINATORS", "Pager", "Paging", "read_paging"]

PAGINATORS = {
    "json_link": "JSONLinkPaginator",
    "header_link": "HeaderLinkPaginator",
    "header_cursor": "HeaderCursorPaginator",
    "offset": "OffsetPaginator",
    "page_number": "PageNumberPaginator",
    "cursor": "JSONResponseCursorPaginator",
    "single_page": "SinglePagePaginator",
}
"""dlt's paginators by the names they have here."""

# What dlt would guess, and what a wrong guess costs pages or records.
_REQUIRED = {
    "offset": {"limit": "how many records a page has"},
    "page_number": {"base_page": "the number of the first page, 0 or 1"},
}
# dlt expects a total by default, and fails without one; here an empty page ends paging unless more is said.
_DEFAULTS: dict[str, dict[str, Any]] = {"offset": {"total_path": None}, "page_number": {"total_path": None}}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Paging:
    """
    Which paginator, with which options.

    :param name: one of :data:`PAGINATORS`
    :param options: its options, as dlt has them
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def read_paging(value: Any) -> Paging | None:
    """
    Read a paginator: a name, or an object with ``type`` and options; ``None`` where there is none.

    :raises OptionsError: for a name or an option that there is not, or one that is missing
    :raises MissingExtraError: when dlt is not installed
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            raise OptionsError(f"paginator: {value!r} is not JSON") from None
    given = {"type": value} if isinstance(value, str) else dict(value) if isinstance(value, Mapping) else {}
    name = given.pop("type", None)
    if name not in PAGINATORS:
        raise OptionsError(
            f"paginator: found {value!r}, expected one of {', '.join(PAGINATORS)}, as a name or as an object with its "
            'options: {"type": "offset", "limit": 100}'
        )
    known = list(inspect.signature(_class_of(name)).parameters)
    if unknown := [option for option in given if option not in known]:
        there = f"there are {', '.join(known)}" if known else "it has none"
        raise OptionsError(f"paginator: {name!r} has no option {unknown[0]!r}; {there}")
    for option, what in _REQUIRED.get(name, {}).items():
        if isinstance(given.get(option), bool) or not isinstance(given.get(option), int):
            raise OptionsError(
                f"paginator: {name!r} needs {option}, a whole number: {what}; found {given.get(option)!r}"
            )
    paging = Paging(name, {**_DEFAULTS.get(name, {}), **given})
    _made(paging)
    return paging


def _class_of(name: str) -> Any:
    return getattr(paginators(), PAGINATORS[name])


def _made(paging: Paging) -> Any:
    try:
        return _class_of(paging.name)(**paging.options)
    except Exception as error:  # noqa: BLE001 - dlt and its parser of JSONPath raise what they like
        raise OptionsError(f"paginator: {paging.name!r} cannot be made of {dict(paging.options)}: {error}") from None


class Pager:
    """
    Walk from one page's request to the next one's.

    :param paging: by which paginator
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
        self._paginator = _made(paging)
        self._origin = url
        self._base_query = base_query
        self._endless = all(paging.options.get(name) is None for name in _BOUNDS)
        self._last: bytes | None = None
        # As JSON has them, so that an attempt that goes on from kept state sends the same.
        self.request = Request(url=url, params=_plain(dict(query)), json=_plain(body))
        self._paginator.init_request(self.request)

    @property
    def steps(self) -> bool:
        """Whether it counts, and so knows the next page without an answer."""
        return hasattr(self._paginator, "current_value")

    @property
    def state(self) -> dict[str, Any]:
        """What the next request is made of, as JSON values."""
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
        """Tells requests apart."""
        request = self.request
        text = json.dumps([request.url, request.params or None, request.json], sort_keys=True, default=str)
        return blake2b(text.encode(), digest_size=8).hexdigest()

    def skip(self) -> bool:
        """Go past a page whose answer says nothing; return whether there is a next one."""
        if not self.steps:
            return False
        paginator = self._paginator
        paginator.current_value += paginator.value_step
        if paginator.maximum_value is not None and paginator.current_value >= paginator.maximum_value:
            return False
        paginator.update_request(self.request)
        return True

    def advance(self, answer: Answer, records: int) -> bool:
        """
        Go to the next page; return whether there is one.

        :param answer: to the request as it is
        :param records: how many records are in it
        :raises PagingError: when the answer does not have what the paginator needs, or leads away from the host
        """
        paginator = self._paginator
        self._check_heeded(answer, records)
        try:
            paginator.update_state(answer, [None] if records else [])
        except (ValueError, TypeError, AttributeError) as error:
            # dlt's message quotes the whole answer.
            reason = str(error).partition(", got")[0] if isinstance(error, ValueError) else type(error).__name__
            raise self._lacking(answer, reason) from None
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

    def _check_heeded(self, answer: Answer, records: int) -> None:
        """Notice an API that takes no heed of the page it is asked for, before it has been asked for ever."""
        if not self.steps or not self._endless:
            return
        mark = blake2b(answer.body, digest_size=16).digest() if records else None
        if mark is not None and mark == self._last:
            raise PagingError(
                f"{answer.name}: has the same {records:,} records as the page before, so the API takes no heed of "
                f"the parameters of the paginator {self._paging.name!r}: {dict(self._paging.options)}. Look "
                "up what they are called; if the pages are right, end them with total_path, has_more_path or a maximum."
            )
        self._last = mark

    def _at_home(self, url: str, answer: Answer) -> str:
        """Return the next URL, on the connection's host: credentials are for nobody else."""
        home = urlsplit(self._origin)
        try:
            there = urlsplit(url)
            same = home.hostname == there.hostname
            if same and (home.scheme, there.scheme, _port(there)) == ("https", "http", _PORTS["http"]):
                # Behind a proxy that ends TLS, many an API believes that it is asked by HTTP.
                there = there._replace(scheme="https", netloc=home.netloc)
            if (home.scheme, home.hostname, _port(home)) == (there.scheme, there.hostname, _port(there)):
                return there._replace(query=self._with_base_query(there.query)).geturl()
        except ValueError:
            pass
        raise self._elsewhere(url, answer)

    def _elsewhere(self, url: str, answer: Answer) -> PagingError:
        return PagingError(
            f"{answer.name}: its next page is at {masked_url(url)}, and the connection's host is "
            f"{urlsplit(self._origin).netloc.rpartition('@')[2]}. No other host is asked, as credentials are for that one only. Put the "
            "right host into the connection."
        )

    def _with_base_query(self, query: str) -> str:
        named = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
        more = urlencode([(name, value) for name, value in self._base_query if name not in named])
        return "&".join(part for part in (query, more) if part)

    def _lacking(self, answer: Answer, reason: str) -> PagingError:
        return PagingError(
            f"{answer.name}: the paginator {self._paging.name!r} with {dict(self._paging.options)} cannot go on: "
            f"{reason}. The answer is {keys_of(answer.json())}."
        )


_BOUNDS = ("total_path", "has_more_path", "maximum_offset", "maximum_page")


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _port(parts: Any) -> int | None:
    port: int | None = parts.port or _PORTS.get(parts.scheme)
    return port
