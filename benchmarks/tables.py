"""Plain-text tables."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is aligned left, the others right."""
    widths = [max(len(row[number]) for row in [heads, *rows]) for number in range(len(heads))]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [heads, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines)


def figure(value: float, form: str) -> str:
    """Return a number in a format; in words where so few records were measured that there is none."""
    return "too few" if isnan(value) else form.format(value)
