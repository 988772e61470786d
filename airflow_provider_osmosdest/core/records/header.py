"""The header of a table, which names its columns."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_header"]


def check_header(names: Sequence[str], file: str) -> None:
    """
    Check that every column has a name of its own.

    :param names: the header's cells
    :param file: the file, for the message
    :raises SourceError: names are empty or there more than once; the message lists all of them
    """
    empty = [str(number) for number, name in enumerate(names, start=1) if not name.strip()]
    double = [repr(name) for name, count in Counter(names).items() if count > 1 and name.strip()]
    problems = []
    if empty:
        problems.append(f"no name for column {', '.join(empty)}")
    if double:
        problems.append(f"more than one column named {', '.join(double)}")
    if problems:
        raise SourceError(
            f"{file}: the header has {' and '.join(problems)}. The first row must give each of the "
            f"{len(names)} columns a name of its own."
        )
