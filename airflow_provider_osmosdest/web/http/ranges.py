"""Find which part of a file a request asks for (RFC 9110, section 14). Pure."""

from __future__ import annotations

import re

from airflow_provider_osmosdest.web.http.problems import Problem

__all__ = ["wanted_range"]

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


def wanted_range(given: str | None, if_range: str | None, etag: str, size: int) -> tuple[int, int] | None:
    """
    Return the first byte that is asked for and the one after the last; ``None`` for all of them.

    What is not one range of bytes is ignored, as the RFC allows: the response is then the whole file.

    :param given: the ``Range`` header
    :param if_range: the ``If-Range`` header: the part is of use only if the file is still this one
    :param etag: the file's
    :param size: the file's, in bytes
    :raises Problem: 416 for a range that begins after the end
    """
    match = _RANGE.fullmatch(given.strip()) if given else None
    if match is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if first:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return None
    else:
        start, stop = max(0, size - int(last)), size
    if start >= stop:
        raise Problem(
            416,
            "Range not satisfiable",
            f"Range: this batch has {size} bytes",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, stop
