"""Run processes, and measure what they took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Usage:
    """
    What one process took, from its start to its end.

    :param seconds: by the clock
    :param processor: seconds of processor time, in user and in kernel mode
    :param peak: its largest resident set, in MB
    """

    seconds: float
    processor: float
    peak: float


def measure(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Usage:
    """
    Run a command to its end.

    :raises RuntimeError: with the end of what it said, when it fails
    """
    said = folder / "output.txt"
    with said.open("wb") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = said.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{tail}")
    # Kilobytes, but bytes on macOS: getrusage(2) of either.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Usage(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def cores() -> tuple[set[int], set[int]]:
    """Return the processors for the client and for the sink: one, and the others. Empty where none can be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    client, *others = sorted(os.sched_getaffinity(0))
    return {client}, set(others)


@contextmanager
def server(script: str, *options: str, on: set[int] | None = None) -> Iterator[str]:
    """
    Run a server of this folder that prints its port.

    :param on: the processors it may run on, all if none are named
    :return: its URL
    """
    command = [sys.executable, str(HERE / script), *options]
    if on:
        command += ["--cores", ",".join(map(str, sorted(on)))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def counts(url: str) -> dict[str, Any]:
    """Return what a server has counted since it was last asked."""
    with urllib.request.urlopen(f"{url}/counts") as answer:
        document: dict[str, Any] = json.load(answer)
    return document
