"""The lines of a CSV file, checked to be text."""

from __future__ import annotations

import io
from itertools import chain
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.records.streams import whole_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.input import Input

__all__ = ["BadTextError", "CsvText"]


class BadTextError(Exception):
    """A line is not text, at byte ``place`` of the file; its number is the reader's to add."""

    def __init__(self, place: int, what: str) -> None:
        super().__init__(what)
        self.place = place


class CsvText:
    r"""
    The lines of a file, each with its line end (``\n``, ``\r\n`` or ``\r``), to be iterated once.

    Iterating raises :class:`BadTextError` at the first line that holds a NUL byte or is not UTF-8, after all the lines
    before it, and what the input raises.
    """

    def __init__(self, source: Input) -> None:
        self._source = source
        self.unterminated = False
        r"""The last line has been read, and it had no line end. (Never so in a file whose line ends are ``\r``.)"""
        self._lines = chain.from_iterable(io.StringIO(text, newline="") for text in self._texts())

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def _texts(self) -> Iterator[str]:
        done = 0
        for run in whole_lines(self._source.text(), self._source.name):
            bad = _bad_byte(run)
            if bad is not None:
                place, what = bad
                yield run[: run.rfind(b"\n", 0, place) + 1].decode()
                raise BadTextError(done + place, what)
            done += len(run)
            self.unterminated = not run.endswith(b"\n") and b"\r" not in run
            yield run.decode()


def _bad_byte(run: bytes) -> tuple[int, str] | None:
    nul = run.find(b"\0")
    try:
        (run if nul < 0 else run[:nul]).decode()
    except UnicodeDecodeError as e:
        return e.start, f"is not UTF-8 ({e.reason}). Save the file as UTF-8."
    return None if nul < 0 else (nul, "is a NUL. Is this a text, and in UTF-8?")
