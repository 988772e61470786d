"""What is done to a field's values before they are checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from airflow_provider_osmosdest.core.schema.types.coercions import cell_text, coerce, json_text
from airflow_provider_osmosdest.core.schema.types.json_values import is_temporal
from airflow_provider_osmosdest.core.schema.types.number_text import number_reader
from airflow_provider_osmosdest.core.schema.types.time_patterns import TimePatterns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_osmosdest.core.schema.fields import Field

__all__ = ["COERCIONS", "Reading", "coercion_problems", "reading_of"]

_SCALARS = ("integer", "number", "decimal", "boolean", "date", "time", "datetime")

COERCIONS: dict[str, tuple[str, ...]] = {
    "trim": ("string", *_SCALARS),
    "empty_to_null": ("string", *_SCALARS, "object", "array"),
    "to_string": ("string",),
    "from_string": _SCALARS,
}
"""The field types that each coercion can be asked for, in the order in which they are done."""


@dataclass(frozen=True, slots=True)
class Reading:
    """
    What is done to a field's values.

    :param textual: the values come from a format without types; typed ones among them are a spreadsheet's
    :param as_cell: texts are read as such a format's cells are
    :param strip: white space around a text is removed
    :param missing: the texts that are null, after that
    :param blank_is_absent: such a text stands for no value at all, and not for null
    :param to_text: numbers and booleans become their JSON texts
    :param read_number: converts a number in the field's format to a plain number's text
    :param times: reads dates and times by the field's patterns
    """

    textual: bool
    as_cell: bool
    strip: bool
    missing: frozenset[str]
    blank_is_absent: bool
    to_text: bool
    read_number: Callable[[str], str] | None
    times: TimePatterns | None

    def coercion(self, type_: str) -> Callable[[Any], Any]:
        """
        Return the coercion of a field's values.

        :param type_: the field's
        """
        typed, text = coerce(type_, cells=self.textual), coerce(type_, cells=self.as_cell)

        def read(value: Any) -> Any:
            if self.times and self.textual and isinstance(value, int | float):
                # A spreadsheet holds 20240531 as a number.
                value = cell_text(value)
            if isinstance(value, str):
                if self.strip:
                    value = value.strip()
                if value in self.missing:
                    raise PydanticCustomError(
                        "missing_value", "Input is blank or a missing value, and the schema does not allow null"
                    )
                if self.times is None:
                    return text(value if self.read_number is None else self.read_number(value))
            elif self.to_text and not self.textual:
                return json_text(value)
            return typed(value) if self.times is None or is_temporal(value) else self.times.read(value)

        return read


def reading_of(field: Field, *, textual: bool, missing_values: tuple[str, ...]) -> Reading | None:
    """
    Return what is done to a field's values, None where nothing is.

    :param field: the field
    :param textual: the values come from a format without types
    :param missing_values: the texts that are null in such a format
    """
    if not textual and not field.coerce and not field.format:
        return None
    as_cell = textual or "from_string" in field.coerce
    strip = as_cell or "trim" in field.coerce
    missing = {text.strip() for text in missing_values} if as_cell else set()
    if "empty_to_null" in field.coerce:
        missing.add("")
    return Reading(
        textual,
        as_cell,
        strip,
        frozenset(missing),
        as_cell,
        "to_string" in field.coerce,
        number_reader(field.written) if as_cell else None,
        TimePatterns(field.type, field.format, as_cell=as_cell) if field.format else None,
    )


def coercion_problems(type_: str, coerce: Any) -> Iterator[str]:
    """
    Yield what is wrong with the ``coerce`` of a field.

    :param type_: one of the schema's field types
    :param coerce: what was given, a tuple where it was a list
    """
    if not isinstance(coerce, tuple) or not all(isinstance(name, str) for name in coerce):
        yield f"coerce: expected a list of names among {', '.join(COERCIONS)}, found {coerce!r}"
        return
    for name, count in Counter(coerce).items():
        if name not in COERCIONS:
            yield f"coerce: no such coercion {name!r}, expected some of {', '.join(COERCIONS)}"
        elif type_ not in COERCIONS[name]:
            yield f"coerce: {name} applies only to {', '.join(COERCIONS[name])}, not to {type_}"
        if count > 1:
            yield f"coerce: {name!r} is given twice"
