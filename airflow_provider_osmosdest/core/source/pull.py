"""A source of records that are pulled from an API, page by page, each page kept before the next is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import PagingError, StorageError
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_BYTES, JsonLines
from airflow_provider_osmosdest.core.source.fetching.http_client import Traffic
from airflow_provider_osmosdest.core.source.pages import PullState
from airflow_provider_osmosdest.core.source.paging.next_page_hints import next_page_hint
from airflow_provider_osmosdest.core.source.paging.pager import Pager
from airflow_provider_osmosdest.core.source.paging.paginator import Paging
from airflow_provider_osmosdest.core.source.selecting import Selector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_osmosdest.core.source.fetching.page_fetcher import Fetched, PageFetcher
    from airflow_provider_osmosdest.core.source.incremental.tracker import Tracker
    from airflow_provider_osmosdest.core.source.pages import Landing
    from airflow_provider_osmosdest.core.source.request_spec import RequestSpec

__all__ = ["Pull"]


class Pull:
    """
    Pull pages, as a :class:`~airflow_provider_osmosdest.core.records.source.Source`.

    :param spec: what to request
    :param landing: stores the pages
    :param fetcher: makes the page fetcher, once one is needed
    :param tracker: leaves out what was taken before, ``None`` to take everything
    :param say: writes a line to the log
    """

    format = "pages"
    progress = None

    def __init__(
        self,
        spec: RequestSpec,
        landing: Landing,
        fetcher: Callable[[Traffic], PageFetcher],
        tracker: Tracker | None,
        say: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._landing = landing
        self._make_fetcher = fetcher
        self._tracker = tracker
        self._say = say
        self._selector = Selector(spec.data_selector, spec.array_as)
        self.state = PullState.new("", None)
        self._kept: dict[int, tuple[str, int]] = {}
        self.was_read = False
        """Whether its records were read."""

    @property
    def description(self) -> str:
        """What is read, for the log."""
        return f"the pages of {self._spec.target.described}"

    @property
    def fingerprint(self) -> str:
        """The id of this pull, the same in every attempt."""
        return self.state.pull_id

    def open(self, digest: str, run_key: str | None) -> None:
        """
        Load what an earlier attempt has kept, or begin anew.

        :param digest: of all that the records depend on
        :param run_key: the same in every retry; a complete pull begins anew only on another one, or on ``None``
        :raises StorageError: when what is kept cannot be read
        """
        state = self._landing.load()
        if state is not None and state.spec != digest:
            self._say("What is asked for has changed since the last attempt, so all pages are pulled again.")
            state = None
        if state is not None and state.complete and (run_key is None or state.occasion != run_key):
            state = None
        if state is None:
            self.state = PullState.new(digest, run_key)
            self._landing.clear()
            self._landing.save(self.state)
            return
        state.occasion = run_key
        self.state = state
        self._kept = {} if state.cleared else self._landing.digests(state.pages)
        if state.pages and not state.complete:
            self._say(
                f"{state.pages:,} pages with {state.records:,} records are kept from an earlier attempt; going on with "
                f"page {state.pages + 1:,}."
            )

    def blocks(self) -> Iterator[JsonLines]:
        """
        Yield the records in order, in blocks: first those of kept pages, then those of new ones.

        :raises PagingError: when the pages cannot be followed before a setting is changed
        :raises UnavailableError: when the API stayed unreachable or overloaded
        :raises StorageError: when pages cannot be kept or read
        """
        if self.state.cleared:
            raise StorageError(
                f"{self.description} were pulled and removed, and the ledger that says so is gone. Clear the task to "
                "pull them again."
            )
        self.was_read = True
        for lines in self.kept():
            yield from _blocks(lines)
        if not self.state.complete:
            yield from self._new_blocks()

    def kept(self) -> Iterator[bytes]:
        """Yield the lines of each page that an earlier attempt has kept, and note what is in them."""
        for lines in self._landing.pages(self._kept):
            if self._tracker is not None:
                self._tracker.observe(lines.split(b"\n")[:-1], "a kept page")
            yield lines

    def clear(self) -> None:
        """Remove the pages, once nothing needs them any more."""
        self.state.cleared = True
        self._landing.save(self.state)
        self._landing.clear(but=self.state)

    def _new_blocks(self) -> Iterator[JsonLines]:
        state = self.state
        pager = self._pager()
        seen = {digest for digest, _ in self._kept.values()}
        traffic = Traffic(state.requests, state.retries, state.bytes_received)
        fetcher = self._make_fetcher(traffic)
        try:
            while not state.complete:
                if state.pages >= self._spec.max_pages:
                    raise PagingError(
                        f"{self.description}: there are more than {state.pages:,}, the bound of max_pages. Those are "
                        "kept: raise the bound and clear the task to go on, or look whether paging ever ends."
                    )
                try:
                    lines = self._turn(pager, fetcher, seen)
                except PagingError as error:
                    # It may quote the API's response.
                    raise PagingError(fetcher.client.shown(str(error))) from None
                state.requests, state.retries = traffic.requests, traffic.retries
                state.bytes_received = traffic.bytes_received
                self._landing.save(state)
                yield from _blocks(lines)
        finally:
            state.requests, state.retries = traffic.requests, traffic.retries
            state.bytes_received = traffic.bytes_received
            fetcher.close()

    def _pager(self) -> Pager:
        spec = self._spec
        query, body = dict(spec.query), spec.body
        if spec.incremental is not None and self._tracker is not None:
            query, body = spec.incremental.request(self._tracker.since, query, body)
        pager = Pager(spec.paging or Paging("single_page"), spec.target.url, query, body, spec.base_query)
        if self.state.next is not None:
            pager.restore(self.state.next)
        return pager

    def _turn(self, pager: Pager, fetcher: PageFetcher, seen: set[str]) -> bytes:
        """Fetch a page and keep it; return its lines, with the state ready to be kept after it."""
        state = self.state
        digest = pager.digest
        seen.add(digest)
        fetched = fetcher.fetch(pager.request, state.pages + 1)
        if fetched.action is not None:
            self._say(f"{fetched.answer.name}: answered {fetched.answer.status}, {fetched.action} (response_actions).")
        if fetched.action == "stop":
            state.complete = True
            return b""
        records, going_on = ([], pager.skip()) if fetched.action == "ignore" else self._read(fetched, pager)
        if going_on and pager.digest in seen:
            raise PagingError(
                f"{fetched.answer.name}: its next page is one that was fetched before, so paging would never end. "
                "Check the paginator's options against the API's documentation."
            )
        kept = records if self._tracker is None else self._tracker.fresh(records, fetched.answer.name)
        lines = b"\n".join([*kept, b""])
        self._landing.land(state.pages, digest, lines)
        state.pages += 1
        state.records += len(kept)
        state.dropped += len(records) - len(kept)
        state.complete = not going_on
        state.next = pager.state if going_on else None
        return lines

    def _read(self, fetched: Fetched, pager: Pager) -> tuple[list[Any], bool]:
        """Return the records of a page, and whether there is a next one."""
        answer = fetched.answer
        records = self._selector.select(answer, first=not self.state.pages)
        whole = isinstance(answer.json(), dict) and self._selector.takes_all
        going_on = pager.advance(answer, len(records), counted=self._selector.counts)
        if self._spec.paging is None:
            if (hint := next_page_hint(answer, len(records), whole=whole)) is not None:
                raise PagingError(
                    f"{answer.name}: the API has more pages than this one. {hint}. To take the first page alone, write "
                    "paginator='single_page'."
                )
        elif records and not going_on and not self.state.pages and pager.blind_to(answer):
            # It looks in the wrong place, and would take the first page for all there is.
            end = f"{answer.name}: the paginator {self._spec.paging.name!r} finds no next page"
            if (hint := next_page_hint(answer, len(records), sure=True)) is not None:
                raise PagingError(f"{end}, and there is one. {hint}.")
            if (hint := next_page_hint(answer, len(records), whole=whole)) is not None:
                self._say(f"{end}, and the answer may say that there is one. {hint}.")
        return records, going_on


def _blocks(lines: bytes) -> Iterator[JsonLines]:
    start, end = 0, len(lines)
    while start < end:
        stop = min(start + BLOCK_BYTES, end)
        cut = lines.rfind(b"\n", start, stop) + 1 or lines.find(b"\n", stop) + 1
        yield JsonLines(lines[start:cut])
        start = cut
