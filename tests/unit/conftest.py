"""What all unit tests have in common."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="module")
def _files_need_not_outlive_a_power_cut() -> Iterator[None]:
    """Wait for no disk: some seven thousand times a mailbox would. Tests that it asks for that look at the calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield
