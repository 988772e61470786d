"""Read the lines of a CSV file, and check that they are text."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.records.streams import whole_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.input import Input

__all__ = ["BadTextError", "Ending", "csv_lines"]


class BadTextError(Exception):
    """A line is not text, at byte ``place`` of the file; the reader adds the line's number."""

    def __init__(self, place: int, what: str) -> None:
        super().__init__(what)
        self.place = place


@dataclass(slots=True)
class Ending:
    r"""
    How the text read so far ends.

    :param unterminated: the last line has been read, and it had no line end. (Not set for a file whose line ends
        are ``\r``.)
    """

    unterminated: bool = False


def csv_lines(source: Input, ending: Ending) -> Iterator[str]:
    r"""
    Yield the lines of a file, each with its line end (``\n``, ``\r\n`` or ``\r``).

    :param ending: is kept up to date
    :raises BadTextError: a line holds a NUL byte or is not UTF-8; all lines before it have been yielded
    :raises SourceError: as for :meth:`Input.text`
    """
    return chain.from_iterable(io.StringIO(text, newline="") for text in _texts(source, ending))


def _texts(source: Input, ending: Ending) -> Iterator[str]:
    done = 0
    for run in whole_lines(source.text(), source.name):
        bad = _bad_byte(run)
        if bad is not None:
            place, what = bad
            yield run[: run.rfind(b"\n", 0, place) + 1].decode()
            raise BadTextError(done + place, what)
        done += len(run)
        ending.unterminated = not run.endswith(b"\n") and b"\r" not in run
        yield run.decode()


def _bad_byte(run: bytes) -> tuple[int, str] | None:
    nul = run.find(b"\0")
    try:
        (run if nul < 0 else run[:nul]).decode()
    except UnicodeDecodeError as e:
        return e.start, f"is not UTF-8 ({e.reason}). Save the file as UTF-8."
    return None if nul < 0 else (nul, "is a NUL. Is this a text, and in UTF-8?")
