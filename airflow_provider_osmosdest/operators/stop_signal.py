"""Turn signals into a request to stop, so that a delivery ends between two steps and never within one."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GRACE", "StopSignal"]


GRACE = 10.0
"""Seconds a delivery has to end in good order; after that it is interrupted as by a crash."""


class StopSignal:
    """Whether a task was told to stop, and why."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def request_stop(self, reason: str) -> None:
        """Tell the task to stop; safe to call from a signal handler."""
        self.reason = self.reason or reason

    def why(self) -> str | None:
        """Return why to stop and how to go on, in the form a delivery expects; ``None`` not to stop."""
        return None if self.reason is None else f"{self.reason}. A retry of the task goes on where this attempt stood."

    @contextmanager
    def watching_the_clock(self) -> Iterator[None]:
        """
        Delay the exception that ``execution_timeout`` raises wherever the program happens to be.

        Airflow's handler of SIGALRM raises it; called in the middle of a ledger's change, or in a callback of libcurl,
        it would do harm or be lost. It is called once the delivery has ended in good order, or after :data:`GRACE`
        seconds, as a source that hangs does not check for a stop.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handler = signal.getsignal(signal.SIGALRM)
        if not callable(handler):
            yield
            return
        held: list[tuple[int, Any]] = []

        def note(signum: int, frame: Any) -> None:
            if held:
                held.clear()
                handler(signum, frame)
                return
            held.append((signum, frame))
            self.request_stop("The task's execution_timeout is over")
            signal.setitimer(signal.ITIMER_REAL, GRACE)

        signal.signal(signal.SIGALRM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGALRM, handler)
            if held:
                signal.setitimer(signal.ITIMER_REAL, 0)
                handler(*held[0])
