"""Detect signs of a next page in a response, and suggest the paginator that would fetch it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.source.fetching.page_response import PageResponse

__all__ = ["next_page_hint"]

_DEEP = 3
_LINKS = frozenset(
    (
        "next",
        "nextlink",
        "nextpage",
        "nextpagelink",
        "nextpageurl",
        "nexturl",
        "nexthref",
        "nexturi",
        "nextrecordsurl",
        "odatanextlink",
    )
)
_CURSORS = frozenset(
    (
        "nextcursor",
        "nextpagetoken",
        "nexttoken",
        "nextpagecursor",
        "cursornext",
        "continuationtoken",
        "continuation",
        "endcursor",
        "nextmarker",
        "nextstartingtoken",
        "scrollid",
        "after",
    )
)
_MORE = frozenset(
    ("hasmore", "hasnext", "hasnextpage", "more", "truncated", "istruncated", "moreavailable", "incomplete")
)
_TOTALS = frozenset(
    ("total", "totalcount", "totalentries", "totalitems", "totalresults", "totalrecords", "totalhits", "count")
)
_PAGES = frozenset(("totalpages", "pagecount", "pages", "lastpage", "numpages"))
_NAME = re.compile(r"[A-Za-z_]\w*")


def next_page_hint(answer: PageResponse, records: int, *, whole: bool = False, sure: bool = False) -> str | None:
    """
    Describe a sign of a next page and the paginator that follows it; ``None`` where there is no sign.

    :param answer: the first answer
    :param records: how many records are in it
    :param whole: the answer itself was taken as the record, so a number in it is data
    :param sure: only a link or a cursor that is called the next one, which no API gives with a last page
    """
    return _in_headers(answer, records, sure=sure) or _in_body(answer.json(), 0 if whole else records, sure=sure)


def _in_headers(answer: PageResponse, records: int, *, sure: bool) -> str | None:
    if answer.links.get("next"):
        return _say('a Link header with rel="next"', {"type": "header_link"})
    if (page := answer.headers.get("X-Next-Page") or "").strip():
        return _say(
            f"a header X-Next-Page: {page}",
            {"type": "header_cursor", "cursor_key": "X-Next-Page", "cursor_param": "page"},
        )
    total = (answer.headers.get("X-Total-Count") or "").strip()
    if not sure and total.isdigit() and int(total) > records > 0:
        return _say(
            f"a header X-Total-Count: {total}, and {records:,} records",
            {"type": "page_number", "base_page": 1, "page_param": "page"},
        )
    return None


def _in_body(document: Any, records: int, *, sure: bool) -> str | None:
    totals: str | None = None
    following = _LINKS | {each for each in _CURSORS if not sure or each.startswith("next")}
    for names, value in _values(document, ()):
        path = ".".join(name if _NAME.fullmatch(name) else f'"{name}"' for name in names)
        key = _plain(names[-1])
        if key in {"href", "url"} and len(names) > 1:
            key = _plain(names[-2])
        if key in following and isinstance(value, (str, int)) and not isinstance(value, bool) and value:
            sign = f"{path} = {str(value)[:80]!r} in its body"
            if key in _LINKS and isinstance(value, str) and value.startswith(("http", "/", "?")):
                return _say(sign, {"type": "json_link", "next_url_path": path})
            return _say(sign, {"type": "cursor", "cursor_path": path, "cursor_param": "cursor"})
        if key in _MORE and value is True and records:
            totals = totals or _say(f"{path} = true in its body", _offset(records, has_more_path=path))
        if key in _TOTALS and _is_count(value) and value > records > 0:
            totals = totals or _say(
                f"{path} = {value:,} in its body, and {records:,} records", _offset(records, total_path=path)
            )
        if key in _PAGES and _is_count(value) and value > 1 and records:
            totals = totals or _say(
                f"{path} = {value:,} in its body", {"type": "page_number", "base_page": 1, "total_path": path}
            )
    return None if sure else totals


def _values(document: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the values in the objects around the records; what is in arrays is data."""
    if isinstance(document, dict) and len(above) < _DEEP:
        for name, value in document.items():
            if isinstance(value, dict):
                yield from _values(value, (*above, name))
            else:
                yield (*above, name), value


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _offset(records: int, **more: Any) -> dict[str, Any]:
    return {"type": "offset", "limit": records or 100, **more}


def _say(sign: str, paginator: dict[str, Any]) -> str:
    return f"It has {sign}, which the paginator {paginator['type']!r} follows: paginator={paginator!r}"
