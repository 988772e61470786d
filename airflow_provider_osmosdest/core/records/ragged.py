"""A row that does not fit under its header."""

from __future__ import annotations

from typing import Any

__all__ = ["RaggedRow"]


class RaggedRow(list[Any]):
    """
    The cells of a row that has more of them than the header has names: no record, and not dropped either.

    :param cells: the cells as they stand in the file
    :param place: where the row is, such as ``line 17``
    :param width: how many columns the header names
    :param hint: what may be the cause
    """

    def __init__(
        self, cells: list[Any], place: str, width: int, *, hint: str = "is a delimiter inside a cell not quoted?"
    ) -> None:
        super().__init__(cells)
        self.problem = f"{place} has {len(cells):,} cells, but the header names {width:,} columns: {hint}"
        """Why this is no record, for its failure record."""
