"""
How often a property is tried: a quarter as often while one works as in CI, where the environment has ``CI``.

Hypothesis has a profile for CI of its own, which it takes where it finds ``CI``: 100 examples, the same in every run.
"""

from __future__ import annotations

import os

from hypothesis import settings

__all__ = ["choose_profile", "examples"]

_THOROUGH = bool(os.environ.get("CI"))


def examples(count: int, here: int | None = None) -> int:
    """
    Return how many of the examples that CI tries are tried here.

    :param count: how many CI tries
    :param here: how many are enough while one works, where a quarter would be too many
    """
    if _THOROUGH:
        return count
    return -(-count // 4) if here is None else here


def choose_profile() -> None:
    """Let properties that do not say how often they are tried be tried as often."""
    if not _THOROUGH:
        # A busy machine is no fault of the code's.
        settings.register_profile("quick", max_examples=examples(100), deadline=None)
        settings.load_profile("quick")
