"""
Regular expressions of schemas: Rust's ``regex`` syntax, matched against the whole value.

It runs in time linear in the value, so that no pattern makes a record take minutes; the price is that it
has neither lookaround nor backreferences.
"""

from __future__ import annotations

from pydantic_core import SchemaError as CoreSchemaError
from pydantic_core import SchemaValidator
from pydantic_core import core_schema as cs

__all__ = ["pattern_problem", "whole_match"]


def whole_match(pattern: str) -> str:
    """Return the pattern that matches where the given one matches the whole of a string."""
    return rf"\A(?:{pattern})\z"


def pattern_problem(pattern: str) -> str | None:
    """Return what keeps a pattern from being a regular expression in Rust's syntax, None where nothing does."""
    try:
        # Both: "a)(b" is only a pattern once it is wrapped, "(?x) a #" only until it is.
        for each in (pattern, whole_match(pattern)):
            SchemaValidator(cs.str_schema(pattern=each))
    except (CoreSchemaError, UnicodeEncodeError) as error:
        return " ".join(str(error).rpartition("error:")[2].split())
    return None
