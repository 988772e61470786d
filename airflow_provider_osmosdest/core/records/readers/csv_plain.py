"""Take the rows of CSV without quotes apart: there, every line is a row and every delimiter parts two cells."""

from __future__ import annotations

__all__ = ["is_plain", "line_count", "plain_columns", "plain_rows"]


def is_plain(run: str) -> bool:
    r"""
    Return whether a text has no quotes, and no line ends but ``\n`` and ``\r\n``.

    :param run: whole lines
    """
    return '"' not in run and ("\r" not in run or run.count("\r") == run.count("\r\n"))


def line_count(run: str) -> int:
    """Return the number of lines, of which the last may have no line end."""
    return run.count("\n") + (not run.endswith("\n"))


def plain_columns(run: str, delimiter: str, width: int) -> list[list[str]] | None:
    """
    Return the cells of each column, or None where a row has more or fewer cells, or a line is blank.

    :param run: lines without quotes
    :param delimiter: between the cells
    :param width: how many cells each row has
    """
    run = _unified(run)
    if width == 1 and (run.startswith("\n") or "\n\n" in run):
        return None
    # All at once: to cut lines first takes half as long again. A line end becomes a cell of its own, which shows
    # whether each row ends where it should.
    cells = run.replace("\n", f"{delimiter}\n{delimiter}").split(delimiter)
    step, rows = width + 1, run.count("\n")
    if len(cells) != rows * step + 1 or cells[width::step] != ["\n"] * rows:
        return None
    return [cells[at:-1:step] for at in range(width)]


def plain_rows(run: str, delimiter: str) -> list[list[str]]:
    """Return the cells of each line, none of a blank one; the parameters are those of :func:`plain_columns`."""
    return [line.split(delimiter) if line else [] for line in _unified(run)[:-1].split("\n")]


def _unified(run: str) -> str:
    run = run.replace("\r\n", "\n")
    return run if run.endswith("\n") else f"{run}\n"
