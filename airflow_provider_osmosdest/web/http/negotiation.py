"""Negotiate the media type and the content coding of a response (RFC 9110, section 12.5). Pure."""

from __future__ import annotations

import functools
import importlib.util
import re
from typing import TYPE_CHECKING, Literal

from airflow_provider_osmosdest.web.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Coding", "coding_header", "codings", "pick_coding", "pick_media_type"]

Coding = Literal["zstd", "gzip", "identity"]
"""The content codings of a response."""

_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE | re.ASCII)


@functools.cache
def codings() -> tuple[Coding, ...]:
    """Return the content codings that responses may have, best first."""
    return ("zstd", "gzip") if importlib.util.find_spec("zstandard") else ("gzip",)


def pick_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """
    Return the media type of the response.

    :param accept: the ``Accept`` header; ``None`` or an empty one takes anything
    :param offered: what there is, best first
    :raises Problem: 406 when the client takes none of it
    """
    ranges = {name: weight for name, weight in _weights(accept or "") if "/" in name}
    if not ranges:
        ranges = {"*/*": 1.0}

    def rank(name: str) -> tuple[float, int]:
        # The most specific range decides: RFC 9110, section 12.5.1.
        names = (name, f"{name.partition('/')[0]}/*", "*/*")
        found = next((number for number, each in enumerate(names) if each in ranges), None)
        return (0.0, 0) if found is None else (ranges[names[found]], -found)

    best = max(offered, key=rank)
    if rank(best)[0] <= 0:
        raise Problem(406, "Not acceptable", f"Accept: expected one of {', '.join(offered)}", available=list(offered))
    return best


def pick_coding(accept_encoding: str | None, offered: Sequence[Coding]) -> Coding:
    """
    Return the content coding of the response: ``identity`` for a client that names none.

    :param accept_encoding: the ``Accept-Encoding`` header
    :param offered: what there is beside ``identity``, best first
    :raises Problem: 406 when the client refuses ``identity`` and takes nothing else
    """
    weights = dict(_weights(accept_encoding or ""))
    # A coding that is named is better than one that is merely allowed.
    identity = weights.get("identity", 0.0 if weights.get("*") == 0 else 0.0001)
    ranked: dict[Coding, float] = {each: weights.get(each, weights.get("*", 0.0)) for each in offered}
    ranked["identity"] = identity
    best = max(ranked, key=lambda each: ranked[each])
    if ranked[best] <= 0:
        names = ", ".join((*offered, "identity"))
        raise Problem(406, "Not acceptable", f"Accept-Encoding: expected one of {names}")
    return best


def coding_header(coding: Coding, accept_encoding: str | None) -> dict[str, str]:
    """
    Return the ``Content-Encoding`` header of a response.

    Airflow's API server compresses a response without it if the word gzip is in the request's header, be it to exclude
    it: the bytes would no longer be those that the ETag is of.

    :param coding: its content coding
    :param accept_encoding: the request's ``Accept-Encoding`` header
    """
    if coding == "identity" and "gzip" not in (accept_encoding or ""):
        return {}
    return {"Content-Encoding": coding}


def _weights(header: str) -> Iterator[tuple[str, float]]:
    """Return what a header lists, in lower case, with its weights; what cannot be read is left out."""
    for part in header.split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        given = next((each for each in parameters if each[:2].lower() == "q="), "q=1")
        if name and (weight := _WEIGHT.fullmatch(given)):
            yield name.lower(), float(weight[1])
