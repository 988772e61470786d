"""Processes with all that they have started: ended, stopped and continued as a whole."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["kill_tree", "signal_tree", "spawn"]


def spawn(
    command: Sequence[str], *, log: Path, environment: dict[str, str], cwd: Path, user: str | None = None
) -> subprocess.Popen[bytes]:
    """
    Start a process in a session of its own.

    :param log: where it writes what it prints
    :param user: whom it runs as, if not the user of this process
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )


def signal_tree(process: subprocess.Popen[bytes], number: signal.Signals) -> list[psutil.Process]:
    """Send a signal to a process and all that it has started; return those."""
    if process.poll() is not None:
        return []
    main = psutil.Process(process.pid)
    reached: set[psutil.Process] = set()
    # Again, for what one of them has started before the signal reached it.
    while found := {main, *main.children(recursive=True)} - reached:
        for each in found:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)
        reached |= found
    return list(reached)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """``kill -9`` a process and all that it has started."""
    # Stopped first, none of them can start another.
    for each in signal_tree(process, signal.SIGSTOP):
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
