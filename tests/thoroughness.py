"""
How often a property is tried: a quarter as often while one works as in CI, where the environment has ``CI``.

Hypothesis has a profile for CI of its own, which it takes where it finds ``CI``: 100 examples, the same in every run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["choose_profile", "each_way", "examples"]

# What mutmut runs the tests with: a failure is all it wants, and each run must find the same.
_MUTATED = "MUTANT_UNDER_TEST" in os.environ
_THOROUGH = bool(os.environ.get("CI")) and not _MUTATED


def examples(count: int, here: int | None = None) -> int:
    """
    Return how many of the examples that CI tries are tried here.

    :param count: how many CI tries
    :param here: how many are enough while one works, where a quarter would be too many
    """
    if _THOROUGH:
        return count
    return -(-count // 4) if here is None else here


def each_way(cases: Sequence[tuple[Any, ...]], ways: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """
    Combine each case with each of the ways, or with one of them while one works: they take turns.

    :param cases: the first arguments of a test
    :param ways: its last ones
    """
    tried = [ways if _THOROUGH else [ways[at % len(ways)]] for at in range(len(cases))]
    return [(*case, *way) for case, some in zip(cases, tried, strict=True) for way in some]


def choose_profile() -> None:
    """Let properties that do not say how often they are tried be tried as often."""
    if _MUTATED:
        settings.register_profile(
            "mutated",
            max_examples=examples(100),
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
        )
        settings.load_profile("mutated")
    elif not _THOROUGH:
        # A busy machine is no fault of the code's.
        settings.register_profile("quick", max_examples=examples(100), deadline=None)
        settings.load_profile("quick")
