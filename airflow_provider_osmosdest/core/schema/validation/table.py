"""Rows as a table: named columns, from which a row's object is made only where one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Table"]


class Table(Sequence[Any]):
    """
    Rows that are kept as columns; as a sequence it holds what a list of its rows would.

    To make an object of a row of 8 cells takes longer than to validate it.

    :param names: the columns' names, each there once
    :param columns: the cells of each, all of one length; at the position of an odd row, anything
    :param odd: rows that are no object with all of the names, by position
    :param types: the types that the cells of each column have, where its format says so; else ``None``
    """

    __slots__ = ("_made", "columns", "names", "odd", "types")

    def __init__(
        self,
        names: Sequence[str],
        columns: Sequence[Sequence[Any]],
        *,
        odd: Mapping[int, Any] | None = None,
        types: Sequence[frozenset[type] | None] | None = None,
    ) -> None:
        self.names = names
        self.columns = columns
        self.odd = odd or {}
        self.types = types or [None] * len(names)
        self._made: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def __getitem__(self, at: Any) -> Any:
        if self._made is None and isinstance(at, int):
            at = range(len(self))[at]
            return self.odd[at] if at in self.odd else self._row([column[at] for column in self.columns])
        return self._rows()[at]

    def __eq__(self, other: object) -> bool:
        return self._rows() == list(other) if isinstance(other, list | Table) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it can be compared with lists, which have none

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows())

    def _rows(self) -> list[Any]:
        if self._made is None:
            rows = [self._row(cells) for cells in zip(*self.columns, strict=True)]
            for at, row in self.odd.items():
                rows[at] = row
            self._made = rows
        return self._made

    def _row(self, cells: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self.names, cells, strict=True))
