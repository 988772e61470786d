"""Read the text of a CSV file, as lines or as the rest of what was read at once, and check that it is text."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.records.streams import whole_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.input import Input

__all__ = ["BadTextError", "CsvText"]


class BadTextError(Exception):
    """A line is not text, at byte ``place`` of the file; the reader adds the line's number."""

    def __init__(self, place: int, what: str) -> None:
        super().__init__(what)
        self.place = place


@dataclass(slots=True)
class _Ending:
    r"""
    How the text read so far ends.

    :param unterminated: the last line has been read, and it had no line end. (Not set for a file whose line ends
        are ``\r``.)
    """

    unterminated: bool = False


class CsvText:
    """
    The text of a file, which is read in runs of whole lines.

    :param source: the file
    """

    def __init__(self, source: Input) -> None:
        self._ending = _Ending()
        self._runs = _runs(source, self._ending)
        self._run = io.StringIO("")
        self._rest = ""

    @property
    def breaks_off(self) -> bool:
        """Whether all of the file has been taken, and its last line had no line end."""
        if not self._ending.unterminated:
            return False
        self.put_back(self._run.read() or self._rest)
        return not self._rest

    def lines(self) -> Iterator[str]:
        r"""
        Return the lines from here on, each with its line end (``\n``, ``\r\n`` or ``\r``).

        :raises BadTextError: a line holds a NUL byte or is not UTF-8; all lines before it have been yielded
        :raises SourceError: as for :meth:`Input.text`
        """
        return chain.from_iterable(self._files())

    def take_run(self) -> str:
        """
        Take what is left of the run that is being read, or the next; nothing is left of the file where it is empty.

        :raises BadTextError: as for :meth:`lines`
        :raises SourceError: as for :meth:`Input.text`
        """
        run, self._rest = self._run.read() or self._rest, ""
        return run or next(self._runs, "")

    def put_back(self, run: str) -> None:
        """Put back what was just taken."""
        self._rest = run

    def _files(self) -> Iterator[io.StringIO]:
        while run := self.take_run():
            self._run = io.StringIO(run, newline="")
            yield self._run


def _runs(source: Input, ending: _Ending) -> Iterator[str]:
    done = 0
    for run in whole_lines(source.text(), source.name):
        place = run.find(b"\0")
        what, text = "is a NUL. Is this a text, and in UTF-8?", ""
        try:
            text = (run if place < 0 else run[:place]).decode()
        except UnicodeDecodeError as e:
            place, what = e.start, f"is not UTF-8 ({e.reason}). Save the file as UTF-8."
        if place >= 0:
            if whole := run[: run.rfind(b"\n", 0, place) + 1]:
                yield whole.decode()
            raise BadTextError(done + place, what)
        done += len(run)
        ending.unterminated = not run.endswith(b"\n") and b"\r" not in run
        yield text
