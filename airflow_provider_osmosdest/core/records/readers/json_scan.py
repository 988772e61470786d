"""Find where the elements of a JSON array end: an exact scan, where the fast guess does not hold."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

__all__ = ["Fault", "Scan", "TooDeepError", "scan_elements", "scan_value"]

_BLANK = re.compile(r"[ \t\n\r]*")

_DECODER = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=len)
"""Only the positions count, so numbers are not converted (which would also limit their digits)."""

_LONGEST_TOKEN = 16
"""More characters than any token has that is not a string: a fault this close to the end may be a cut token."""


class TooDeepError(Exception):
    """A value is nested more deeply than the interpreter's stack allows."""


@dataclass(frozen=True, slots=True)
class Fault:
    """
    Where a text is no JSON.

    :param position: the character that does not fit
    :param what: what was expected there
    :param hard: no further text could mend it; otherwise the text may merely have been cut short
    """

    position: int
    what: str
    hard: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """
    How far the elements of an array are whole.

    :param end: where the last element ends that is whole and followed by ``,`` or ``]``; ``None`` if there is none
    :param whole: as ``end``, but also past an object that is followed by nothing, or by something else
    :param resume: where the first element that is not whole begins; after the array's end, the position after ``]``
    :param fault: what is wrong with the element at ``resume``; ``None`` when the array has ended
    """

    end: int | None
    whole: int | None
    resume: int
    fault: Fault | None


def scan_value(text: str, position: int) -> int | Fault:
    """
    Return where the JSON value at ``position`` ends, or what is wrong with it.

    :raises TooDeepError: the value is nested too deeply to be scanned
    """
    try:
        return _DECODER.raw_decode(text, position)[1]
    except json.JSONDecodeError as e:
        what = e.msg[0].lower() + e.msg[1:]
        cut = what.startswith("unterminated string") or e.pos >= len(text) - _LONGEST_TOKEN
        return Fault(e.pos, what, hard=not cut)
    except RecursionError as e:
        raise TooDeepError from e


def scan_elements(text: str, position: int, *, first: bool) -> Scan:
    """
    Find the whole elements from ``position`` on, where an element is to begin.

    :param text: part of an array. As only the structure counts, UTF-8 decoded as Latin-1 will do, and keeps
        positions the same as in the bytes.
    :param first: no element comes before, so the array may end at once
    :raises TooDeepError: an element is nested too deeply to be scanned
    """
    end: int | None = None
    resume = position
    while True:
        begin = _skip_blank(text, resume)
        if first and text[begin : begin + 1] == "]":
            return Scan(end, end, begin + 1, None)
        first = False
        found = scan_value(text, begin)
        if isinstance(found, Fault):
            return Scan(end, end, resume, found)
        follower = _skip_blank(text, found)
        match text[follower : follower + 1]:
            case ",":
                end, resume = found, follower + 1
            case "]":
                return Scan(found, found, follower + 1, None)
            case other:
                whole = found if text[found - 1] == "}" else end
                return Scan(end, whole, resume, Fault(follower, "expecting ',' or ']'", hard=bool(other)))


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position
