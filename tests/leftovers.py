"""Nothing that the tests have started may be running once they are done."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long what was told to end may take to do so, in seconds.
END_SECONDS = 60.0

# Python's own helpers, which end with the process that has started them.
HELPERS = ("multiprocessing.forkserver", "multiprocessing.resource_tracker")

_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    """Fail if a process is left that a test has started, or one that such a process has."""
    if sys.platform == "linux":
        # What loses its parent becomes ours, and so is found, whatever name and group it gives itself.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    deadline = time.monotonic() + END_SECONDS
    while (left := _running()) and time.monotonic() < deadline:
        time.sleep(0.05)
    commands = [_command(each) for each in left]
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    assert commands == [], "the tests have left these processes running"


def _running() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if not _is_over(each)]


def _is_over(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE or _is_helper(process)
    except psutil.NoSuchProcess:
        return True


def _is_helper(process: psutil.Process) -> bool:
    # A process that the fork server has made has the same command line, and another parent.
    return process.ppid() == os.getpid() and any(each in " ".join(process.cmdline()) for each in HELPERS)


def _command(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return f"{process.pid} {' '.join(process.cmdline())}"
    return f"{process.pid}"
