"""Names for fields whose columns are called what people call them: ``US_Gross``, ``E-Mail``, ``Größe in cm``."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["field_names"]

_WORD_BEGINS = re.compile(r"(?<=[^\W_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN = re.compile(r"[\W_]+")


def field_names(columns: Iterable[str]) -> dict[str, str]:
    """
    Return a field's name for each column, no two alike: small letters, digits and underscores.

    A column that is called so already keeps its name, whatever the others are made into.

    :param columns: the columns, in order
    """
    names: dict[str, str] = {}
    wished = {column: _snake_case(column) for column in columns}
    taken = {column for column, name in wished.items() if column == name}
    for column, stem in wished.items():
        name, number = stem, 2
        while name in taken and column != stem:
            name, number = f"{stem}_{number}", number + 1
        names[column] = name
        taken.add(name)
    return names


def _snake_case(column: str) -> str:
    # Accents are taken off; what is no letter with an accent (ß, ø, CJK) stays, or is folded.
    bare = "".join(each for each in unicodedata.normalize("NFKD", column) if not unicodedata.combining(each))
    words = _BETWEEN.sub("_", _WORD_BEGINS.sub("_", bare)).strip("_").casefold()
    if not words:
        return "field"
    return f"_{words}" if words[0].isdigit() else words
